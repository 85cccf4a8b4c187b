package api_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"yunhe/api"
	"yunhe/internal/access"
	"yunhe/internal/catalog"
	"yunhe/internal/series"
	"yunhe/internal/series/sqlite"
	"yunhe/internal/telemetry"
)

var update = flag.Bool("update", false, "write golden files anew")

// now is the time at which all answers are given.
var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

var (
	meter = series.Device{Kind: "electric_meter", Site: "canal-1", Gateway: "gw-1", ID: "meter-main"}
	pump  = series.Device{Kind: "heat_pump", Site: "canal-1", Gateway: "gw-1", ID: "heat-pump"}
	other = series.Device{Kind: "electric_meter", Site: "canal-2", Gateway: "gw-1", ID: "pool-meter"}
	plain = series.Device{Kind: "sparkplug", Site: "canal-1", Gateway: "node-red", ID: "Pump 1", Unsigned: true}
)

// world is a running API with its stores.
type world struct {
	t       testing.TB
	url     string
	series  *store
	records *reader
	keys    map[string]string // person → key
	keyFile string
	log     *logBuffer
	stop    func() // ends the server and waits for it
}

type option func(*api.Config)

func start(t testing.TB, options ...option) *world {
	t.Helper()
	w := &world{t: t, keys: map[string]string{}, keyFile: filepath.Join(t.TempDir(), "keys.yaml"), log: &logBuffer{}}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "series.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w.series = &store{Store: db}
	w.records = newReader(t)
	for _, q := range []access.Request{
		{Person: "admin", Role: access.Admin, AllSites: true},
		{Person: "accountant", Role: access.Accountant, Sites: []string{"canal-1"}},
		{Person: "stranger", Role: access.Water, Sites: []string{"canal-2", "gone"}},
	} {
		key, _, err := access.Create(w.keyFile, q, now)
		if err != nil {
			t.Fatal(err)
		}
		w.keys[q.Person] = key
	}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys, err := access.Open(w.keyFile, logger)
	if err != nil {
		t.Fatal(err)
	}
	places, err := catalog.Load("../internal/catalog/testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.Config{
		Catalog: places, Access: keys, Series: w.series, Records: w.records, Metrics: prometheus.NewRegistry(), Logger: logger,
		Clock: func() time.Time { return now }, Version: "1.2.3",
		Web:    fstest.MapFS{"index.html": {Data: []byte("<!doctype html><title>page</title>")}, "js/main.js": {Data: []byte("export {}")}},
		Limits: api.Limits{AddressBurst: 1 << 20, KeyBurst: 1 << 20},
	}
	for _, o := range options {
		o(&cfg)
	}
	handler, err := api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, l, handler, logger) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// store is a real store that can be told to fail.
type store struct {
	*sqlite.Store
	failAfter atomic.Int64 // rows until Range fails; 0: never
	panics    atomic.Bool
}

func (s *store) Range(ctx context.Context, q series.Query) iter.Seq2[series.Sample, error] {
	return func(yield func(series.Sample, error) bool) {
		if s.panics.Load() {
			panic("secret of the store")
		}
		n, limit := int64(0), s.failAfter.Load()
		for v, err := range s.Store.Range(ctx, q) {
			if n++; limit > 0 && n > limit {
				yield(series.Sample{}, errTest)
				return
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

type testError string

func (e testError) Error() string { return string(e) }

const errTest = testError("disk /dev/secret is gone")

// fill writes n rows of two points, a minute apart, the last one a minute ago.
func (w *world) fill(d series.Device, n int) {
	w.t.Helper()
	var rows []series.Row
	for i := range n {
		at := now.Add(-time.Duration(n-i) * time.Minute)
		fields := []series.Field{
			{Point: "active_energy_import", Value: telemetry.Float(1000 + float64(i)/8), Quality: telemetry.Good},
			{Point: "active_power", Value: telemetry.Float(float64(i % 7)), Quality: telemetry.Good},
		}
		if i%5 == 4 {
			fields[1] = series.Field{Point: "active_power", Quality: telemetry.Bad}
		}
		rows = append(rows, series.Row{Device: d, Time: at, ClockFailed: i == 1, Fields: fields})
	}
	w.write(rows...)
}

func (w *world) write(rows ...series.Row) {
	w.t.Helper()
	for len(rows) > 0 {
		n := min(len(rows), 2000)
		if rejected, err := w.series.Write(w.t.Context(), rows[:n]); err != nil || len(rejected) > 0 {
			w.t.Fatal(rejected, err)
		}
		rows = rows[n:]
	}
}

// answer is a whole response.
type answer struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error // of reading the body
}

func (w *world) get(path, person string) answer {
	w.t.Helper()
	return w.do(http.MethodGet, path, person, nil)
}

func (w *world) do(method, path, person string, header http.Header) answer {
	w.t.Helper()
	req, err := http.NewRequest(method, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if person != "" {
		key, ok := w.keys[person]
		if !ok {
			key = person
		}
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, resp.Trailer, string(b), err}
}

// decode reads a JSON answer strictly.
func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// golden compares got with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test ./api -update and read what it wrote", err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, d)
	}
}

// logBuffer gathers the log.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
