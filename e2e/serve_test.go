package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/series/sqlite"
	"yunhe/internal/simulate"
)

// TestServe: `yunhe serve` with its embedded broker and SQLite takes what an
// agent reads from the simulated site, and an API in a process of its own,
// which asks for records over HTTP, gives the same answers as the one within.
func TestServe(t *testing.T) {
	t.Parallel()
	s := newServing(t)
	lines := newSimulatedSite(t)
	g := s.newGateway("gw-1", gatewayOptions{devices: lines})
	g.enroll()
	s.collector.start()
	alone := s.apiAlone()
	s.awaitAnswer(s.apiPort)
	alone.start()
	port := s.apiAlonePort()
	s.awaitAnswer(port)
	g.start()
	devices := []string{simulate.HeatPump, simulate.Inverter, simulate.MainMeter, simulate.HeatMeter, simulate.LevelProbe}
	eventually(t, "every device has readings", 40*time.Second, func() bool {
		latest := s.latest(s.apiPort)
		for _, d := range devices {
			if !strings.Contains(latest, `"device":"`+d+`"`) {
				return false
			}
		}
		return true
	})
	g.drained(30 * time.Second)
	g.settle()

	within, apart := s.latest(s.apiPort), s.latest(port)
	if diff := cmp.Diff(strings.Split(within, "\n"), strings.Split(apart, "\n")); diff != "" {
		t.Errorf("the API within (-) and the one apart (+) give other latest readings:\n%s", diff)
	}
	if n := strings.Count(within, "\n"); n < 60 || strings.Count(within, `"quality":"good"`) < n*3/4 {
		t.Errorf("%d latest readings, %d of them good", n, strings.Count(within, `"quality":"good"`))
	}
	for _, name := range []string{"sites", "devices", "points"} {
		a, b := s.list(s.apiPort, name, name), s.list(port, name, name)
		if diff := cmp.Diff(strings.Split(a, "\n"), strings.Split(b, "\n")); diff != "" || a == "" {
			t.Errorf("%s within (-) and apart (+):\n%s", name, diff)
		}
	}
	alone.stop()
	s.collector.stop()
	store, err := sqlite.Open(t.Context(), s.path("state/series.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	journal := journalled(t, g)
	journal.cells(t).compare(t, cellsIn(t, store))
	if k := keptBy(t, s); len(k.entries) != len(journal) {
		t.Errorf("%d entries are stored, the journals hold %d", len(k.entries), len(journal))
	}
}

// newServing is a site in one process: what `yunhe setup` writes for it, on
// free ports, with a records listener besides.
func newServing(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "yunhe"), mqttPort: freePort(t), recordsPort: freePort(t), apiPort: freePort(t)}
	records := fmt.Sprintf("127.0.0.1:%d", s.recordsPort)
	s.yunhe("setup", s.dir, "--site", siteID, "--gateway", "gw-1", "--admin", "Test",
		"--listen", fmt.Sprintf("127.0.0.1:%d", s.apiPort), "--records", records, "--records-url", "http://"+records)
	broker := fmt.Sprintf("127.0.0.1:%d", s.mqttPort)
	s.edit("broker.yaml", "127.0.0.1:1883", broker)
	s.edit("collector.yaml", "127.0.0.1:1883", broker)
	s.collector = newProcess(t, "serve", program(t, "yunhe"), "serve", s.dir)
	return s
}

// apiAlone prepares an API on the next port, over the same stores.
func (s *site) apiAlone() *process {
	s.t.Helper()
	text := s.read("api.yaml")
	s.write("api-alone.yaml", text)
	s.edit("api-alone.yaml", fmt.Sprintf("listen: 127.0.0.1:%d", s.apiPort), fmt.Sprintf("listen: 127.0.0.1:%d", freePort(s.t)))
	return newProcess(s.t, "api", program(s.t, "yunhe"), "api", "--config", s.path("api-alone.yaml"))
}

// apiAlonePort reads the port of apiAlone from its config.
func (s *site) apiAlonePort() (port int) {
	s.t.Helper()
	_, rest, _ := strings.Cut(s.read("api-alone.yaml"), "listen: 127.0.0.1:")
	if _, err := fmt.Sscan(rest, &port); err != nil {
		s.t.Fatal(err)
	}
	return port
}

// newSimulatedSite serves the simulated site and returns the parts buses and
// devices of an agent's config, without those on I2C.
func newSimulatedSite(t testing.TB) string {
	t.Helper()
	world, err := simulate.NewSite(simulate.Options{Start: time.Now().UTC().Add(-time.Hour).Truncate(time.Hour), Seed: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- world.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	buses, devices := "buses:\n", "devices:\n"
	ids := map[string]string{}
	for _, e := range world.Endpoints() {
		if e.I2C != 0 {
			continue
		}
		if ids[e.Address] == "" {
			ids[e.Address] = fmt.Sprintf("line-%d", len(ids)+1)
			buses += fmt.Sprintf("  - {id: %s, address: %q}\n", ids[e.Address], e.Address)
		}
		devices += fmt.Sprintf("  - {id: %s, profile: %s, bus: %s, unit: %d}\n", e.Device, e.Profile, ids[e.Address], e.Unit)
	}
	return buses + devices
}

// awaitAnswer waits until an API is ready.
func (s *site) awaitAnswer(port int) {
	s.t.Helper()
	eventually(s.t, "the API is ready", 20*time.Second, func() bool {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// get asks an API with the administrator's key.
func (s *site) get(port int, path string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.secret("api-admin.key"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s %v\n%.500s", path, resp.Status, err, b)
	}
	return string(b)
}

// latest returns the latest readings, one a line, without their ages.
func (s *site) latest(port int) string {
	s.t.Helper()
	return s.list(port, "readings/latest", "readings")
}

// list returns the items of an answer, one a line, without what depends on the
// moment of the question.
func (s *site) list(port int, path, name string) string {
	s.t.Helper()
	var body map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s.get(port, "/api/v1/"+path)), &body); err != nil {
		s.t.Fatal(err)
	}
	var items []map[string]any
	if err := json.Unmarshal(body[name], &items); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	var out strings.Builder
	for _, item := range items {
		delete(item, "age_s")
		delete(item, "last_reading_age_s")
		b, err := json.Marshal(item)
		if err != nil {
			s.t.Fatal(err)
		}
		out.Write(append(b, '\n'))
	}
	return out.String()
}
