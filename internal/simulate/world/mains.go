package world

import (
	"math"
	"time"
)

// Phase is one phase at the main meter; import is positive.
type Phase struct {
	VoltageV, CurrentA    float64
	ActiveW, ReactiveVar  float64
	ApparentVA            float64
	ImportKWh, ExportKWh  float64
	PowerFactor, AngleDeg float64
}

// Mains is the main meter and the building's own load behind it.
type Mains struct {
	LoadW        float64 // building without heat pump
	LoadKWh      float64
	Phases       [3]Phase
	ActiveW      float64 // sum of the phases
	ReactiveVar  float64
	ApparentVA   float64
	PowerFactor  float64
	FrequencyHz  float64
	NeutralA     float64
	ImportKWh    float64 // of the sum of the phases
	ExportKWh    float64
	ReactiveKvah float64 // inductive, import
	DemandW      float64 // mean of the quarter hour so far
	demandSum    float64
	demandSteps  float64
}

func newMains() Mains {
	m := Mains{ImportKWh: 3820, ExportKWh: 640, ReactiveKvah: 905, FrequencyHz: 50}
	for i := range m.Phases {
		m.Phases[i].ImportKWh, m.Phases[i].ExportKWh = 1300, 240
	}
	return m
}

// shares of the building's load by phase; noise moves them a little.
func shares(noise [4]float64) [3]float64 {
	a := 0.36 + 0.02*noise[0]
	b := 0.31 + 0.02*noise[1]
	return [3]float64{a, b, 1 - a - b}
}

const tanPhi = 0.33 // reactive over active power of the building

func (w *World) mains(local time.Time) {
	for i := range 3 {
		w.noise[i] = w.drift(w.noise[i], 90)
	}
	m := &w.state.Mains
	m.LoadW = buildingLoad(local) * max(0.5, 1+0.07*w.noise[2]+0.02*w.rng.NormFloat64())
	m.LoadKWh += m.LoadW / 1000 * stepHours
	m.FrequencyHz = 50 + 0.012*w.noise[0] + 0.004*w.rng.NormFloat64()
	share := shares(w.noise)
	pump, sun := w.state.Heat.ElectricW/3, w.state.PV.ACPowerW/3
	for i := range m.Phases {
		m.Phases[i].step(m.LoadW*share[i]+pump-sun, m.LoadW*share[i]*tanPhi+pump*0.2, 231+1.2*w.noise[i])
	}
	m.sum(local)
}

// buildingLoad is the expected load of offices and shops, W.
func buildingLoad(local time.Time) float64 {
	h := hourOf(local)
	ramp := func(from, to float64) float64 {
		return 1/(1+math.Exp(-2.5*(h-from))) - 1/(1+math.Exp(-2.5*(h-to)))
	}
	base, office := 5200.0, 15500*ramp(8, 18.2)-3200*ramp(11.8, 13.3)
	if day := local.Weekday(); day == time.Saturday || day == time.Sunday {
		office *= 0.28
	}
	return base + office + 5200*ramp(17, 22)
}

func (p *Phase) step(active, reactive, open float64) {
	// A kilowatt in pulls the voltage down by 0.25 V, one out lifts it.
	p.VoltageV = open - active/1000*0.25
	p.ActiveW, p.ReactiveVar = active, reactive
	p.ApparentVA = math.Hypot(active, reactive)
	p.CurrentA = p.ApparentVA / p.VoltageV
	p.PowerFactor, p.AngleDeg = 1, 0
	if p.ApparentVA > 0 {
		p.PowerFactor = active / p.ApparentVA
		p.AngleDeg = math.Atan2(reactive, active) * 180 / math.Pi
	}
	p.ImportKWh += max(0, active) / 1000 * stepHours
	p.ExportKWh += max(0, -active) / 1000 * stepHours
}

func (m *Mains) sum(local time.Time) {
	m.ActiveW, m.ReactiveVar = 0, 0
	var re, im float64
	for i, p := range m.Phases {
		m.ActiveW += p.ActiveW
		m.ReactiveVar += p.ReactiveVar
		sin, cos := math.Sincos((p.AngleDeg + 120*float64(i)) * math.Pi / 180)
		re, im = re+p.CurrentA*cos, im+p.CurrentA*sin
	}
	m.NeutralA = math.Hypot(re, im)
	m.ApparentVA = math.Hypot(m.ActiveW, m.ReactiveVar)
	m.PowerFactor = m.ActiveW / max(m.ApparentVA, 1)
	m.ImportKWh += max(0, m.ActiveW) / 1000 * stepHours
	m.ExportKWh += max(0, -m.ActiveW) / 1000 * stepHours
	m.ReactiveKvah += m.ReactiveVar / 1000 * stepHours
	if local.Minute()%15 == 0 && local.Second() < int(stepSeconds) {
		m.demandSum, m.demandSteps = 0, 0
	}
	m.demandSum, m.demandSteps = m.demandSum+max(0, m.ActiveW), m.demandSteps+1
	m.DemandW = m.demandSum / m.demandSteps
}
