package world_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"yunhe/internal/simulate/world"
)

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

var starts = []time.Time{date("2026-01-10"), date("2026-04-20"), date("2026-07-01"), date("2026-10-05")}

const month = 35 * 24 * time.Hour

var unexported = cmpopts.IgnoreUnexported(world.Mains{}, world.Tank{}, world.Heat{})

func TestSameSeedSameWorld(t *testing.T) {
	start := starts[2]
	end := start.Add(3*24*time.Hour + 7*time.Second)
	jump := world.New(start, 7).At(end)
	walker := world.New(start, 7)
	for at := start; at.Before(end); at = at.Add(97 * time.Second) {
		walker.At(at)
	}
	if diff := cmp.Diff(jump, walker.At(end), unexported); diff != "" {
		t.Errorf("a world that was looked at differs (-jump +walk):\n%s", diff)
	}
	if cmp.Equal(jump, world.New(start, 8).At(end), unexported) {
		t.Error("another seed gives the same world")
	}
	if got := jump.Time; !got.Equal(end.Truncate(world.Step)) {
		t.Errorf("state is of %v, want the grid instant before %v", got, end)
	}
	if got := world.New(start, 7).At(start).Time; !got.Equal(start) {
		t.Errorf("the first state is of %v, want %v", got, start)
	}
	if got := walker.At(start).Time; !got.Equal(jump.Time) {
		t.Errorf("the world went back to %v", got)
	}
}

// near reports whether two sums agree up to the rounding of some 100,000 additions.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6+1e-9*math.Abs(a) }

func TestConservation(t *testing.T) {
	for _, start := range []time.Time{starts[0], starts[2]} {
		t.Run(start.Format(time.DateOnly), func(t *testing.T) {
			w := world.New(start, 1)
			a, b := w.At(start), w.At(start.Add(month))
			grown := func(f func(world.State) float64) float64 { return f(b) - f(a) }
			balance := func(name string, left, right float64) {
				t.Helper()
				if !near(left, right) {
					t.Errorf("%s: %.9f against %.9f", name, left, right)
				}
			}
			load := grown(func(s world.State) float64 { return s.Mains.LoadKWh })
			pump := grown(func(s world.State) float64 { return s.Heat.ElectricKWh })
			sun := grown(func(s world.State) float64 { return s.PV.EnergyKWh })
			balance("main meter import - export = load + heat pump - sun",
				grown(func(s world.State) float64 { return s.Mains.ImportKWh - s.Mains.ExportKWh }), load+pump-sun)
			balance("the phases add up", grown(func(s world.State) float64 { return s.Mains.ImportKWh - s.Mains.ExportKWh }),
				grown(func(s world.State) (sum float64) {
					for _, p := range s.Mains.Phases {
						sum += p.ImportKWh - p.ExportKWh
					}
					return sum
				}))
			balance("heat made = heat metered + lost + stored",
				grown(func(s world.State) float64 { return s.Heat.HeatKWh }),
				grown(func(s world.State) float64 { return s.Heat.MeterKWh + s.Heat.LossKWh + s.Heat.BufferKWh() }))
			balance("rain on the roof = roof + tank + drained + used + over",
				grown(func(s world.State) float64 { return s.Rain.FallenMM / 1000 * world.RoofM2 * 0.9 }),
				grown(func(s world.State) float64 {
					return s.Tank.RoofM3() + s.Tank.VolumeM3() + s.Tank.OutM3 + s.Tank.ReuseM3 + s.Tank.OverflowM3
				}))
			if load <= 0 || pump <= 0 || sun <= 0 {
				t.Errorf("load %.0f, heat pump %.0f, sun %.0f kWh: each should be above 0", load, pump, sun)
			}
		})
	}
}

// TestStep checks that what a step shows as power is what its counters grew by.
func TestStep(t *testing.T) {
	w := world.New(starts[1], 3)
	prev := w.At(starts[1])
	for i := range 20_000 {
		s := w.At(starts[1].Add(time.Duration(i+1) * world.Step))
		hours := world.Step.Hours()
		for _, c := range []struct {
			name       string
			watts      float64
			kWh, dkWh  float64
			neverFalls bool
		}{
			{"import", max(0, s.Mains.ActiveW), s.Mains.ImportKWh, s.Mains.ImportKWh - prev.Mains.ImportKWh, true},
			{"export", max(0, -s.Mains.ActiveW), s.Mains.ExportKWh, s.Mains.ExportKWh - prev.Mains.ExportKWh, true},
			{"sun", s.PV.ACPowerW, s.PV.EnergyKWh, s.PV.EnergyKWh - prev.PV.EnergyKWh, true},
			{"heat pump", s.Heat.ElectricW, s.Heat.ElectricKWh, s.Heat.ElectricKWh - prev.Heat.ElectricKWh, true},
			{"heat meter", 1163 * s.Heat.SecondaryM3H * (s.Heat.SecondaryFlowC - s.Heat.SecondaryReturnC), s.Heat.MeterKWh, s.Heat.MeterKWh - prev.Heat.MeterKWh, true},
		} {
			if math.Abs(c.watts/1000*hours-c.dkWh) > 1e-9*max(1, c.kWh) {
				t.Fatalf("%v %s: %.6f kWh from the power, counter grew %.6f", s.Time, c.name, c.watts/1000*hours, c.dkWh)
			}
			if c.dkWh < 0 {
				t.Fatalf("%v %s fell", s.Time, c.name)
			}
		}
		var sum float64
		for _, p := range s.Mains.Phases {
			sum += p.ActiveW
			if math.Abs(math.Hypot(p.ActiveW, p.ReactiveVar)-p.VoltageV*p.CurrentA) > 1e-6 {
				t.Fatalf("%v: P, Q and V times I do not belong together: %+v", s.Time, p)
			}
		}
		if want := s.Mains.LoadW + s.Heat.ElectricW - s.PV.ACPowerW; !near(sum, want) || !near(s.Mains.ActiveW, want) {
			t.Fatalf("%v: phases %.3f W, total %.3f W, want %.3f W", s.Time, sum, s.Mains.ActiveW, want)
		}
		if s.Rain.Tips < prev.Rain.Tips {
			t.Fatalf("%v: tips fell", s.Time)
		}
		prev = s
	}
}

