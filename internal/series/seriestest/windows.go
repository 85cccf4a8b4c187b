package seriestest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// oracle computes the windows between borders from rows, the slow and plain
// way: for every window, point and device it looks at every reading.
func oracle(rows []series.Row, borders []time.Time, fn series.Function) []series.Window {
	var devices []series.Device
	var points []string
	samples := samplesOf(rows...)
	for _, s := range samples {
		devices, points = append(devices, s.Device), append(points, s.Point)
	}
	slices.SortFunc(devices, series.Device.Compare)
	slices.Sort(points)
	var all []series.Window
	for _, d := range slices.Compact(devices) {
		for i := range len(borders) - 1 {
			for _, p := range slices.Compact(slices.Clone(points)) {
				w := series.Window{Device: d, Point: p, From: borders[i], To: borders[i+1]}
				var values []telemetry.Value
				for _, s := range samples {
					if s.Device != d || s.Point != p || s.ClockFailed || s.Time.Before(w.From) || !s.Time.Before(w.To) {
						continue
					}
					switch s.Quality {
					case telemetry.Bad:
						w.Bad++
						continue
					case telemetry.Uncertain:
						w.Uncertain++
					}
					values = append(values, s.Value)
				}
				w.Count = int64(len(values))
				w.Value = apply(fn, values)
				if w.Count+w.Bad > 0 {
					all = append(all, w)
				}
			}
		}
	}
	return all
}

func apply(fn series.Function, values []telemetry.Value) telemetry.Value {
	if len(values) == 0 {
		return telemetry.Value{}
	}
	var numbers []float64
	sum := 0.0
	for _, v := range values {
		n, _ := v.Number()
		numbers = append(numbers, n)
		sum += n
	}
	switch fn {
	case series.Mean:
		return telemetry.Float(sum / float64(len(numbers)))
	case series.Min:
		return telemetry.Float(slices.Min(numbers))
	case series.Max:
		return telemetry.Float(slices.Max(numbers))
	case series.Sum:
		return telemetry.Float(sum)
	case series.Count:
		return telemetry.Float(float64(len(numbers)))
	case series.Spread:
		return telemetry.Float(slices.Max(numbers) - slices.Min(numbers))
	case series.First:
		return values[0]
	default:
		return values[len(values)-1]
	}
}

// nearly compares numbers to a few parts in 10^12: stores add in any order.
var nearly = gocmp.Comparer(func(a, b telemetry.Value) bool {
	x, xok := a.Number()
	y, yok := b.Number()
	if xok && yok {
		return math.Abs(x-y) <= 1e-11*max(1, math.Abs(x), math.Abs(y))
	}
	return a == b
})

func testWindows(t *testing.T, f *fixture) {
	rnd := rand.New(rand.NewPCG(7, 11))
	var rows []series.Row
	for _, d := range []string{"dev-1", "dev-2"} {
		for n := 0; n < 6*3600; n += 50 + rnd.IntN(400) {
			r := series.Row{Device: f.deviceNamed(d), Time: f.at(n).Add(time.Duration(rnd.IntN(1000)) * time.Millisecond)}
			for _, p := range []string{"a", "b", "c"} {
				switch rnd.IntN(8) {
				case 0:
					r.Fields = append(r.Fields, bad(p))
				case 1:
					r.Fields = append(r.Fields, uncertain(p, rnd.NormFloat64()*1000))
				case 2:
				default:
					r.Fields = append(r.Fields, good(p, rnd.NormFloat64()*1000))
				}
			}
			if len(r.Fields) > 0 {
				rows = append(rows, r)
			}
		}
	}
	f.write(rows...)

	// From and To cut the first and the last window.
	from, to := f.at(100), f.at(6*3600-77)
	for _, every := range []time.Duration{7 * time.Minute, 97 * time.Minute, 24 * time.Hour} {
		f.checkWindows(rows, []time.Time{from, to}, series.WindowQuery{Query: series.Query{Site: f.site(), From: from, To: to}, Every: every})
	}
	// Borders of any kind.
	borders := []time.Time{f.at(-1000), f.at(10), f.at(3000), f.at(3001), f.at(9000), f.at(20000), f.at(90000)}
	f.checkWindows(rows, borders, series.WindowQuery{Query: series.Query{Site: f.site()}, Borders: borders})
}

