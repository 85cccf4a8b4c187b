// Package world is the physics of one small district site: weather, sun, PV
// plant, building, heat pump with its buffer, electricity and heat meters, a
// rain gauge and a storage tank under a roof. It advances on a fixed grid from
// a fixed start, and all chance comes from the seed: two worlds with the same
// start and seed are the same at every instant, however they got there.
//
// Energy and water hang together: what the main meter counts is load plus heat
// pump minus sun, what the heat meter counts left the buffer, what fell on the
// roof is in the tank, was used, was drained or went over.
package world

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Step is the grid on which the world advances. Powers and flows are constant
// within a step, so a counter's growth over a step is exactly power times Step.
const Step = 10 * time.Second

const (
	stepSeconds = float64(Step / time.Second)
	stepHours   = stepSeconds / 3600
)

// beijing is local time on the site; there is no daylight saving.
var beijing = time.FixedZone("CST", 8*3600)

// State is the site at one grid instant. Gauges are those of the step that
// ends there; counters have grown since the installation of their meter.
type State struct {
	Time    time.Time
	Weather Weather
	PV      PV
	Heat    Heat
	Mains   Mains
	Rain    Rain
	Tank    Tank
}

// World is a site in the course of time. It is safe for concurrent use.
type World struct {
	seed uint64

	mu      sync.Mutex
	rng     *rand.Rand
	state   State
	clouds  float64 // the chance behind cloud cover, standard normal
	anomaly float64 // temperature against the climate, K
	noise   [4]float64
	events  blockEvents
	window  []uint64 // tips at each step of the last hour, a ring
	steps   int
}

// New returns the world of seed as it starts. start is cut to the grid.
func New(start time.Time, seed uint64) *World {
	w := &World{
		seed:   seed,
		rng:    rand.New(rand.NewPCG(seed, 0x79756e6865)),
		window: make([]uint64, int(time.Hour/Step)),
		events: blockEvents{index: -1},
	}
	start = start.UTC().Truncate(Step)
	w.state = State{
		Time:  start.Add(-Step),
		PV:    PV{EnergyKWh: 2310, Status: Sleeping},
		Heat:  Heat{BufferC: 44, ElectricKWh: 1480, HeatKWh: 5150, MeterKWh: 4890, VolumeM3: 655, OperatingHours: 412, HotWater: Share{ElectricKWh: 290, HeatKWh: 910, OperatingHours: 76}},
		Mains: newMains(),
		Rain:  Rain{PowerOn: start},
		Tank:  Tank{LevelM: 0.6},
	}
	w.step() // so that the first state has all its gauges
	return w
}

// At returns the state at the last grid instant not after t. The world only
// goes forward: a t before the present gives the present.
func (w *World) At(t time.Time) State {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.state.Time.Add(Step).After(t) {
		w.step()
	}
	return w.state
}

// step advances by one Step. The order is that of cause and effect.
func (w *World) step() {
	s := &w.state
	s.Time = s.Time.Add(Step)
	local := s.Time.In(beijing)
	rain := w.rainfall(s.Time)
	w.weather(local, rain)
	s.PV.step(s.Weather)
	s.Heat.step(s.Weather.AirC, hotWater(local))
	w.mains(local)
	w.gauge(rain)
	s.Tank.step(rain, local)
	w.steps++
}

// drift moves one channel of slow noise: a standard normal process that
// forgets itself over tau steps.
func (w *World) drift(x, tau float64) float64 {
	a := 1 - 1/tau
	return a*x + w.rng.NormFloat64()*sqrt(1-a*a)
}

// hourOf returns the local hour of day, with fractions.
func hourOf(local time.Time) float64 {
	h, m, s := local.Clock()
	return float64(h) + float64(m)/60 + float64(s)/3600
}
