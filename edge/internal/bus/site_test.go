package bus

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"yunhe/internal/profile"
	"yunhe/internal/simulate"
	"yunhe/internal/simulate/device"
	"yunhe/internal/telemetry"
)

// TestSite reads the whole simulated site over its sockets and its I2C bus, as
// an agent does: every reading is good and every reply that the site says it
// gave has arrived.
func TestSite(t *testing.T) {
	var mu sync.Mutex
	given := map[string]int{}
	begin := time.Date(2026, 6, 20, 4, 0, 0, 0, time.UTC)
	site, err := simulate.NewSite(simulate.Options{
		Start: begin, Seed: 1, Now: func() time.Time { return begin.Add(time.Hour) },
		OnReply: func(r device.Reply) {
			mu.Lock()
			defer mu.Unlock()
			given[r.Device]++
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, site.Run)

	buses, devices := map[string]*Bus{}, map[string]*Device{}
	for _, e := range site.Endpoints() {
		a, err := ParseAddress(e.Address)
		if err != nil {
			t.Fatal(err)
		}
		if buses[e.Address] == nil {
			buses[e.Address] = runBus(t, Options{Address: a, OpenI2C: site.OpenI2C})
		}
		sim, _ := site.Device(e.Device)
		link := sim.Profile().Link
		link.MinGap, link.UnitPause = 0, 0 // for the test's own speed
		devices[e.Device] = add(t, buses[e.Address], e.Device, e.Unit+e.I2C, link)
	}
	taken, values := map[string]int{}, 0
	for name, d := range devices {
		p := profileOf(t, site, name, d)
		mu.Lock()
		given[name] = 0 // those of the discovery
		mu.Unlock()
		plan, err := p.Plan(profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var results []profile.Result
		for _, block := range plan.Blocks {
			raw, at, err := d.Read(t.Context(), block.Table, block.Address, block.Count)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			taken[name]++
			results = append(results, profile.Result{Block: block, Raw: raw, At: at, Err: err})
		}
		for _, r := range plan.Decode(time.Now(), results) {
			if values++; r.Quality != telemetry.Good {
				t.Errorf("%s %s is %s", name, r.Point, r.Quality)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for name := range devices {
		if taken[name] != given[name] || taken[name] == 0 {
			t.Errorf("%s gave %d replies, %d arrived", name, given[name], taken[name])
		}
	}
	t.Logf("%d values in %v block reads", values, taken)
}

// profileOf returns a device's profile; the inverter's is discovered over its
// line.
func profileOf(t *testing.T, site *simulate.Site, name string, d *Device) *profile.Profile {
	t.Helper()
	sim, _ := site.Device(name)
	if name != simulate.Inverter {
		return sim.Profile()
	}
	p, err := profile.Discover(t.Context(), func(ctx context.Context, table profile.Table, address, count uint16) ([]byte, error) {
		raw, _, err := d.Read(ctx, table, address, count)
		return raw, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Found.Serial == "" || p.Kind != "pv_inverter" {
		t.Errorf("discovered %+v of kind %s", p.Found, p.Kind)
	}
	return p
}

// BenchmarkReadTCP is one block read over a loopback socket, both ends included.
func BenchmarkReadTCP(b *testing.B) {
	now := time.Now()
	site, err := simulate.NewSite(simulate.Options{Start: now, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = site.Run(ctx) }()
	var meter simulate.Endpoint
	for _, e := range site.Endpoints() {
		if e.Device == simulate.MainMeter {
			meter = e
		}
	}
	a, err := ParseAddress(meter.Address)
	if err != nil {
		b.Fatal(err)
	}
	line, err := New(Options{Name: "bench", Address: a, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = line.Run(ctx) }()
	d, err := line.Add("meter", meter.Unit, profile.Link{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := d.Read(ctx, profile.Input, 0, 60); err != nil {
			b.Fatal(err)
		}
	}
}
