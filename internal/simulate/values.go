package simulate

import (
	"math"
	"time"

	"yunhe/internal/simulate/device"
	"yunhe/internal/simulate/world"
	"yunhe/internal/telemetry"
)

// values collects the values of a device by point name.
type values map[string]telemetry.Value

func (v values) float(point string, x float64) { v[point] = telemetry.Float(x) }
func (v values) uint(point string, x uint64)   { v[point] = telemetry.Uint(x) }
func (v values) flag(point string, x bool)     { v[point] = telemetry.Bool(x) }
func (v values) phases(point string, x [3]float64) {
	for i, suffix := range []string{"_l1", "_l2", "_l3"} {
		v.float(point+suffix, x[i])
	}
}

// of makes a source out of one device's view of the world.
func of(w *world.World, view func(world.State, values)) device.Source {
	return func(at time.Time) map[string]telemetry.Value {
		v := values{}
		view(w.At(at), v)
		return v
	}
}

func each(m world.Mains, f func(world.Phase) float64) [3]float64 {
	return [3]float64{f(m.Phases[0]), f(m.Phases[1]), f(m.Phases[2])}
}

// mainMeter is the view of an Eastron SDM630 at the grid connection.
func mainMeter(s world.State, v values) {
	m := s.Mains
	v.phases("voltage", each(m, func(p world.Phase) float64 { return p.VoltageV }))
	v.phases("current", each(m, func(p world.Phase) float64 { return p.CurrentA }))
	v.phases("active_power", each(m, func(p world.Phase) float64 { return p.ActiveW }))
	v.phases("apparent_power", each(m, func(p world.Phase) float64 { return p.ApparentVA }))
	v.phases("reactive_power", each(m, func(p world.Phase) float64 { return p.ReactiveVar }))
	v.phases("power_factor", each(m, func(p world.Phase) float64 { return p.PowerFactor }))
	v.phases("phase_angle", each(m, func(p world.Phase) float64 { return p.AngleDeg }))
	v.phases("active_energy_import", each(m, func(p world.Phase) float64 { return p.ImportKWh }))
	v.phases("active_energy_export", each(m, func(p world.Phase) float64 { return p.ExportKWh }))
	v.float("active_power", m.ActiveW)
	v.float("reactive_power", m.ReactiveVar)
	v.float("apparent_power", m.ApparentVA)
	v.float("power_factor", m.PowerFactor)
	v.float("frequency", m.FrequencyHz)
	v.float("current_n", m.NeutralA)
	v.float("active_energy_import", m.ImportKWh)
	v.float("active_energy_export", m.ExportKWh)
	v.float("active_energy_total", m.ImportKWh+m.ExportKWh)
	v.float("reactive_energy_import", m.ReactiveKvah)
	v.float("reactive_energy_export", 0)
	v.float("active_power_demand", m.DemandW)
}

// inverter is the view of a SunSpec three-phase inverter.
func inverter(s world.State, v values) {
	p, m := s.PV, s.Mains
	volts := each(m, func(p world.Phase) float64 { return p.VoltageV })
	var amps [3]float64
	var sum float64
	for i := range amps {
		amps[i] = p.ACPowerW / 3 / volts[i]
		sum += amps[i]
	}
	v.phases("voltage", volts)
	v.float("voltage_l12", between(volts[0], volts[1]))
	v.float("voltage_l23", between(volts[1], volts[2]))
	v.float("voltage_l31", between(volts[2], volts[0]))
	v.phases("current", amps)
	v.float("current", sum)
	v.float("active_power", p.ACPowerW)
	v.float("apparent_power", p.ACPowerW)
	v.float("reactive_power", 0)
	v.float("power_factor", 1)
	v.float("frequency", m.FrequencyHz)
	v.float("active_energy_generation", p.EnergyKWh)
	v.float("dc_power", p.DCPowerW)
	v.float("dc_voltage", p.DCVoltage)
	v.float("dc_current", p.DCCurrent)
	v.float("cabinet_temperature", p.CabinetC)
	v.float("heat_sink_temperature", p.CabinetC+6*p.ACPowerW/36_000)
	v.float("transformer_temperature", p.CabinetC+1)
	v.float("other_temperature", s.Weather.AirC)
	v.uint("status", p.Status)
	v.uint("event_1", 0)
}

