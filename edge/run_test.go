package edge

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"yunhe/edge/internal/publish/publishtest"
	"yunhe/internal/evidence"
	"yunhe/internal/simulate"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// site starts the simulated site and returns a config that reads it.
func site(t *testing.T, start time.Time, now func() time.Time) (*simulate.Site, Config) {
	t.Helper()
	s, err := simulate.NewSite(simulate.Options{Start: start, Seed: 1, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return s.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	cfg := Config{
		Gateway: "gw-1", Site: "tongzhou-1", StateDir: filepath.Join(t.TempDir(), "s"),
		Journal: Journal{MaxSize: 64 << 20, Floor: time.Hour, Sync: 20 * time.Millisecond},
		Poll:    Poll{Fast: 100 * time.Millisecond, Slow: 500 * time.Millisecond},
	}
	lines := map[string]string{}
	for _, e := range s.Endpoints() {
		bus, ok := lines[e.Address]
		if !ok {
			bus = "bus-" + e.Device
			lines[e.Address] = bus
			cfg.Buses = append(cfg.Buses, Bus{ID: bus, Address: e.Address})
		}
		cfg.Devices = append(cfg.Devices, Device{ID: e.Device, Profile: e.Profile, Bus: bus, Unit: e.Unit, I2CAddress: e.I2C})
	}
	return s, cfg
}

func deps(s *simulate.Site) Deps {
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	return Deps{OpenI2C: s.OpenI2C, Version: "test", Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))}
}

// start runs an agent until stop is called.
func start(t *testing.T, cfg Config, d Deps) (a *Agent, stop func()) {
	t.Helper()
	a, err := Open(t.Context(), cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the agent does not stop")
		}
	}
	t.Cleanup(stop)
	return a, stop
}

