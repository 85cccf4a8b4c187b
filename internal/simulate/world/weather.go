package world

import (
	"math"
	"time"
)

func sqrt(x float64) float64 { return math.Sqrt(x) }

// Weather is what the site cannot change.
type Weather struct {
	AirC       float64 // air temperature
	Clouds     float64 // cover, 0 to 1
	Irradiance float64 // on a plane tilted to the south, W/m2
	RainMMH    float64 // intensity
}

// Beijing Tongzhou.
const (
	latitude  = 39.9 * math.Pi / 180
	solarLag  = (120 - 116.7) / 15 // hours by which the sun is behind the clock
	annualC   = 12.5               // mean of the year
	seasonC   = 15.0               // half of July minus January
	coldest   = 20                 // day of the year
	dailyC    = 4.5                // half of afternoon minus dawn
	warmest   = 15.0               // hour of the day
	anomalyC  = 2.5                // standard deviation of warm and cold spells
	spellStep = 2 * 24 * 360       // steps over which a spell forgets itself
	cloudStep = 5 * 360
)

func (w *World) weather(local time.Time, rain float64) {
	w.clouds = w.drift(w.clouds, cloudStep)
	w.anomaly = w.drift(w.anomaly, spellStep)
	cover := 1 / (1 + math.Exp(-1.6*(w.clouds-0.3)))
	if rain > 0 {
		cover = max(cover, 0.95)
	}
	hour := hourOf(local)
	// Clouds flatten the day.
	day := dailyC * (1.2 - 0.7*cover) * math.Cos((hour-warmest)/24*2*math.Pi)
	w.state.Weather = Weather{
		AirC:       annualC - seasonC*seasonOf(local) + day + anomalyC*w.anomaly,
		Clouds:     cover,
		Irradiance: clearSky(local.YearDay(), hour-solarLag) * (1 - 0.78*math.Pow(cover, 3)),
		RainMMH:    rain,
	}
}

// seasonOf is 1 in the coldest and -1 in the warmest time of the year.
func seasonOf(t time.Time) float64 {
	return math.Cos(2 * math.Pi * float64(t.YearDay()-coldest) / 365.25)
}

// clearSky is the irradiance without clouds on a plane tilted 30 degrees
// south, from the sun's elevation (Haurwitz' model, stretched for the tilt).
func clearSky(day int, solarHour float64) float64 {
	declination := 23.45 * math.Pi / 180 * math.Sin(2*math.Pi*float64(284+day)/365)
	angle := (solarHour - 12) * math.Pi / 12
	const tilt = 30 * math.Pi / 180
	elevation := math.Sin(latitude)*math.Sin(declination) + math.Cos(latitude)*math.Cos(declination)*math.Cos(angle)
	if elevation <= 0.01 {
		return 0
	}
	horizontal := 1098 * elevation * math.Exp(-0.057/elevation)
	onPlane := math.Sin(latitude-tilt)*math.Sin(declination) + math.Cos(latitude-tilt)*math.Cos(declination)*math.Cos(angle)
	return min(1050, max(0, 0.15*horizontal+0.85*horizontal*max(0, onPlane)/max(elevation, 0.1)))
}