// between returns the voltage between two phases 120 degrees apart.
func between(a, b float64) float64 { return math.Sqrt(a*a + b*b + a*b) }

// heatPump is the view of a Stiebel Eltron ISG. It knows energies as whole
// kilowatt-hours only.
func heatPump(s world.State, v values) {
	h := s.Heat
	v.float("outdoor_temperature", h.OutdoorC)
	v.float("hc1_temperature", h.SecondaryFlowC)
	v.float("hc1_setpoint", h.SetpointC)
	v.float("supply_temperature_heatpump", h.FlowC)
	v.float("supply_temperature", h.FlowC)
	v.float("return_temperature", h.ReturnC)
	v.float("buffer_temperature", h.BufferC)
	v.float("buffer_setpoint", h.SetpointC)
	v.float("pressure", 172)
	v.float("volume_flow", h.FlowM3H)
	v.float("dhw_temperature", h.BufferC)
	v.float("dhw_setpoint", 45)
	v.float("source_temperature", h.OutdoorC)
	v.float("hp1_return_temperature", h.ReturnC)
	v.float("hp1_supply_temperature", h.FlowC)
	v.float("hp1_hot_gas_temperature", h.FlowC+22*h.CompressorHz/90)
	v.uint("status", isgStatus(h))
	v.uint("power_off_state", 0)
	v.uint("error_status", 0)
	v.uint("active_error", 0)
	v.whole("thermal_energy_heating", h.HeatKWh-h.HotWater.HeatKWh)
	v.whole("thermal_energy_dhw", h.HotWater.HeatKWh)
	v.whole("thermal_energy_aux_heating", 0)
	v.whole("thermal_energy_aux_dhw", 0)
	v.whole("active_energy_heating", h.ElectricKWh-h.HotWater.ElectricKWh)
	v.whole("active_energy_dhw", h.HotWater.ElectricKWh)
	v.whole("operating_time_heating", h.OperatingHours-h.HotWater.OperatingHours)
	v.whole("operating_time_dhw", h.HotWater.OperatingHours)
	v.whole("operating_time_cooling", 0)
	v.uint("sg_ready_state", 2)
}

// whole is a counter that shows only what it has completed.
func (v values) whole(point string, x float64) { v.float(point, math.Floor(x)) }

// isgStatus puts the bits of the ISG's status word together: pump 0 runs,
// heating 4, hot water 5, compressor 6, summer 7.
func isgStatus(h world.Heat) uint64 {
	var w uint64
	if h.Running {
		w |= 1<<0 | 1<<6
		if h.OutdoorC < 15 {
			w |= 1 << 4
		} else {
			w |= 1 << 5
		}
	}
	if h.OutdoorC >= 15 {
		w |= 1 << 7
	}
	return w
}

// heatMeter is the view of an ultrasonic heat meter behind the buffer.
func heatMeter(s world.State, v values) {
	h := s.Heat
	v.float("volume_flow", h.SecondaryM3H)
	v.float("velocity", h.SecondaryM3H/3600/0.00196) // DN 50
	v.float("thermal_power", h.DeliveredW)
	v.float("thermal_energy", h.MeterKWh)
	v.float("volume", h.VolumeM3)
	v.float("supply_temperature", h.SecondaryFlowC)
	v.float("return_temperature", h.SecondaryReturnC)
	v.uint("error_bits", 0)
	v.float("signal_quality", 92)
}

// rainGauge is the view of a DFRobot SEN0575. Its minutes wrap after 45.5 days.
func rainGauge(s world.State, v values) {
	r := s.Rain
	v.uint("bucket_tips", r.Tips)
	v.float("rainfall", r.TotalMM())
	v.float("rainfall_window", r.HourMM())
	v.uint("working_time", uint64(s.Time.Sub(r.PowerOn)/time.Minute)%65536)
	v.float("depth_per_tip", world.MMPerTip)
	v.uint("window_hours", 1)
}

// levelProbe is the view of a level transmitter at the bottom of the tank, set
// to metres of water with three decimals.
func levelProbe(s world.State, v values) {
	v.float("level", s.Tank.LevelM)
	v.uint("unit_code", 7)
	v.uint("unit_id", 3)
	v.uint("baud_code", 3)
}
