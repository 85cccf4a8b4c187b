package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/evidence"
	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
	"yunhe/internal/telemetry"
)

// bench is one simulated SDM630 that is polled, under the fake time of a
// synctest bubble.
type bench struct {
	t      *testing.T
	sim    *device.Device
	device *Device
	energy float64 // what the import counter shows

	mu      sync.Mutex
	reads   []profile.Range
	reading int // reads under way
	delay   time.Duration
	dead    bool
	batches []Batch
	events  []evidence.Event
	changes int
}

type refused struct{ error }

func (refused) Illegal() bool { return true }

// Read answers from the simulated registers and fails the test when two polls
// overlap.
func (b *bench) Read(ctx context.Context, table profile.Table, address, count uint16) ([]byte, time.Time, error) {
	b.mu.Lock()
	b.reads = append(b.reads, profile.Range{Table: table, Address: address, Count: count})
	b.reading++
	if b.reading > 1 {
		b.t.Error("two reads of one device at once")
	}
	delay, dead := b.delay, b.dead
	b.mu.Unlock()
	time.Sleep(delay)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading--
	if dead {
		return nil, time.Time{}, errors.New("no answer in time")
	}
	a := b.sim.Answer(table, address, count)
	if a.Exception != 0 {
		return nil, time.Time{}, refused{fmt.Errorf("exception %d", a.Exception)}
	}
	return a.Raw, time.Now(), nil
}

func (b *bench) Batch(_ context.Context, batch Batch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch.Readings = slices.Clone(batch.Readings)
	if err := batch.Meaning.CheckReadings(batch.Readings); err != nil {
		b.t.Errorf("batch that its definition does not explain: %v", err)
	}
	b.batches = append(b.batches, batch)
	return nil
}

func (b *bench) Event(_ context.Context, e evidence.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	return nil
}

func (b *bench) Now() time.Time { return time.Now().UTC() }

func (b *bench) Clock() telemetry.Clock { return telemetry.Clock{State: telemetry.Synchronised} }

// take returns the batches so far and forgets them.
func (b *bench) take() []Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.batches
	b.batches, b.reads = nil, nil
	return out
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	text, err := firmwareconfig.Profiles.ReadFile("profiles/eastron-sdm630.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse("eastron-sdm630.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, energy: 1000}
	image := profile.Image{profile.Input: {}}
	for a := range uint16(392) {
		image[profile.Input][a] = 0
	}
	b.sim, err = device.New(device.Options{
		Name: "meter", Profile: p, Now: b.Now, Fixed: image,
		Source: func(at time.Time) map[string]telemetry.Value {
			return map[string]telemetry.Value{
				"voltage_l1": telemetry.Float(230), "frequency": telemetry.Float(50), "active_power": telemetry.Float(1500),
				"active_power_l1":      telemetry.Float(1000 + 1000*math.Sin(float64(at.Unix())/60)),
				"active_energy_import": telemetry.Float(b.energy),
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Site: "site", Gateway: "gw", Device: "meter", Profile: p, Fast: 10 * time.Second, Slow: time.Minute,
		Reader: b, Sink: b, Clock: b, Logger: slog.New(slog.DiscardHandler), Changed: func() { b.changes++ },
	}
	if change != nil {
		change(&cfg)
	}
	if b.device, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

// run polls for d of fake time, which begins at 2000-01-01T00:00:00Z.
func (b *bench) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	if err := b.device.Run(ctx); err != nil {
		b.t.Error(err)
	}
}

func points(rs []telemetry.Reading, q telemetry.Quality) []string {
	var out []string
	for _, r := range rs {
		if r.Quality == q {
			out = append(out, r.Point)
		}
	}
	slices.Sort(out)
	return out
}

var counters = []string{"active_energy_export", "active_energy_import", "reactive_energy_export", "reactive_energy_import"}

// Polls begin on the grid; on a quarter hour the counters come first, in a
// batch of their own, and not again in the other.
func TestGridAndBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		time.Sleep(7*time.Second + 300*time.Millisecond)
		b.run(16*time.Minute - 7300*time.Millisecond - time.Millisecond)
		batches := b.take()
		if len(batches) != 95+1 {
			t.Fatalf("%d batches, want one each 10 s and a boundary batch", len(batches))
		}
		boundary := 0
		for i, batch := range batches {
			at := batch.Readings[0].Time
			if !onGrid(at, 10*time.Second) {
				t.Errorf("batch %d at %s is off the grid", i, at)
			}
			names := points(batch.Readings, telemetry.Good)
			hasCounters := slices.Contains(names, "active_energy_import")
			switch {
			case batch.Boundary:
				boundary++
				if diff := cmp.Diff(counters, names); diff != "" || !onGrid(at, quarter) {
					t.Errorf("boundary batch at %s: %s", at, diff)
				}
			case hasCounters == onGrid(at, quarter):
				t.Errorf("batch at %s: counters %v", at, hasCounters)
			}
		}
		if boundary != 1 || !batches[slices.IndexFunc(batches, func(b Batch) bool { return b.Boundary })].Boundary {
			t.Errorf("%d boundary batches, want 1", boundary)
		}
	})
}

