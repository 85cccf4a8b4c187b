package catalog

import "yunhe/internal/telemetry"

// Channel says what a meter counts, from the owner's side. Channels are never
// collapsed into a "net".
type Channel string

// The channels of the glossary.
const (
	Import     Channel = "import"
	Export     Channel = "export"
	Generation Channel = "generation"
	Heat       Channel = "heat"
	Cooling    Channel = "cooling"
	Gas        Channel = "gas"
	Water      Channel = "water"
	Rain       Channel = "rain"
	Level      Channel = "level"
)

// Channels returns all channels in their own order.
func Channels() []Channel {
	return []Channel{Import, Export, Generation, Heat, Cooling, Gas, Water, Rain, Level}
}

// quantities returns what a meter of channel c may count; nil for a word that
// is no channel.
func (c Channel) quantities() []telemetry.Quantity {
	switch c {
	case Import:
		return []telemetry.Quantity{"active_energy_import", "active_energy_total"}
	case Export:
		return []telemetry.Quantity{"active_energy_export"}
	case Generation:
		return []telemetry.Quantity{"active_energy_generation", "active_energy_export", "active_energy_import"}
	case Heat:
		return []telemetry.Quantity{"thermal_energy"}
	case Cooling:
		return []telemetry.Quantity{"thermal_energy_cooling"}
	case Gas:
		return []telemetry.Quantity{"gas_volume", "volume"}
	case Water:
		return []telemetry.Quantity{"water_volume", "volume"}
	case Rain:
		return []telemetry.Quantity{"rainfall", "bucket_tips"}
	case Level:
		return []telemetry.Quantity{"level"}
	default:
		return nil
	}
}