func publicKeyOf(t *testing.T, cfg Config) evidence.PublicKey {
	t.Helper()
	text, err := Key(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k, err := evidence.ParsePublicKey(text.Text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The whole way over real sockets: every device of the simulated site is read
// over Modbus TCP and I2C, signed, journalled, sent, verified and acknowledged,
// and a second start goes on where the first ended.
func TestSite(t *testing.T) {
	s, cfg := site(t, time.Now().Add(-time.Hour).Truncate(time.Hour), time.Now)
	b := publishtest.StartBroker(t, "")
	cfg.Broker.URL = b.URL()
	c := publishtest.StartCollector(t, b, publicKeyOf(t, cfg), nil)
	a, stop := start(t, cfg, deps(s))

	good := func() bool {
		for _, d := range a.Status().Devices {
			if d.State != "good" {
				return false
			}
		}
		return true
	}
	publishtest.Until(t, 10*time.Second, "every device good", good)
	publishtest.Until(t, 10*time.Second, "a batch of every device stored", func() bool {
		seen := map[string]bool{}
		for _, e := range c.Arrivals() {
			if e.Entry.Content.Kind == evidence.KindBatch {
				seen[e.Topic.Device] = true
			}
		}
		return len(seen) == len(cfg.Devices)
	})
	st, err := QueryStatus(t.Context(), cfg)
	if err != nil || !st.Session.Connected || st.Gateway != "gw-1" {
		t.Errorf("status over the socket: %+v %v", st.Session, err)
	}
	checkMeaning(t, c.Arrivals())
	stop()
	for _, d := range a.Status().Devices {
		t.Logf("%+v", d)
	}

	before := len(c.Stored())
	start(t, cfg, deps(s))
	publishtest.Until(t, 10*time.Second, "more entries after a restart", func() bool { return len(c.Stored()) > before+20 })
	publishtest.Until(t, 10*time.Second, "no hole below the newest entry", func() bool { return holes(c.Stored()) == "" })
}

// checkMeaning demands that each batch is explained by a definition.
func checkMeaning(t *testing.T, arrivals []publishtest.Arrival) {
	t.Helper()
	defs := map[evidence.Hash]evidence.Definition{}
	for _, a := range arrivals {
		if a.Entry.Content.Kind == evidence.KindDefinition {
			d, err := evidence.DecodeDefinition(a.Entry.Content.Data)
			if err != nil {
				t.Fatal(err)
			}
			defs[evidence.HashOf(a.Entry.Content.Data)] = d
		}
	}
	for _, a := range arrivals {
		c := a.Entry.Content
		if c.Kind != evidence.KindBatch {
			continue
		}
		d, ok := defs[c.DefHash]
		if !ok || d.Device != a.Topic.Device {
			t.Errorf("batch %v of %s has no definition of its own", a.Number, a.Topic.Device)
			continue
		}
		if err := d.CheckReadings(c.Readings); err != nil {
			t.Errorf("batch %v: %v", a.Number, err)
		}
	}
}

// holes tells the numbers that are not stored though a later one of their
// journal is, and links that are broken.
func holes(stored map[publishtest.Number]evidence.Entry) string {
	newest := map[uint64]uint64{}
	for n := range stored {
		newest[n.JID] = max(newest[n.JID], n.JSeq)
	}
	var missing evidence.Ranges
	broken := ""
	for jid, hi := range newest {
		for seq := uint64(1); seq <= hi; seq++ {
			e, ok := stored[publishtest.Number{JID: jid, JSeq: seq}]
			if !ok {
				missing.Add(jid, seq)
				continue
			}
			if before, ok := stored[publishtest.Number{JID: jid, JSeq: seq - 1}]; ok && e.Content.Prev != before.Hash {
				broken += fmt.Sprintf(" %d:%d does not name the one before", jid, seq)
			}
		}
	}
	return missing.String() + broken
}

// A history is made at full speed under its own clock and drains behind live
// data, from journals of its own.
func TestBackfill(t *testing.T) {
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	s, cfg := site(t, from, time.Now)
	now := from
	pastSite, pastCfg := site(t, from, func() time.Time { return now })
	b := publishtest.StartBroker(t, "")
	cfg.Broker.URL = b.URL()
	c := publishtest.StartCollector(t, b, publicKeyOf(t, cfg), nil)
	a, _ := start(t, cfg, deps(s))
	to := from.Add(12 * time.Hour)
	began := time.Now()
	err := a.Backfill(t.Context(), History{
		From: from, To: to, Every: 5 * time.Minute, Buses: pastCfg.Buses, OpenI2C: pastSite.OpenI2C,
		Step: func(at time.Time) error { now = at; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("12 h of history made in %s", time.Since(began))
	times := map[string]map[int64]bool{}
	defer func() {
		for p, at := range times {
			if len(at) != 144 {
				t.Logf("%s: %d of 144 readings", p, len(at))
			}
		}
		t.Logf("holes: %q; %d stored, %d arrived; status %+v", holes(c.Stored()), len(c.Stored()), len(c.Arrivals()), a.Status().Session)
		t.Logf("%+v", a.Status().Journals)
	}()
	publishtest.Until(t, 20*time.Second, "the whole history at the collector", func() bool {
		clear(times)
		for _, e := range c.Stored() {
			for _, r := range e.Content.Readings {
				if r.Time.Before(to) {
					key := fmt.Sprint(r.Point, "@", e.Content.DefHash)
					if times[key] == nil {
						times[key] = map[int64]bool{}
					}
					times[key][telemetry.Millis(r.Time)] = true
				}
			}
		}
		for _, at := range times {
			if len(at) != 144 {
				return false
			}
		}
		return len(times) > 20
	})
}

// However often the agent, the broker and the acknowledgements fail, every
// entry that was signed arrives in the end.
func TestNothingIsLost(t *testing.T) {
	s, cfg := site(t, time.Now().Truncate(time.Hour), time.Now)
	b := publishtest.StartBroker(t, "")
	cfg.Broker.URL = b.URL()
	key := publicKeyOf(t, cfg)
	var mu sync.Mutex
	n := 0
	c := publishtest.StartCollector(t, b, key, func(publishtest.Arrival) publishtest.Decision {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%5 == 0 {
			return publishtest.Silence
		}
		return publishtest.Ack
	})
	for range 3 { // short lives, none of which delivers everything
		_, stop := start(t, cfg, deps(s))
		before := len(c.Arrivals())
		publishtest.Until(t, 10*time.Second, "some entries", func() bool { return len(c.Arrivals()) > before+30 })
		stop()
	}
	b.Stop()
	c.Stop()
	a, stop := start(t, cfg, deps(s)) // nobody to talk to
	publishtest.Until(t, 10*time.Second, "a backlog", func() bool {
		for _, j := range a.Status().Journals {
			if j.Name == rawJournal && j.Backlog > 50 {
				return true
			}
		}
		return false
	})
	stop()
	b = publishtest.StartBroker(t, b.Addr)
	rest := publishtest.StartCollector(t, b, key, nil)
	a, stop = start(t, cfg, deps(s))
	var all map[publishtest.Number]evidence.Entry
	publishtest.Until(t, 20*time.Second, "every entry of every life", func() bool {
		all = c.Stored()
		for n, e := range rest.Stored() {
			if old, ok := all[n]; ok && old.Hash != e.Hash {
				t.Errorf("%v came with two contents", n)
			}
			all[n] = e
		}
		epochs := map[uint64]bool{}
		for n := range all {
			epochs[n.JID] = true
		}
		return len(epochs) == 2*5 && holes(all) == "" // two journals, five starts
	})
	stop()
}

// A collector that lost a definition gets it again, also an old one.
func TestDefine(t *testing.T) {
	s, cfg := site(t, time.Now().Truncate(time.Hour), time.Now)
	b := publishtest.StartBroker(t, "")
	cfg.Broker.URL = b.URL()
	c := publishtest.StartCollector(t, b, publicKeyOf(t, cfg), nil)
	start(t, cfg, deps(s))
	definitions := func() (out []publishtest.Arrival) {
		for _, a := range c.Arrivals() {
			if a.Entry.Content.Kind == evidence.KindDefinition {
				out = append(out, a)
			}
		}
		return out
	}
	publishtest.Until(t, 10*time.Second, "definitions", func() bool { return len(definitions()) >= len(cfg.Devices) })
	first := definitions()[0]
	h := evidence.HashOf(first.Entry.Content.Data)
	c.Command(sparkplug.Topic{Group: cfg.Site, Node: cfg.Gateway}, sparkplug.Command{Define: h.String()})
	publishtest.Until(t, 10*time.Second, "the definition anew", func() bool {
		times := 0
		for _, a := range definitions() {
			if evidence.HashOf(a.Entry.Content.Data) == h && a.Topic.Device == first.Topic.Device {
				times++
			}
		}
		return times >= 2
	})
}

// One state directory has one agent.
func TestSecondAgent(t *testing.T) {
	s, cfg := site(t, time.Now().Truncate(time.Hour), time.Now)
	cfg.Broker.URL = "mqtt://127.0.0.1:1"
	a, err := Open(t.Context(), cfg, deps(s))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg, deps(s)); err == nil || !strings.Contains(err.Error(), "another agent uses") {
		t.Errorf("second agent: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if a, err = Open(t.Context(), cfg, deps(s)); err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
