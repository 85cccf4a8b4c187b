package world

import (
	"math"
	"time"
)

// Heat is an air-source heat pump of 45 kW, the buffer it heats and the heat
// meter behind the buffer.
type Heat struct {
	// Heat pump.
	Running        bool
	CompressorHz   float64
	ElectricW      float64
	ThermalW       float64
	COP            float64 // 0 while the compressor stands
	FlowC, ReturnC float64
	SetpointC      float64
	OutdoorC       float64 // at the unit, its own sensor
	FlowM3H        float64
	ElectricKWh    float64
	HeatKWh        float64
	OperatingHours float64
	HotWater       Share // of the above
	Starts         uint64

	BufferC float64
	hot     float64 // part of the demand that is hot water

	// Heat meter, secondary side.
	DeliveredW                       float64
	SecondaryM3H                     float64
	SecondaryFlowC, SecondaryReturnC float64
	MeterKWh                         float64
	VolumeM3                         float64
	LossKWh                          float64 // buffer to its room, for the balance
}

// Share is the part of the heat pump's work that went into hot water.
type Share struct {
	ElectricKWh, HeatKWh, OperatingHours float64
}

const (
	buildingWK   = 950.0  // heat loss of the building, W/K
	indoorC      = 20.0   // kept by the heating
	heatingLimit = 15.0   // no heating above this outdoor temperature
	capacityW    = 45_000 // of the heat pump at 90 Hz
	minHz, maxHz = 30.0, 90.0
	pumpM3H      = 6.0
	standbyW     = 65.0
	pumpsW       = 310.0
	waterWhM3K   = 1163.0 // heat in a cubic metre of water, Wh/K
	bufferM3     = 2.0
	bufferLossWK = 4.0
	spreadK      = 7.0 // between flow and return of the building at full demand
)

// BufferKWh returns the heat stored above 0 °C.
func (h *Heat) BufferKWh() float64 { return bufferM3 * waterWhM3K * h.BufferC / 1000 }

// hotWater is the demand for domestic hot water by time of day, W.
func hotWater(local time.Time) float64 {
	peak := func(at, width, w float64) float64 {
		d := (hourOf(local) - at) / width
		return w * math.Exp(-d*d)
	}
	return 1200 + peak(7, 1.2, 9000) + peak(12, 1, 5000) + peak(19.5, 1.8, 8000)
}

func (h *Heat) step(airC, hotWaterW float64) {
	h.OutdoorC = airC
	heating := 0.0
	if airC < heatingLimit {
		heating = buildingWK * (indoorC - airC)
	}
	h.hot = hotWaterW / (heating + hotWaterW)
	h.deliver(heating + hotWaterW)
	h.control(airC)
	h.generate(airC)
	loss := bufferLossWK * (h.BufferC - indoorC)
	h.LossKWh += loss / 1000 * stepHours
	h.BufferC += (h.ThermalW - h.DeliveredW - loss) * stepHours / (bufferM3 * waterWhM3K)
}

// deliver takes demand out of the buffer; a cool buffer gives less.
func (h *Heat) deliver(demand float64) {
	demand *= min(1, max(0, (h.BufferC-25)/8))
	h.SecondaryFlowC = h.BufferC - 0.4
	dT := spreadK * min(1.4, 0.5+0.5*demand/20_000)
	h.SecondaryM3H = demand / (waterWhM3K * dT)
	h.SecondaryReturnC = h.SecondaryFlowC - dT
	h.DeliveredW = h.SecondaryM3H * waterWhM3K * (h.SecondaryFlowC - h.SecondaryReturnC)
	h.MeterKWh += h.DeliveredW / 1000 * stepHours
	h.VolumeM3 += h.SecondaryM3H * stepHours
}

// control is the thermostat: a heating curve, a band of 3 K about it and a
// compressor that follows the distance to the set point.
func (h *Heat) control(airC float64) {
	h.SetpointC = 45.0
	if airC < heatingLimit {
		h.SetpointC = min(52, 45+0.25*(heatingLimit-airC))
	}
	was := h.Running
	switch {
	case h.BufferC < h.SetpointC-3:
		h.Running = true
	case h.BufferC > h.SetpointC+3:
		h.Running = false
	}
	if h.Running && !was {
		h.Starts++
	}
	h.CompressorHz = 0
	if h.Running {
		h.CompressorHz = min(maxHz, max(minHz, 60+12*(h.SetpointC-h.BufferC)))
	}
}

// generate turns electricity into heat. The COP is 45 % of Carnot's, between
// the air less 6 K and the flow plus 4 K.
func (h *Heat) generate(airC float64) {
	h.ElectricW, h.ThermalW, h.COP, h.FlowM3H = standbyW, 0, 0, 0
	h.ReturnC, h.FlowC = h.BufferC, h.BufferC
	if h.Running {
		derate := min(1.1, max(0.6, 0.9+0.012*(airC-7)))
		h.ThermalW = capacityW * h.CompressorHz / maxHz * derate
		h.FlowM3H = pumpM3H
		h.FlowC = h.ReturnC + h.ThermalW/(waterWhM3K*pumpM3H)
		hot, cold := h.FlowC+4, airC-6
		h.COP = min(7, max(1.2, 0.45*(hot+273.15)/max(hot-cold, 10)))
		h.ElectricW = h.ThermalW/h.COP + pumpsW
		h.OperatingHours += stepHours
		h.HotWater.OperatingHours += stepHours * h.hot
	}
	electric, heat := h.ElectricW/1000*stepHours, h.ThermalW/1000*stepHours
	h.ElectricKWh += electric
	h.HeatKWh += heat
	h.HotWater.ElectricKWh += electric * h.hot
	h.HotWater.HeatKWh += heat * h.hot
}
