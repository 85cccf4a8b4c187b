package seriestest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"yunhe/internal/series"
)

func testLatest(t *testing.T, f *fixture) {
	// Points of one device have their newest readings in different rows, days
	// apart; the newest may be bad.
	const day = 24 * 3600
	f.write(
		f.row(0, good("old", 1), good("mid", 1), good("new", 1)),
		f.row(3*day, good("mid", 2), good("new", 2), good("dead", 2)),
		f.row(3*day+10, good("new", 3), bad("dead")),
		f.row(9*day, uncertain("new", 4)),
	)
	other := series.Row{Device: f.deviceNamed("dev-0"), Time: f.at(5), Fields: []series.Field{good("new", 9)}}
	f.write(other)
	f.same("latest", f.latestOf(series.Query{Site: f.site()}), byDevicePoint(samplesOf(other,
		f.row(0, good("old", 1)), f.row(3*day, good("mid", 2)), f.row(3*day+10, bad("dead")), f.row(9*day, uncertain("new", 4)),
	)))
	f.same("one point", f.latestOf(series.Query{Site: f.site(), Devices: []string{"dev-1"}, Points: []string{"mid", "nosuch"}}),
		samplesOf(f.row(3*day, good("mid", 2))))
}

func testLatestBounds(t *testing.T, f *fixture) {
	rows := []series.Row{f.row(0, good("a", 1), good("b", 1)), f.row(3600, good("a", 2)), f.row(7200, good("a", 3)), f.row(90000, good("a", 4))}
	f.write(rows...)
	q := series.Query{Site: f.site(), Points: []string{"a"}, To: f.at(7200)}
	f.same("before the third", f.latestOf(q), samplesOf(rows[1]))
	q.From = f.at(3601)
	if got := f.latestOf(q); len(got) > 0 {
		t.Errorf("between the second and the third: %v", got)
	}
	q.To = f.at(7201)
	f.same("the third", f.latestOf(q), samplesOf(rows[2]))
	f.same("since the second", f.latestOf(series.Query{Site: f.site(), From: f.at(3600)}), samplesOf(rows[3]))
	f.same("both points", f.latestOf(series.Query{Site: f.site(), To: f.at(3600)}), samplesOf(rows[0]))
}

