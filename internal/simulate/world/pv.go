package world

import "math"

// Operating states of an inverter, with SunSpec's numbers (model 103, St).
const (
	Off      = 1
	Sleeping = 2
	Starting = 3
	MPPT     = 4
)

// PV is a plant of 40 kWp on a three-phase inverter of 36 kW.
type PV struct {
	ACPowerW  float64
	DCPowerW  float64
	DCVoltage float64
	DCCurrent float64
	CabinetC  float64
	EnergyKWh float64 // generated since installation
	Status    uint64
}

const (
	pvPeakW     = 40_000
	pvInverterW = 36_000
	pvStartW    = 150 // DC power below which the inverter sleeps
)

func (p *PV) step(w Weather) {
	cell := w.AirC + w.Irradiance*0.028
	dc := pvPeakW * w.Irradiance / 1000 * (1 - 0.0038*(cell-25)) * 0.96
	if dc < pvStartW {
		*p = PV{EnergyKWh: p.EnergyKWh, CabinetC: w.AirC + 1, Status: Sleeping}
		if dc > 0 {
			p.Status = Starting
		}
		return
	}
	load := min(dc, pvInverterW*1.02)
	p.DCPowerW = load
	p.ACPowerW = min(pvInverterW, load*(0.982-30/(load+30)*0.2)-45)
	p.DCVoltage = 610 - 1.9*(cell-25) + 12*math.Log(max(w.Irradiance, 20)/1000)
	p.DCCurrent = load / p.DCVoltage
	p.CabinetC = w.AirC + 4 + 22*p.ACPowerW/pvInverterW
	p.Status = MPPT
	p.EnergyKWh += p.ACPowerW / 1000 * stepHours
}
