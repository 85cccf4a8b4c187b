package edge

import (
	"fmt"
	"math"
	"time"

	"yunhe/edge/internal/bus"
	"yunhe/edge/internal/poll"
	"yunhe/internal/profile"
)

// BusPlan says what a bus will carry.
type BusPlan struct {
	ID      string  `json:"id"`
	Address string  `json:"address"`
	Load    float64 `json:"load"` // share of the time the line is busy, estimated; above 1 polls are skipped
	// SlowestCycleMs is how long the largest poll of all its devices takes.
	SlowestCycleMs float64      `json:"slowest_cycle_ms"`
	Devices        []DevicePlan `json:"devices"`
}

// DevicePlan says what is read of a device and what it costs.
type DevicePlan struct {
	ID      string      `json:"id"`
	Profile string      `json:"profile"`
	Note    string      `json:"note,omitempty"` // why nothing can be said
	Fast    string      `json:"fast"`
	Slow    string      `json:"slow"`
	Points  int         `json:"points"`
	Reads   []BlockPlan `json:"reads"` // of a poll of everything
	CycleMs float64     `json:"cycle_ms"`
	// MonthMB is what 30 days cost on the link: messages, acknowledgements,
	// TLS and TCP, in 10^6 bytes, estimated from messages of that size.
	MonthMB float64 `json:"month_mb"`
	load    float64
}

// BlockPlan is one read.
type BlockPlan struct {
	Table   string  `json:"table"`
	Address uint16  `json:"address"`
	Count   uint16  `json:"count"`
	Ms      float64 `json:"ms"`
}

// PlanReport is what `yunhe-edge plan` shows.
type PlanReport struct {
	Buses []BusPlan `json:"buses"`
	// MonthMB adds the status and keep-alive messages of the gateway to those
	// of the devices.
	MonthMB float64 `json:"month_mb"`
}

// month is the period that volumes are stated for.
const month = 30 * 24 * time.Hour

// Plan works out what the agent will read, how long it takes and what the link
// will carry, from the config alone.
func Plan(cfg Config) (PlanReport, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return PlanReport{}, fmt.Errorf("config: %w", err)
	}
	devices, err := cfg.resolve()
	if err != nil {
		return PlanReport{}, fmt.Errorf("config: %w", err)
	}
	volume, err := newVolume(cfg)
	if err != nil {
		return PlanReport{}, err
	}
	report := PlanReport{MonthMB: volume.gateway()}
	for _, b := range cfg.Buses {
		address, err := bus.ParseAddress(b.Address)
		if err != nil {
			return PlanReport{}, err
		}
		p := BusPlan{ID: b.ID, Address: b.Address}
		for _, d := range devices {
			if d.Bus != b.ID {
				continue
			}
			dp, err := planDevice(cfg, d, address, volume)
			if err != nil {
				return PlanReport{}, fmt.Errorf("device %s: %w", d.ID, err)
			}
			p.Devices = append(p.Devices, dp)
			p.Load += dp.load
			p.SlowestCycleMs += dp.CycleMs
			report.MonthMB += dp.MonthMB
		}
		p.Load, p.SlowestCycleMs = round(p.Load, 4), round(p.SlowestCycleMs, 1)
		report.Buses = append(report.Buses, p)
	}
	report.MonthMB = round(report.MonthMB, 2)
	return report, nil
}

func planDevice(cfg Config, d resolved, line bus.Address, volume *volume) (DevicePlan, error) {
	out := DevicePlan{ID: d.ID, Profile: d.Profile, Fast: d.Fast.String(), Slow: d.Slow.String()}
	if d.profile == nil {
		out.Note = "its models are known once it is read"
		return out, nil
	}
	whole, err := d.profile.Plan(poll.Selection(d.profile, d.Points))
	if err != nil {
		return out, err
	}
	out.Points = len(whole.Points())
	for _, b := range whole.Blocks {
		ms := readMs(b, line, d.link)
		out.CycleMs += ms
		out.Reads = append(out.Reads, BlockPlan{Table: b.Table.String(), Address: b.Address, Count: b.Count, Ms: round(ms, 1)})
	}
	busy, bytes, err := day(cfg, d, line, volume)
	if err != nil {
		return out, err
	}
	out.load = busy.Seconds() / (24 * time.Hour).Seconds()
	out.CycleMs = round(out.CycleMs, 1)
	out.MonthMB = round(bytes*month.Hours()/24/1e6, 2)
	return out, nil
}

// day adds up bus time and bytes on the link over one day of polls.
func day(cfg Config, d resolved, line bus.Address, volume *volume) (busy time.Duration, bytes float64, err error) {
	metered := cfg.Link.Kind == Metered
	type cost struct {
		busy  time.Duration
		bytes float64
	}
	known := map[poll.Due]cost{}
	grid := poll.Grid{Fast: d.Fast, Slow: d.Slow}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for t := begin; t.Before(begin.Add(24 * time.Hour)); t = grid.Next(t) {
		due := grid.At(t)
		c, ok := known[due]
		if !ok {
			if due.Boundary {
				b, n, err := one(d, line, volume, profile.Fast|profile.Slow, profile.OnlyCounters, false)
				if err != nil {
					return 0, 0, err
				}
				c.busy, c.bytes = b, n
			}
			if due.Groups != 0 {
				b, n, err := one(d, line, volume, due.Groups, poll.RestOf(due.Boundary, metered), metered)
				if err != nil {
					return 0, 0, err
				}
				c.busy, c.bytes = c.busy+b, c.bytes+n
			}
			known[due] = c
		}
		busy, bytes = busy+c.busy, bytes+c.bytes
	}
	if metered {
		n, err := volume.gathered(d)
		return busy, bytes + n, err
	}
	return busy, bytes, nil
}

// one is the cost of one plan; a gathered one costs no message of its own.
func one(d resolved, line bus.Address, v *volume, groups profile.Groups, filter profile.CounterFilter, gathered bool) (time.Duration, float64, error) {
	o := poll.Selection(d.profile, d.Points)
	o.Groups, o.Counters = groups, filter
	pl, err := d.profile.Plan(o)
	if err != nil {
		return 0, 0, err
	}
	var ms float64
	for _, b := range pl.Blocks {
		ms += readMs(b, line, d.link)
	}
	busy := time.Duration(ms * float64(time.Millisecond))
	if gathered || len(pl.Points()) == 0 {
		return busy, 0, nil
	}
	bytes, err := v.message(d.ID, pl.Points(), len(pl.Points()))
	return busy, bytes, err
}

// Times that are not on the nameplate: how long a device thinks, and a round
// trip on a building's network, in milliseconds. Both are usual values.
const (
	thinkMs   = 20.0
	networkMs = 5.0
)

// readMs estimates one read: frames at the speed of the line, the silence
// between frames, the device's own time and the pauses its profile asks for.
func readMs(b profile.Block, line bus.Address, link profile.Link) float64 {
	answer := b.Table.ByteCount(int(b.Count))
	ms := float64(link.MinGap) / float64(time.Millisecond)
	switch line.Kind {
	case bus.I2C:
		clock := max(link.I2CClockHz, 100_000)
		return ms + 1000*9*float64(answer+3)/float64(clock)
	case bus.ModbusTCP:
		return ms + networkMs
	}
	baud, bits := line.Baud, 11
	if line.Kind == bus.RTUOverTCP { // its line is behind the converter
		baud, ms = 9600, ms+networkMs
	}
	characters := 8 + 5 + answer + 7 // request, answer, twice 3.5 characters of silence
	return ms + thinkMs + 1000*float64(characters*bits)/float64(baud)
}

func round(x float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(x*p) / p
}
