package collector

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"yunhe/internal/broker"
	"yunhe/internal/records"
	"yunhe/internal/series"
	"yunhe/internal/series/sqlite"
)

const testPassword = "a password of this test alone"

// startBroker runs the embedded broker until the test ends.
func startBroker(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := broker.NewSecret(testPassword)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Config{Logger: slog.New(slog.DiscardHandler), Listeners: []net.Listener{l}, Users: broker.Accounts{
		Collector: "collector", Host: "host-1", Sites: []string{"tz"},
		Secret: func(string) (broker.Secret, bool) { return secret, true },
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return "mqtt://" + l.Addr().String()
}

// eventually waits for a condition that a real network brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// testCollector is a running collector.
type testCollector struct {
	*Collector
	series series.Store
	stop   func()
}

func startCollector(t *testing.T, cfg Config, d Deps) *testCollector {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(cfg.StateDir, "series.db"))
	if err != nil {
		t.Fatal(err)
	}
	d.Series = store
	c, err := Open(t.Context(), cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); running.Wait(); store.Close() })
	t.Cleanup(stop)
	eventually(t, "the collector listens", c.Online)
	return &testCollector{c, store, stop}
}

// TestEndToEnd walks one gateway through its life: not enrolled, enrolled,
// refused for a renamed device, mended, and a collector that restarts.
func TestEndToEnd(t *testing.T) {
	url := startBroker(t)
	dir := t.TempDir()
	var renamed atomic.Bool
	token := strings.Repeat("t", records.MinToken)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port for the records
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	cfg := Config{
		Host: "host-1", Sites: []string{"tz"}, StateDir: dir,
		Broker:  Broker{URL: url, User: "collector", PasswordFile: secretFile(t, testPassword)},
		Series:  Series{Kind: SeriesSQLite},
		Flush:   Flush{Interval: 5 * time.Millisecond},
		Records: Records{Listen: l.Addr().String(), TokenFile: secretFile(t, token)},
	}
	registry := prometheus.NewRegistry()
	c := startCollector(t, cfg, Deps{Registry: registry, Alias: func(s, g, d string) (string, string, string) {
		if renamed.Load() && d == "old-meter" {
			d = "meter-1"
		}
		return s, g, d
	}})
	g := connectGateway(t, url, "gw-1", "tz.gw-1", testPassword)
	eventually(t, "STATE is online", func() bool { on, _ := g.online(); return on })

	// Before enrolment: samples, no answer, nothing stored.
	at := time.Now().Truncate(time.Second).UTC()
	begin := g.begin()
	first := g.batch("meter-1", 100, at)
	g.publish(append(begin, first)...)
	eventually(t, "samples are kept", func() bool {
		items, err := QuarantineList(t.Context(), dir)
		return err == nil && len(items) == 3
	})
	if a, r := g.answers(); a+r != "" {
		t.Fatalf("answered before enrolment: %q %q", a, r)
	}

	// Enrolled while it runs: the samples are replayed and acknowledged.
	if _, err := Enroll(filepath.Join(dir, "keys.yaml"), "tz", "gw-1", g.key.Public().String(), time.Now()); err != nil {
		t.Fatal(err)
	}
	fingerprint := g.key.Public().Fingerprint()
	eventually(t, "the key is taken up", func() bool {
		gws, err := c.Reader().Gateways(t.Context(), records.Scope{All: true})
		return err == nil && len(gws) == 1 && len(gws[0].Keys) == 1 && gws[0].Keys[0] == fingerprint
	})
	results, err := QuarantineReplay(t.Context(), dir)
	if err != nil || len(results) != 3 {
		t.Fatalf("replay: %+v, %v", results, err)
	}
	for _, r := range results {
		if !r.Gone || r.Outcome != "stored" {
			t.Errorf("replayed: %+v", r)
		}
	}
	eventually(t, "the replayed entries are acknowledged", func() bool { a, _ := g.answers(); return a == "4711:1-3" })

	// A device under its old name is held, and taken once the alias is known.
	g.publish(g.batch("meter-1", 101, at.Add(time.Second)), g.batch("old-meter", 102, at.Add(2*time.Second)))
	eventually(t, "acknowledged and refused", func() bool { a, r := g.answers(); return a == "4711:1-4" && r == "4711:5" })
	renamed.Store(true)
	if results, err = QuarantineReplay(t.Context(), dir); err != nil || len(results) != 1 || !results[0].Gone {
		t.Fatalf("replay: %+v, %v", results, err)
	}
	eventually(t, "the held entry is acknowledged", func() bool { a, _ := g.answers(); return a == "4711:1-5" })
	if items, err := QuarantineList(t.Context(), dir); err != nil || len(items) != 0 {
		t.Errorf("quarantine still holds %+v, %v", items, err)
	}
	wantStored(t, c.series, at, 1, 1.01, 1.02)

	// The API sees the same in process and over the second listener.
	client, err := records.NewClient("http://"+cfg.Records.Listen, token)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, s := range []records.Scope{{All: true}, {Sites: []string{"tz"}}, {}} {
		direct, err1 := c.Reader().Points(t.Context(), s)
		remote, err2 := client.Points(t.Context(), s)
		if d := cmp.Diff(direct, remote); d != "" || err1 != nil || err2 != nil {
			t.Errorf("points %v %v (-direct +client):\n%s", err1, err2, d)
		}
	}
	for it, err := range client.Stream(t.Context(), records.Scope{All: true}, 0) {
		if err != nil || it.Device != "meter-1" || it.Readings[0].Point != "import_total" {
			t.Errorf("stream: %+v, %v", it, err)
		}
		break
	}
	wantMetrics(t, registry, map[string]float64{`outcomes_total stored`: 5, "values_stored_total": 3, "messages_dropped_total": 0})

	// A second collector on the same state is refused.
	if _, err := Open(t.Context(), cfg, Deps{Series: c.series}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second collector opens the same state: %v", err)
	}
	c.stop()
	eventually(t, "STATE is offline", func() bool { on, told := g.online(); return told && !on })

	// After a restart a re-send is a duplicate, and the chain goes on.
	g.mu.Lock()
	g.acked = g.refused
	g.mu.Unlock()
	c = startCollector(t, cfg, Deps{})
	g.publish(first, g.batch("meter-1", 103, at.Add(3*time.Second)))
	eventually(t, "acknowledged after a restart", func() bool { a, _ := g.answers(); return strings.Contains(a, "3") && strings.Contains(a, "6") })
	wantStored(t, c.series, at, 1, 1.01, 1.02, 1.03)
}

