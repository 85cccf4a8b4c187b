package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yunhe/internal/simulate"
)

// running is a demo that runs.
type running struct {
	t        *testing.T
	url, key string
}

// start runs a demo in dir until the returned stop is called.
func start(t *testing.T, dir string, days int) (r running, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Dir: dir, Listen: "127.0.0.1:0", Days: days, Out: printed, Logger: slog.New(slog.DiscardHandler), Version: "test"})
		printed.Close()
	}()
	greeting := make(chan running, 1)
	go func() { greeting <- readGreeting(out) }()
	select {
	case r = <-greeting:
	case <-time.After(20 * time.Second):
		t.Fatal("the demo does not greet")
	}
	if r.key == "" {
		t.Fatalf("no key printed: %v", <-done)
	}
	r.t = t
	return r, func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the demo ended with: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the demo does not end")
		}
	}
}

// readGreeting takes address and key from what the demo prints, as a person
// would, and goes on reading so that nothing blocks.
func readGreeting(out io.Reader) (r running) {
	buf := make([]byte, 1<<16)
	var text string
	for !strings.Contains(text, "Ctrl-C") {
		n, err := out.Read(buf)
		text += string(buf[:n])
		if err != nil {
			return r
		}
	}
	for line := range strings.Lines(text) {
		switch f := strings.Fields(line); {
		case len(f) > 1 && f[0] == "Key":
			r.key = f[1]
		case len(f) > 1 && f[0] == "API":
			r.url = strings.TrimSuffix(f[1], "/docs")
		}
	}
	go io.Copy(io.Discard, out)
	return r
}

func (r running) get(path string) (status int, body []byte) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	return resp.StatusCode, body
}

type reading struct {
	Device, Point, Quality string
	Time                   time.Time
	ClockFailed            bool `json:"clock_failed"`
}

func (r running) latest() (all []reading) {
	r.t.Helper()
	status, body := r.get("/api/v1/readings/latest?site=" + site)
	var answer struct{ Readings []reading }
	if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil {
		r.t.Fatalf("latest: %d %v: %s", status, err, body)
	}
	return answer.Readings
}

// eventually tries fn until it says nothing or the time is over.
func eventually(t *testing.T, within time.Duration, fn func() string) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		fault := fn()
		if fault == "" {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("after %s: %s", within, fault)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestDemo is the promise of the README: live values of every device at once,
// all of them good, the history behind them, every endpoint answering, a clean
// end, and a second start that goes on.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	r, stop := start(t, dir, 1)
	devices := []string{simulate.HeatPump, simulate.Inverter, simulate.MainMeter, simulate.HeatMeter, simulate.RainGauge, simulate.LevelProbe}
	took := eventually(t, 15*time.Second, func() string {
		seen := map[string]bool{}
		for _, x := range r.latest() {
			if x.Quality != "good" || x.ClockFailed {
				return fmt.Sprintf("%s %s is %s, clock failed %v", x.Device, x.Point, x.Quality, x.ClockFailed)
			}
			seen[x.Device] = seen[x.Device] || time.Since(x.Time) < 5*time.Second
		}
		for _, d := range devices {
			if !seen[d] {
				return "no live value of " + d
			}
		}
		return ""
	})
	t.Logf("live values of every device after %s", took.Round(time.Millisecond))

	now := time.Now().UTC()
	history := fmt.Sprintf("/api/v1/readings?site=%s&device=main-meter&point=active_power&from=%s&to=%s&every=1h&function=count&format=ndjson",
		site, now.AddDate(0, 0, -1).Truncate(time.Hour).Add(time.Hour).Format(time.RFC3339), now.Truncate(time.Hour).Format(time.RFC3339))
	eventually(t, 60*time.Second, func() string {
		status, body := r.get(history)
		if full := strings.Count(string(body), `"value":12`); status != http.StatusOK || full < 22 {
			return fmt.Sprintf("%d hours of history have twelve polls: %d %s", full, status, body)
		}
		return ""
	})
	for _, path := range []string{
		"/api/v1/sites", "/api/v1/gateways?site=" + site, "/api/v1/devices?site=" + site, "/api/v1/points?site=" + site,
		history, strings.Replace(history, "ndjson", "csv", 1), strings.Replace(history, "ndjson", "json", 1),
		"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/", "/",
	} {
		if status, body := r.get(path); status != http.StatusOK {
			t.Errorf("GET %s: %d %.300s", path, status, body)
		}
	}
	stop()

	again, stop := start(t, dir, 1)
	defer stop()
	if again.key != r.key {
		t.Error("a second start has another key")
	}
	eventually(t, 15*time.Second, func() string {
		for _, x := range again.latest() {
			if x.Device == simulate.MainMeter && time.Since(x.Time) < 5*time.Second {
				return ""
			}
		}
		return "no live value after the second start"
	})
}

func TestStateThatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "demo.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(dir, time.Now(), 1); err == nil || !strings.Contains(err.Error(), "to begin anew") {
		t.Errorf("got %v, want a sentence with the remedy", err)
	}
}