// A poll that takes longer than its period delays nothing and overlaps with
// nothing: the ticks it covers are counted. A quarter hour among them is
// polled late instead of never.
func TestNeverOverlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.delay = 13 * time.Second // a poll has three reads or so
		b.run(16 * time.Minute)
		s := b.device.Status()
		if s.Skipped == 0 || s.Polls+s.Skipped < 94 {
			t.Errorf("polls %d skipped %d of 96 ticks", s.Polls, s.Skipped)
		}
		boundary := 0
		for _, batch := range b.take() {
			if batch.Boundary {
				boundary++
				if at := batch.Readings[0].Time; at.Sub(at.Truncate(quarter)) > time.Minute {
					t.Errorf("boundary batch at %s", at)
				}
			}
		}
		if boundary != 1 {
			t.Errorf("%d boundary batches, want 1", boundary)
		}
	})
}

// One refused register costs its own reading alone, and is found once.
func TestBisect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.sim.Misbehave(device.Refuse(profile.Input, 52, 2)) // active_power
		b.run(11 * time.Second)
		first := b.take()
		if len(first) != 1 || !slices.Equal(points(first[0].Readings, telemetry.Bad), []string{"active_power"}) {
			t.Fatalf("bad readings: %v", first)
		}
		s := b.device.Status()
		if s.Refused != 1 || s.State != PartlyBad {
			t.Errorf("status %+v", s)
		}
		b.run(10 * time.Second)
		n := len(b.reads)
		second := b.take()
		if len(second) != 1 || len(points(second[0].Readings, telemetry.Bad)) != 0 || len(second[0].Readings) != 17 {
			t.Errorf("a reading that stays bad is repeated: %v", points(second[0].Readings, telemetry.Bad))
		}
		if n > 5 {
			t.Errorf("%d reads in the poll after the bisection", n)
		}
		// The register comes back: a quarter hour later it is read again.
		b.sim.Misbehave()
		b.run(31 * time.Minute)
		if s := b.device.Status(); s.Refused != 0 || s.State != Good {
			t.Errorf("after the register came back: %+v", s)
		}
	})
}

// A border inside the device, across which no read may go, costs no reading
// and is learnt once; a reading beside it is not blamed.
func TestBorderInsideTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.sim.Misbehave(func(q device.Query, a device.Answer) device.Answer {
			if q.Address < 30 && q.Address+q.Count > 30 {
				return device.Answer{Exception: 2}
			}
			return a
		})
		b.run(51 * time.Second)
		for _, batch := range b.take() {
			if bad := points(batch.Readings, telemetry.Bad); len(bad) > 0 {
				t.Errorf("bad readings at %s: %v", batch.Readings[0].Time, bad)
			}
		}
		if s := b.device.Status(); s.Refused != 0 || s.State != Good || s.LastError != "" {
			t.Errorf("status %+v", s)
		}
		refusals := 0
		count := func() int {
			refusals = 0
			for _, r := range b.reads {
				if r.Address < 30 && r.End() > 30 {
					refusals++
				}
			}
			return len(b.reads)
		}
		b.run(10 * time.Second)
		if n := count(); refusals > 0 || n == 0 || n > 4 {
			t.Errorf("%d reads a poll, %d of them across the border", n, refusals)
		}
		b.take()
		b.run(16 * time.Minute) // the quarter hour does not try an empty range
		if count(); refusals > 0 {
			t.Errorf("%d reads across the border on the quarter hour", refusals)
		}
		for _, r := range b.reads {
			if r.Count == 0 {
				t.Errorf("an empty range was read: %v", r)
			}
		}
	})
}

// A device that refuses everything is ill as a whole: no register is blamed.
func TestRefusingDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		all := make([]device.Fault, 0, 400)
		for a := range uint16(400) {
			all = append(all, device.Refuse(profile.Input, a, 2))
		}
		b.sim.Misbehave(all...)
		b.run(21 * time.Second)
		if s := b.device.Status(); s.Refused != 0 || s.State != Dead {
			t.Errorf("status %+v", s)
		}
		b.sim.Misbehave()
		b.take()
		b.run(10 * time.Second)
		if s := b.device.Status(); s.State != Good {
			t.Errorf("after it recovered: %+v", s)
		}
	})
}

// A dead device is bad at once, then on quarter hours, and good again at once.
func TestDeadDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.run(11 * time.Second)
		b.take()
		b.dead = true
		b.run(time.Minute)
		batches := b.take()
		if len(batches) != 1 || len(points(batches[0].Readings, telemetry.Bad)) != 18 {
			t.Fatalf("%d batches in the first minute of death, want one with all readings bad", len(batches))
		}
		for _, r := range batches[0].Readings {
			if r.Time.Year() < 2000 {
				t.Errorf("%s has no time", r.Point)
			}
		}
		b.run(15 * time.Minute)
		batches = b.take()
		if len(batches) != 2 || !batches[0].Boundary || batches[1].Boundary {
			t.Errorf("%d batches on the quarter hour, want the counters and the others", len(batches))
		}
		if s := b.device.Status(); s.State != Dead || s.Bad != 18 || s.LastError == "" {
			t.Errorf("status %+v", s)
		}
		b.dead = false
		b.run(10 * time.Second)
		if batches = b.take(); len(batches) != 1 || len(points(batches[0].Readings, telemetry.Good)) != 18 {
			t.Errorf("after it came back: %d batches", len(batches))
		}
	})
}