// TestPlausible keeps every gauge inside what such a site shows, in every
// season, and each month inside what falls and flows there.
func TestPlausible(t *testing.T) {
	for seed, start := range starts {
		t.Run(start.Format(time.DateOnly), func(t *testing.T) {
			w := world.New(start, uint64(seed))
			first := w.At(start)
			s := first
			var top, hour, night float64
			for at := start; at.Before(start.Add(month)); at = at.Add(5 * time.Minute) {
				s = w.At(at)
				top, hour = max(top, s.Tank.LevelM), max(hour, s.Rain.HourMM())
				if h := at.Add(8 * time.Hour).Hour(); h < 3 {
					night = max(night, s.PV.ACPowerW)
				}
				within(t, s.Time, "air", s.Weather.AirC, -25, 45)
				within(t, s.Time, "irradiance", s.Weather.Irradiance, 0, 1100)
				within(t, s.Time, "PV power", s.PV.ACPowerW, 0, 36_000)
				within(t, s.Time, "buffer", s.Heat.BufferC, 28, 58)
				within(t, s.Time, "flow", s.Heat.FlowC, 28, 63)
				within(t, s.Time, "COP", s.Heat.COP, 0, 7)
				within(t, s.Time, "frequency", s.Mains.FrequencyHz, 49.8, 50.2)
				within(t, s.Time, "tank", s.Tank.LevelM, 0, world.TankHeightM)
				for _, p := range s.Mains.Phases {
					within(t, s.Time, "voltage", p.VoltageV, 207, 253)
					within(t, s.Time, "current", p.CurrentA, 0, 160)
					within(t, s.Time, "power factor", p.PowerFactor, -1, 1)
				}
			}
			mm := s.Rain.FallenMM - first.Rain.FallenMM
			t.Logf("rain %.0f mm, most in an hour %.1f mm, tank up to %.2f m, over %.1f m3, sun %.0f kWh, heat pump %.0f kWh, heat %.0f kWh, import %.0f kWh, export %.0f kWh, hot %.1f h, %d starts",
				mm, hour, top, s.Tank.OverflowM3, s.PV.EnergyKWh-first.PV.EnergyKWh, s.Heat.ElectricKWh-first.Heat.ElectricKWh, s.Heat.MeterKWh-first.Heat.MeterKWh,
				s.Mains.ImportKWh-first.Mains.ImportKWh, s.Mains.ExportKWh-first.Mains.ExportKWh, s.Heat.OperatingHours-first.Heat.OperatingHours, s.Heat.Starts-first.Heat.Starts)
			within(t, s.Time, "rain of the month, mm", mm, 10, 400)
			within(t, s.Time, "storm, mm in its heaviest hour", hour, 4, 90)
			within(t, s.Time, "PV at night", night, 0, 0)
		})
	}
}

func within(t *testing.T, at time.Time, what string, got, lo, hi float64) {
	t.Helper()
	if !(got >= lo && got <= hi) {
		t.Fatalf("%v: %s is %g, want %g to %g", at, what, got, lo, hi)
	}
}

func TestTipsAreRain(t *testing.T) {
	w := world.New(starts[2], 5)
	s := w.At(starts[2].Add(month))
	if r := s.Rain; r.TotalMM() > r.FallenMM || r.FallenMM-r.TotalMM() > world.MMPerTip {
		t.Errorf("%d tips are %.4f mm, %.4f mm fell", r.Tips, r.TotalMM(), r.FallenMM)
	}
	hourAgo := world.New(starts[2], 5).At(s.Time.Add(-time.Hour))
	if got, want := s.Rain.LastHour, s.Rain.Tips-hourAgo.Rain.Tips; got != want {
		t.Errorf("last hour %d tips, want %d", got, want)
	}
}

func BenchmarkMonth(b *testing.B) {
	for b.Loop() {
		world.New(starts[2], 1).At(starts[2].Add(month))
	}
}