func testOrderAndBorders(t *testing.T, f *fixture) {
	var rows []series.Row
	for n := range 50 {
		for _, d := range []string{"dev-2", "dev-10", "dev-1"} {
			rows = append(rows, series.Row{Device: f.deviceNamed(d), Time: f.at(n), Fields: []series.Field{good("b", float64(n)), bad("a"), good("c", 1)}})
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	f.write(rows...)
	f.same("all", f.rangeOf(f.day()), samplesOf(rows...))

	q := f.day()
	q.From, q.To = f.at(10), f.at(20)
	var want []series.Row
	for _, r := range rows {
		if !r.Time.Before(q.From) && r.Time.Before(q.To) {
			want = append(want, r)
		}
	}
	f.same("from included, to not", f.rangeOf(q), samplesOf(want...))
	q.From, q.To = f.at(9).Add(time.Nanosecond), f.at(19).Add(time.Nanosecond)
	f.same("borders inside a millisecond", f.rangeOf(q), samplesOf(want...))
}

func testSelection(t *testing.T, f *fixture) {
	var rows []series.Row
	for _, gw := range []string{"gw-1", "gw-2", "gw-3"} {
		for _, d := range []string{"a", "b"} {
			for _, kind := range []string{f.kind(), f.kind() + "-2"} {
				dev := series.Device{Kind: kind, Site: f.site(), Gateway: gw, ID: d + "-" + kind[len(kind)-2:]}
				rows = append(rows, series.Row{Device: dev, Time: f.at(1), Fields: []series.Field{good("p", 1), good("q", 2)}})
			}
		}
	}
	f.write(rows...)
	q := f.day()
	q.Gateways, q.Points = []string{"gw-3", "gw-1"}, []string{"q"}
	q.Devices = []string{rows[0].Device.ID, rows[3].Device.ID, "nosuch"}
	var want []series.Row
	for _, r := range rows {
		if q.Matches(r.Device) {
			r.Fields = r.Fields[1:]
			want = append(want, r)
		}
	}
	if len(want) != 4 {
		t.Fatalf("the test selects %d rows", len(want))
	}
	f.same("range", f.rangeOf(q), samplesOf(want...))
	f.same("latest", f.latestOf(q), samplesOf(want...))
}

func testBadQueries(t *testing.T, f *fixture) {
	q := f.day()
	change := func(edit func(*series.Query)) series.Query {
		q := q
		edit(&q)
		return q
	}
	for want, q := range map[string]series.Query{
		"names no site":    change(func(q *series.Query) { q.Site = "" }),
		"not after":        change(func(q *series.Query) { q.To = q.From }),
		"no start":         change(func(q *series.Query) { q.From = time.Time{} }),
		"or no end":        change(func(q *series.Query) { q.To = time.Time{} }),
		"too long":         change(func(q *series.Query) { q.Points = []string{strings.Repeat("x", 1000)} }),
		"the limit is":     change(func(q *series.Query) { q.Devices = make([]string, series.MaxNames+1) }),
		"or no text":       change(func(q *series.Query) { q.Gateways = []string{"\xff"} }),
		`"x\n' OR 1=1"`:    change(func(q *series.Query) { q.Points = []string{"x\n' OR 1=1"} }),
		`"\x00"`:           change(func(q *series.Query) { q.Devices = []string{"\x00"} }),
		"not after its st": change(func(q *series.Query) { q.From, q.To = q.To, q.From }),
	} {
		err := lastError(f.Range(t.Context(), q))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("range: error %v, want %q", err, want)
		}
		err = lastError(f.Windows(t.Context(), series.WindowQuery{Query: q, Every: time.Hour, Function: series.Mean}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("windows: error %v, want %q", err, want)
		}
	}
	if _, err := f.Latest(t.Context(), series.Query{}); err == nil {
		t.Error("latest without a site: no error")
	}
	for want, w := range map[string]series.WindowQuery{
		"unknown function":   {Query: q, Every: time.Hour, Function: "median"},
		"neither":            {Query: q, Function: series.Mean},
		"whole milliseconds": {Query: q, Every: time.Microsecond, Function: series.Mean},
		"give one":           {Query: q, Every: time.Hour, Borders: []time.Time{f.start}, Function: series.Mean},
		"the borders say":    {Query: q, Borders: []time.Time{f.start, f.at(1)}, Function: series.Mean},
		"use 2 to":           {Query: series.Query{Site: f.site()}, Borders: []time.Time{f.start}, Function: series.Mean},
		"border 3 is not":    {Query: series.Query{Site: f.site()}, Borders: []time.Time{f.start, f.at(2), f.at(2)}, Function: series.Mean},
	} {
		if err := lastError(f.Windows(t.Context(), w)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("windows: error %v, want %q", err, want)
		}
	}
}

// many writes n rows of ten points, one a second.
func (f *fixture) many(n int) {
	f.t.Helper()
	const at = 1000
	for lo := 0; lo < n; lo += at {
		var rows []series.Row
		for i := lo; i < min(n, lo+at); i++ {
			r := f.row(i)
			for p := range 10 {
				r.Fields = append(r.Fields, good(pointName(p), float64(i*10+p)))
			}
			rows = append(rows, r)
		}
		f.write(rows...)
	}
}

func testCancel(t *testing.T, f *fixture) {
	f.many(6000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var got error
	for _, err := range f.Range(ctx, f.day()) {
		if err != nil {
			got = err
			break
		}
		if n++; n == 100 {
			cancel()
		}
	}
	if !errors.Is(got, context.Canceled) {
		t.Errorf("range after %d of 60000 samples: error %v, want %v", n, got, context.Canceled)
	}
	if _, err := f.Write(ctx, []series.Row{f.row(0, good("a", 1))}); !errors.Is(err, context.Canceled) {
		t.Errorf("write: error %v", err)
	}
	if _, err := f.Latest(ctx, series.Query{Site: f.site()}); !errors.Is(err, context.Canceled) {
		t.Errorf("latest: error %v", err)
	}
	f.write(f.row(0, good("a", 1))) // the store is still whole
}

func testEarlyBreak(t *testing.T, f *fixture) {
	f.many(3000)
	before := runtime.NumGoroutine()
	for range 20 {
		for range f.Range(t.Context(), f.day()) {
			break
		}
		for range f.Windows(t.Context(), series.WindowQuery{Query: f.day(), Every: time.Minute, Function: series.Mean}) {
			break
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+8; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after 40 broken reads", before, runtime.NumGoroutine())
		}
	}
	if got := len(f.rangeOf(f.day())); got != 30000 {
		t.Errorf("%d samples, want 30000", got)
	}
}

// Writers and readers at the same time, one reader slow.
func testSideBySide(t *testing.T, f *fixture) {
	f.many(3000)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				r := series.Row{Device: f.deviceNamed(fmt.Sprintf("other-%d", w)), Time: f.at(i), Fields: []series.Field{good("a", float64(i))}}
				if _, err := f.Write(t.Context(), []series.Row{r}); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
		})
		wg.Go(func() {
			n := 0
			q := f.day()
			q.Devices = []string{"dev-1"}
			for _, err := range f.Range(t.Context(), q) {
				if err != nil {
					t.Errorf("Range: %v", err)
					return
				}
				n++
			}
			if n != 30000 {
				t.Errorf("%d samples, want 30000", n)
			}
		})
	}
	wg.Wait()
	if got := len(f.latestOf(series.Query{Site: f.site(), Points: []string{"a"}})); got != 4 {
		t.Errorf("%d devices have a latest reading, want 4", got)
	}
}

// A million readings pass through without the heap growing with them.
func testMillion(t *testing.T, f *fixture) {
	rows := 50_000
	if testing.Short() {
		rows = 5_000
	}
	const points, limit = 20, 24 << 20
	batch := make([]series.Row, 0, 1000)
	for i := range rows {
		r := f.row(i)
		for p := range points {
			r.Fields = append(r.Fields, good(pointName(p), float64(i)+float64(p)/100))
		}
		if batch = append(batch, r); len(batch) == cap(batch) || i == rows-1 {
			f.write(batch...)
			batch = batch[:0]
		}
	}
	batch = nil
	base := heap()
	n, peak := 0, uint64(0)
	var sum float64
	for s, err := range f.Range(t.Context(), f.day()) {
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		v, _ := s.Value.Number()
		sum += v
		if n++; n%(rows*points/8) == 0 {
			peak = max(peak, heap())
		}
	}
	if n != rows*points {
		t.Errorf("%d samples, want %d", n, rows*points)
	}
	want := float64(points)*float64(rows)*float64(rows-1)/2 + float64(rows)*float64(points)*float64(points-1)/200
	if diff := sum - want; diff > 1 || diff < -1 {
		t.Errorf("sum of all %v, want %v", sum, want)
	}
	if peak > base+limit {
		t.Errorf("the heap grew by %d MiB over %d samples", (peak-base)>>20, n)
	}
}

// heap returns the live heap.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