// countdown is an error like that of a bus which leaves a device alone.
type countdown struct{ at time.Time }

func (c countdown) Error() string { return "next try after " + c.at.String() }
func (c countdown) Cause() error  { return errors.New("no answer in time") }

// silent is a device in back-off.
type silent struct{ *bench }

func (s silent) Read(context.Context, profile.Table, uint16, uint16) ([]byte, time.Time, error) {
	return nil, time.Time{}, fmt.Errorf("read meter: %w", countdown{time.Now()})
}

// A dead device says so once, not in every poll.
func TestDeadDeviceIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines strings.Builder
		b := newBench(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&lines, nil)) })
		b.device.cfg.Reader = silent{b}
		b.run(time.Hour)
		if n := strings.Count(lines.String(), "level=WARN"); n < 1 || n > 3 {
			t.Errorf("%d warnings in an hour:\n%.2000s", n, lines.String())
		}
		if s := b.device.Status(); s.LastError != "no answer in time" {
			t.Errorf("status says %q", s.LastError)
		}
	})
}

func TestCounterFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.run(11 * time.Second)
		b.energy = 3
		b.run(20 * time.Second)
		b.energy = 4
		b.run(20 * time.Second)
		want := []evidence.Event{evidence.CounterFall{
			Device: "meter", Point: "active_energy_import", From: []byte{0x44, 0x7a, 0, 0}, To: []byte{0x40, 0x40, 0, 0},
		}}
		if diff := cmp.Diff(want, b.events); diff != "" {
			t.Error(diff)
		}
	})
}

// On a metered link counters are recorded on quarter hours, the others once a
// period and when they move, never more than the period may hold.
func TestMetered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) {
			c.Fast, c.Slow = time.Minute, time.Minute
			c.Metered = &Metered{Batch: quarter, Deadband: 0.05, MaxRows: 24}
		})
		time.Sleep(time.Second)
		b.run(time.Hour + time.Second)
		batches := b.take()
		var boundary, rest int
		for _, batch := range batches {
			if batch.Boundary {
				boundary++
				continue
			}
			rest++
			if n := len(batch.Readings); n < 14 || n > 24 {
				t.Errorf("%d rows in a batch, want 14 points to 24 rows", n)
			}
			if slices.Contains(points(batch.Readings, telemetry.Good), "active_energy_import") {
				t.Error("a counter outside of the quarter hour")
			}
		}
		if boundary != 4 || rest != 4 {
			t.Errorf("%d boundary and %d other batches in an hour", boundary, rest)
		}
	})
}

// A device of another model gives no values, whatever its registers hold.
func TestOtherModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.sim.Misbehave(func(q device.Query, a device.Answer) device.Answer {
			if q.Address == 0 && q.Count == 2 {
				a.Raw = []byte{0x12, 0x34, 0x56, 0x78}
			}
			return a
		})
		b.run(11 * time.Second)
		batches := b.take()
		if s := b.device.Status(); s.State != OtherModel || len(batches) != 1 || len(points(batches[0].Readings, telemetry.Bad)) != 18 {
			t.Errorf("status %+v, %d batches", s, len(batches))
		}
	})
}

func TestChosenPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Points = []string{"voltage_l12", "voltage_l1"} })
		b.run(61 * time.Second)
		last := b.take()
		if got := points(last[len(last)-1].Readings, telemetry.Good); !slices.Equal(got, []string{"voltage_l1", "voltage_l12"}) {
			t.Errorf("read %v", got)
		}
		if b.changes == 0 {
			t.Error("nobody was told the definition")
		}
	})
}

func TestCatchUp(t *testing.T) {
	g := Grid{Fast: 10 * time.Second, Slow: time.Minute}
	at := func(s string) time.Time {
		t.Helper()
		x, err := time.Parse(time.RFC3339Nano, "2026-11-01T"+s+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, tt := range []struct {
		tick, now string
		skipped   uint64
		missed    string
	}{
		{"12:00:00", "12:00:00.5", 0, ""},
		{"12:00:00", "12:00:10", 1, ""},
		{"12:14:50", "12:15:29", 3, "12:15:00"},
		{"12:14:50", "12:14:40", 0, ""}, // the clock was set back
	} {
		skipped, missed := g.catchUp(at(tt.tick), at(tt.now))
		want := time.Time{}
		if tt.missed != "" {
			want = at(tt.missed)
		}
		if skipped != tt.skipped || !missed.Equal(want) {
			t.Errorf("%s to %s: skipped %d missed %s", tt.tick, tt.now, skipped, missed)
		}
	}
}
