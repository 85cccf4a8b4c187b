package simulate_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"yunhe/internal/profile"
	"yunhe/internal/simulate"
	"yunhe/internal/simulate/device"
	"yunhe/internal/simulate/world"
	"yunhe/internal/telemetry"
)

var start = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

// clock is a virtual clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// newSite starts a site on a virtual clock.
func newSite(t testing.TB, onReply func(device.Reply)) (*simulate.Site, *clock) {
	t.Helper()
	c := &clock{t: start}
	s, err := simulate.NewSite(simulate.Options{Start: start, Seed: 7, Now: c.now, OnReply: onReply})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, c
}

// poll reads every enabled point of a device as the edge does, past all lines.
func poll(t testing.TB, s *simulate.Site, name string) map[string]telemetry.Reading {
	t.Helper()
	d, ok := s.Device(name)
	if !ok {
		t.Fatalf("there is no device %s", name)
	}
	plan, err := d.Profile().Plan(profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var results []profile.Result
	for _, b := range plan.Blocks {
		raw, at, err := d.Read(context.Background(), b.Table, b.Address, b.Count)
		if err != nil {
			t.Fatalf("%s %v: %v", name, b, err)
		}
		results = append(results, profile.Result{Block: b, Raw: raw, At: at})
	}
	out := map[string]telemetry.Reading{}
	for _, r := range plan.Decode(start, results) {
		out[r.Point] = r
	}
	return out
}

var all = []string{simulate.HeatPump, simulate.Inverter, simulate.MainMeter, simulate.HeatMeter, simulate.RainGauge, simulate.LevelProbe}

// TestEveryReadingIsGood: at night, by day and at year's end each enabled point
// of each device decodes, and the site lists each device once.
func TestEveryReadingIsGood(t *testing.T) {
	s, c := newSite(t, nil)
	listed := map[string]bool{}
	for _, e := range s.Endpoints() {
		if e.Address == "" || (e.Unit == 0) == (e.I2C == 0) || listed[e.Device] {
			t.Errorf("endpoint %+v", e)
		}
		listed[e.Device] = true
	}
	for hour := 0; hour < 36; hour++ {
		c.set(start.Add(time.Duration(hour) * time.Hour))
		for _, name := range all {
			if !listed[name] {
				t.Errorf("%s is not listed", name)
			}
			for point, r := range poll(t, s, name) {
				if r.Quality != telemetry.Good {
					t.Errorf("hour %d: %s %s is %s (raw % x)", hour, name, point, r.Quality, r.Raw)
				}
			}
		}
	}
}

// TestRegistersTellTheWorld compares what comes out of the registers with what
// went in, within the resolution of the device.
func TestRegistersTellTheWorld(t *testing.T) {
	s, c := newSite(t, nil)
	at := start.Add(9*24*time.Hour + 4*time.Hour) // noon in Beijing
	c.set(at)
	state := s.World.At(at)
	for _, x := range []struct {
		device, point    string
		want, resolution float64
	}{
		{simulate.MainMeter, "active_power", state.Mains.ActiveW, 0.01},
		{simulate.MainMeter, "voltage_l2", state.Mains.Phases[1].VoltageV, 0.0001},
		{simulate.MainMeter, "active_energy_import", state.Mains.ImportKWh, 0.001},
		{simulate.MainMeter, "active_energy_export", state.Mains.ExportKWh, 0.001},
		{simulate.Inverter, "active_power", state.PV.ACPowerW, 5},
		{simulate.Inverter, "active_energy_generation", state.PV.EnergyKWh, 0.001},
		{simulate.Inverter, "dc_voltage", state.PV.DCVoltage, 0.5},
		{simulate.HeatPump, "supply_temperature", state.Heat.FlowC, 0.05},
		{simulate.HeatPump, "active_energy_heating", math.Floor(state.Heat.ElectricKWh - state.Heat.HotWater.ElectricKWh), 0},
		{simulate.HeatMeter, "thermal_energy", state.Heat.MeterKWh, 0.001},
		{simulate.HeatMeter, "volume", state.Heat.VolumeM3, 0.001},
		{simulate.HeatMeter, "thermal_power", state.Heat.DeliveredW, 0.1},
		{simulate.RainGauge, "rainfall", state.Rain.TotalMM(), 0.00005},
		{simulate.RainGauge, "bucket_tips", float64(state.Rain.Tips), 0},
		{simulate.LevelProbe, "level", state.Tank.LevelM, 0.0005},
	} {
		r := poll(t, s, x.device)[x.point]
		got, ok := r.Value.AsFloat()
		if u, isUint := r.Value.AsUint(); isUint {
			got, ok = float64(u), true
		}
		if !ok || math.Abs(got-x.want) > x.resolution*1.0001 {
			t.Errorf("%s %s: %v, want %v ± %v", x.device, x.point, got, x.want, x.resolution)
		}
	}
	if state.PV.Status != world.MPPT || state.Rain.Tips == 0 {
		t.Errorf("the sun does not shine or it has never rained: %+v %+v; choose another instant", state.PV, state.Rain)
	}
}

// TestEnergyHangsTogetherInRegisters repeats the balance of the world with what
// a reader sees: import - export = load + heat pump - sun.
func TestEnergyHangsTogetherInRegisters(t *testing.T) {
	s, c := newSite(t, nil)
	sum := func() (mains, sun float64) {
		meter, pv := poll(t, s, simulate.MainMeter), poll(t, s, simulate.Inverter)
		in, _ := meter["active_energy_import"].Value.AsFloat()
		out, _ := meter["active_energy_export"].Value.AsFloat()
		made, _ := pv["active_energy_generation"].Value.AsFloat()
		return in - out, made
	}
	before := s.World.At(start)
	mains0, sun0 := sum()
	c.set(start.Add(7 * 24 * time.Hour))
	after := s.World.At(c.now())
	mains1, sun1 := sum()
	own := after.Mains.LoadKWh - before.Mains.LoadKWh + after.Heat.ElectricKWh - before.Heat.ElectricKWh
	if got, want := (mains1-mains0)+(sun1-sun0), own; math.Abs(got-want) > 0.005 {
		t.Errorf("a week's import - export + generation is %.3f kWh, load and heat pump took %.3f kWh", got, want)
	}
}

func TestRepliesAreTold(t *testing.T) {
	var told []device.Reply
	s, _ := newSite(t, func(r device.Reply) { told = append(told, r) })
	poll(t, s, simulate.LevelProbe)
	d, _ := s.Device(simulate.LevelProbe)
	d.Misbehave(device.Refuse(profile.Holding, 4, 2))
	if _, _, err := d.Read(t.Context(), profile.Holding, 2, 3); err != (device.Refused{Code: 2}) {
		t.Errorf("got %v", err)
	}
	if _, _, err := d.Read(t.Context(), profile.Holding, 2, 2); err != nil {
		t.Errorf("beside the refused register: %v", err)
	}
	d.Misbehave(device.Dead())
	if _, _, err := d.Read(t.Context(), profile.Holding, 2, 2); err != device.ErrSilent {
		t.Errorf("got %v", err)
	}
	d.Misbehave()
	if _, _, err := d.Read(t.Context(), profile.Holding, 500, 1); err != (device.Refused{Code: 2}) {
		t.Errorf("a register that is not there: %v", err)
	}
	if len(told) != 2 || told[0].Device != simulate.LevelProbe || len(told[0].Values) == 0 || len(told[0].Raw) == 0 {
		t.Errorf("told of %+v, want the two good answers", told)
	}
}

// BenchmarkHistoryDay reads every device of the site every five minutes of a
// day, past all lines.
func BenchmarkHistoryDay(b *testing.B) {
	s, c := newSite(b, nil)
	for day := 0; b.Loop(); day++ {
		for at := range 288 {
			c.set(start.Add(time.Duration(day)*24*time.Hour + time.Duration(at)*5*time.Minute))
			for _, name := range all {
				poll(b, s, name)
			}
		}
	}
}
