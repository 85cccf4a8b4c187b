package world

import (
	"math"
	"time"
)

// Tank is a storage of rain water under a roof. Up to the orifice the water is
// kept for reuse, above it is held back and let go slowly.
type Tank struct {
	LevelM      float64
	InflowM3H   float64
	OutflowM3H  float64 // through the orifice
	ReuseM3H    float64
	OverflowM3H float64

	InM3, OutM3, ReuseM3, OverflowM3 float64 // since the start

	roofM3 float64 // on its way down
}

// The works.
const (
	RoofM2       = 2600.0
	TankM2       = 42.0
	TankHeightM  = 3.0 // to the overflow
	orificeM     = 1.4 // height of the orifice
	orificeM2    = 0.0022
	runoff       = 0.9   // share of the rain that reaches the tank
	roofSeconds  = 420.0 // over which the roof drains
	reuseM3H     = 0.9   // garden and toilets by day
	reuseMinM    = 0.3
	gravity      = 9.81
	orificeCoeff = 0.62
)

// VolumeM3 returns the water in the tank.
func (t *Tank) VolumeM3() float64 { return t.LevelM * TankM2 }

// RoofM3 returns the water still on the roof, for the balance.
func (t *Tank) RoofM3() float64 { return t.roofM3 }

func (t *Tank) step(rainMMH float64, local time.Time) {
	t.roofM3 += rainMMH / 1000 * RoofM2 * runoff * stepHours
	in := t.roofM3 * stepSeconds / roofSeconds
	t.roofM3 -= in
	volume := t.VolumeM3() + in

	level := volume / TankM2
	var out, reuse, over float64
	if head := level - orificeM; head > 0 {
		out = orificeCoeff * orificeM2 * math.Sqrt(2*gravity*head) * stepSeconds
		out = min(out, head*TankM2)
	}
	if h := local.Hour(); h >= 7 && h < 21 && level > reuseMinM {
		reuse = reuseM3H * stepHours
	}
	volume -= out + reuse
	if spare := volume - TankHeightM*TankM2; spare > 0 {
		over, volume = spare, TankHeightM*TankM2
	}
	t.LevelM = volume / TankM2
	t.InflowM3H, t.OutflowM3H, t.ReuseM3H, t.OverflowM3H = in/stepHours, out/stepHours, reuse/stepHours, over/stepHours
	t.InM3, t.OutM3, t.ReuseM3, t.OverflowM3 = t.InM3+in, t.OutM3+out, t.ReuseM3+reuse, t.OverflowM3+over
}