// checkWindows compares every function with the oracle. With q.Every set,
// borders are the two ends.
func (f *fixture) checkWindows(rows []series.Row, borders []time.Time, q series.WindowQuery) {
	f.t.Helper()
	for _, q.Function = range series.Functions() {
		want := oracle(rows, alignedTo(borders, q), q.Function)
		if d := gocmp.Diff(want, f.windowsOf(q), nearly); d != "" {
			f.t.Fatalf("%s every %v (-want +got):\n%.3000s", q.Function, q.Every, d)
		}
	}
}

// alignedTo puts the multiples of q.Every since 1970 between two ends.
func alignedTo(borders []time.Time, q series.WindowQuery) []time.Time {
	if q.Every == 0 {
		return borders
	}
	from, to := borders[0], borders[len(borders)-1]
	every := q.Every.Milliseconds()
	out := []time.Time{from}
	for ms := (from.UnixMilli()/every + 1) * every; ms < to.UnixMilli(); ms += every {
		out = append(out, telemetry.FromMillis(ms))
	}
	return append(out, to)
}

func testWindowsOfTexts(t *testing.T, f *fixture) {
	text := func(s string) series.Field { return series.Field{Point: "s", Value: telemetry.String(s)} }
	flag := func(b bool) series.Field { return series.Field{Point: "t", Value: telemetry.Bool(b)} }
	rows := []series.Row{f.row(0, text("x"), flag(true), good("n", 1)), f.row(10, text("y"), flag(false), good("n", 2)), f.row(70, text(""), good("n", 5))}
	f.write(rows...)
	f.windowsOfTexts(rows, series.WindowQuery{Query: f.day(), Every: time.Minute}, []time.Time{f.start, f.at(60), f.at(120)})
	f.windowsOfTexts(rows, series.WindowQuery{Query: f.day(), Every: time.Hour}, []time.Time{f.start, f.at(3600)})
}

func (f *fixture) windowsOfTexts(rows []series.Row, q series.WindowQuery, borders []time.Time) {
	f.t.Helper()
	for _, q.Function = range series.Functions() {
		want := oracle(rows, borders, q.Function)
		if q.Function.Numeric() {
			want = slices.DeleteFunc(want, func(w series.Window) bool { return w.Point != "n" })
		}
		f.same(string(q.Function), f.windowsOf(q), want)
	}
}

func testWindowsClockFailed(t *testing.T, f *fixture) {
	rows := []series.Row{f.row(0, good("a", 1), bad("b")), f.row(1, good("a", 100), good("b", 3)), f.row(61, good("a", 4)), f.row(121, good("a", 5))}
	rows[1].ClockFailed, rows[2].ClockFailed = true, true
	f.write(rows...)
	for _, every := range []time.Duration{time.Minute, time.Hour} {
		f.checkWindows(rows, []time.Time{f.start, f.at(180)}, series.WindowQuery{
			Query: series.Query{Site: f.site(), From: f.start, To: f.at(180)}, Every: every})
	}
}

// A value overwritten by a bad reading counts nowhere.
func testWindowsShadowedValue(t *testing.T, f *fixture) {
	f.write(f.row(0, good("a", 1000)), f.row(1, good("a", 1)))
	f.write(f.row(0, bad("a")))
	rows := []series.Row{f.row(0, bad("a")), f.row(1, good("a", 1))}
	for _, every := range []time.Duration{time.Minute, time.Hour} {
		f.checkWindows(rows, []time.Time{f.start, f.at(60)}, series.WindowQuery{
			Query: series.Query{Site: f.site(), From: f.start, To: f.at(60)}, Every: every})
	}
}