// wantStored checks the values from at on, one a second.
func wantStored(t *testing.T, s series.Store, at time.Time, want ...float64) {
	t.Helper()
	var got []float64
	for sample, err := range s.Range(t.Context(), series.Query{Site: "tz", From: at, To: at.Add(time.Hour)}) {
		if err != nil {
			t.Fatal(err)
		}
		v, _ := sample.Value.Number()
		got = append(got, v)
		if sample.ClockFailed {
			t.Errorf("%s is flagged", sample.Time)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("stored (-want +got):\n%s", d)
	}
}

func wantMetrics(t *testing.T, reg *prometheus.Registry, want map[string]float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "yunhe_collector_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("metric %s is %v (%v), want %v; there are %v", name, g, ok, v, got)
		}
	}
}

func TestQuarantineWithoutCollector(t *testing.T) {
	if _, err := QuarantineList(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "start it first") {
		t.Errorf("got %v", err)
	}
}

// TestShortTokenIsRefused: the second listener never opens without a secret.
func TestShortTokenIsRefused(t *testing.T) {
	cfg := Config{Host: "host-1", Sites: []string{"tz"}, StateDir: t.TempDir(), Broker: Broker{URL: "mqtt://127.0.0.1:1"},
		Series: Series{Kind: SeriesSQLite}, Records: Records{Listen: "127.0.0.1:0", TokenFile: secretFile(t, "short")}}
	err := Run(t.Context(), cfg, Deps{})
	if err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("got %v", err)
	}
}

func ExampleGatewayACL() {
	text, err := GatewayACL("collector", "host-1", []string{"tz"}, []ACLUser{{User: "tz.gw-1", Site: "tz", Gateway: "gw-1"}})
	fmt.Print(text, err)
	// Output:
	// # Written by `yunhe gateway acl`. Whoever is not named here may do nothing.
	//
	// # the collector host-1
	// user collector
	// topic write spBv1.0/STATE/host-1
	// topic write spBv1.0/tz/NCMD/+
	// topic read spBv1.0/STATE/host-1
	// topic read spBv1.0/tz/#
	//
	// # gateway gw-1 of site tz
	// user tz.gw-1
	// topic write spBv1.0/tz/NBIRTH/gw-1
	// topic write spBv1.0/tz/NDEATH/gw-1
	// topic write spBv1.0/tz/NDATA/gw-1
	// topic write spBv1.0/tz/DBIRTH/gw-1/+
	// topic write spBv1.0/tz/DDEATH/gw-1/+
	// topic write spBv1.0/tz/DDATA/gw-1/+
	// topic read spBv1.0/tz/NCMD/gw-1
	// topic read spBv1.0/tz/DCMD/gw-1/+
	// topic read spBv1.0/STATE/host-1
	// <nil>
}
