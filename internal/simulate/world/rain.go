package world

import (
	"math"
	"math/rand/v2"
	"time"
)

// MMPerTip is the bucket of the rain gauge (SEN0575 as delivered).
const MMPerTip = 0.2794

// Rain is a tipping bucket and what it has counted since power-on.
type Rain struct {
	PowerOn  time.Time
	FallenMM float64 // what really fell, beyond the gauge's resolution
	Tips     uint64
	LastHour uint64 // tips in the hour before
}

// TotalMM returns what the gauge says has fallen.
func (r Rain) TotalMM() float64 { return float64(r.Tips) * MMPerTip }

// HourMM returns what the gauge says has fallen in the last hour.
func (r Rain) HourMM() float64 { return float64(r.LastHour) * MMPerTip }

func (w *World) gauge(intensity float64) {
	r := &w.state.Rain
	r.FallenMM += intensity * stepHours
	r.Tips = uint64(r.FallenMM / MMPerTip)
	slot := &w.window[w.steps%len(w.window)]
	if w.steps >= len(w.window) {
		r.LastHour = r.Tips - *slot
	} else {
		r.LastHour = r.Tips
	}
	*slot = r.Tips
}

// Rain comes in events laid out in blocks of 16 days of absolute time. Each
// block has one storm and some lighter events, so every 35 days hold a storm.
const (
	blockDays = 16
	block     = blockDays * 24 * time.Hour
)

type event struct {
	start  time.Time
	length time.Duration
	peak   float64 // mm/h
	crest  float64 // where in the event the peak stands, 0 to 1
}

type blockEvents struct {
	index  int64
	events []event
}

// rainfall returns the intensity at t in mm/h.
func (w *World) rainfall(t time.Time) float64 {
	index := t.Unix() / int64(block/time.Second)
	if w.events.index != index {
		w.events = blockEvents{index, layOut(w.seed, index)}
	}
	sum := 0.0
	for _, e := range w.events.events {
		sum += e.at(t)
	}
	if sum == 0 {
		return 0
	}
	w.noise[3] = w.drift(w.noise[3], 12)
	return sum * math.Exp(0.35*w.noise[3])
}

// at is a triangle that rises to the crest and falls more slowly.
func (e event) at(t time.Time) float64 {
	x := float64(t.Sub(e.start)) / float64(e.length)
	switch {
	case x <= 0 || x >= 1:
		return 0
	case x < e.crest:
		return e.peak * x / e.crest
	default:
		return e.peak * (1 - x) / (1 - e.crest)
	}
}

// layOut makes the events of one block. In summer there are more of them and
// they are shorter and heavier: the storm is 55 to 95 mm in four hours at the
// height of summer, 20 to 30 mm in ten hours in winter.
func layOut(seed uint64, index int64) []event {
	rng := rand.New(rand.NewPCG(seed, uint64(index)))
	begin := time.Unix(index*int64(block/time.Second), 0).UTC()
	summer := (1 - seasonOf(begin.Add(block/2))) / 2 // 0 to 1
	storm := 20 + 10*rng.Float64() + summer*summer*(35+30*rng.Float64())
	hours := 10 - 6*summer
	events := []event{newEvent(rng, begin, storm, hours)}
	for range 2 + int(4*summer*rng.Float64()+1.5*rng.Float64()) {
		events = append(events, newEvent(rng, begin, 0.6+9*rng.Float64()*rng.Float64()*(0.4+summer), 1+5*rng.Float64()))
	}
	return events
}

// newEvent places an event of so many mm in a block, clear of its end.
func newEvent(rng *rand.Rand, begin time.Time, mm, hours float64) event {
	length := time.Duration(hours * float64(time.Hour))
	return event{
		start:  begin.Add(time.Duration(rng.Float64() * float64(block-length))),
		length: length,
		peak:   2 * mm / hours,
		crest:  0.25 + 0.3*rng.Float64(),
	}
}
