package seriestest

import (
	"strings"
	"testing"
	"time"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

func testRoundTrip(t *testing.T, f *fixture) {
	row := f.row(0,
		good("float", -12.5),
		good("tiny", 5e-324),
		good("huge", 1.7976931348623157e308),
		good("third", 1.0/3.0),
		good("nought", 0),
		series.Field{Point: "uint", Value: telemetry.Uint(1 << 52)},
		series.Field{Point: "yes", Value: telemetry.Bool(true)},
		series.Field{Point: "no", Value: telemetry.Bool(false), Quality: telemetry.Uncertain},
		series.Field{Point: "text", Value: telemetry.String("运河")},
		series.Field{Point: "empty", Value: telemetry.String("")},
		uncertain("doubt", 7),
		bad("broken"),
	)
	f.write(row)
	f.same("range", f.rangeOf(f.day()), samplesOf(row))
	f.same("latest", f.latestOf(series.Query{Site: f.site()}), samplesOf(row))
}

func testEmpty(t *testing.T, f *fixture) {
	f.write()
	if got := f.rangeOf(f.day()); len(got) > 0 {
		t.Errorf("range of an unknown site: %v", got)
	}
	if got := f.latestOf(series.Query{Site: f.site()}); len(got) > 0 {
		t.Errorf("latest of an unknown site: %v", got)
	}
	f.write(f.row(0, good("a", 1)))
	for name, q := range map[string]series.Query{
		"point":   {Site: f.site(), From: f.start, To: f.at(10), Points: []string{"nosuch"}},
		"device":  {Site: f.site(), From: f.start, To: f.at(10), Devices: []string{"nosuch"}},
		"gateway": {Site: f.site(), From: f.start, To: f.at(10), Gateways: []string{"nosuch"}},
		"time":    {Site: f.site(), From: f.at(1), To: f.at(10)},
	} {
		if got := f.rangeOf(q); len(got) > 0 {
			t.Errorf("range of no such %s: %v", name, got)
		}
		if got := f.windowsOf(series.WindowQuery{Query: q, Every: time.Minute, Function: series.Mean}); len(got) > 0 {
			t.Errorf("windows of no such %s: %v", name, got)
		}
	}
}

func testIdempotent(t *testing.T, f *fixture) {
	rows := []series.Row{
		f.row(0, good("a", 1), uncertain("b", 2), bad("c")),
		f.row(1, good("a", 3), good("b", 4), good("c", 5)),
	}
	for range 3 {
		f.write(rows...)
		f.write(rows[1], rows[0])
	}
	f.same("range", f.rangeOf(f.day()), samplesOf(rows...))
}

func testOverwrite(t *testing.T, f *fixture) {
	f.write(f.row(0, good("a", 1), good("b", 2)))
	f.write(f.row(0, good("a", 10)))
	f.same("range", f.rangeOf(f.day()), samplesOf(f.row(0, good("a", 10), good("b", 2))))
}

func testDuplicatesInOneCall(t *testing.T, f *fixture) {
	f.write(f.row(0, good("a", 1), good("b", 1)), f.row(1, good("a", 5)), f.row(0, good("a", 2)), f.row(0, good("a", 3)))
	f.same("range", f.rangeOf(f.day()), samplesOf(f.row(0, good("a", 3), good("b", 1)), f.row(1, good("a", 5))))
}

// Every change of quality of one key: what was written last is what is read.
func testOverwriteQuality(t *testing.T, f *fixture) {
	overwriteQuality(t, f, func() {})
}

// The same when the store was opened anew in between and remembers nothing.
func testOverwriteQualityReopened(t *testing.T, f *fixture) {
	overwriteQuality(t, f, func() {
		if c, ok := f.Store.(interface{ Forget() }); ok {
			c.Forget()
		}
	})
}

func overwriteQuality(t *testing.T, f *fixture, between func()) {
	forms := []func(string, float64) series.Field{good, uncertain, func(p string, _ float64) series.Field { return bad(p) }}
	n := 0
	for i, first := range forms {
		for j, second := range forms {
			f.write(f.row(n, first("a", float64(i)), good("b", 1)))
			between()
			f.write(f.row(n, second("a", float64(10+j))))
			between()
			want := f.row(n, second("a", float64(10+j)), good("b", 1))
			f.same("range", f.rangeOf(series.Query{Site: f.site(), From: f.at(n), To: f.at(n + 1)}), samplesOf(want))
			f.same("latest", f.latestOf(series.Query{Site: f.site()}), samplesOf(want))
			n++
		}
	}
	row := f.row(n, good("a", 1))
	row.ClockFailed = true
	f.write(row)
	between()
	row.ClockFailed = false
	f.write(row)
	f.same("clock", f.rangeOf(series.Query{Site: f.site(), From: f.at(n), To: f.at(n + 1)}), samplesOf(row))
}

// Rows of one device and time with other points are one row.
func testRowsMerge(t *testing.T, f *fixture) {
	f.write(f.row(0, good("b", 2), bad("d")))
	f.write(f.row(0, good("a", 1), uncertain("c", 3)))
	f.same("range", f.rangeOf(f.day()), samplesOf(f.row(0, good("a", 1), good("b", 2), uncertain("c", 3), bad("d"))))
}

func testLateData(t *testing.T, f *fixture) {
	late, now := f.row(10, good("a", 1)), f.row(100, good("a", 2))
	f.write(now)
	f.write(late)
	f.same("range", f.rangeOf(f.day()), samplesOf(late, now))
	f.same("latest", f.latestOf(series.Query{Site: f.site()}), samplesOf(now))
}

func testUnsigned(t *testing.T, f *fixture) {
	signed := f.row(0, good("a", 1))
	unsigned := f.row(0, good("a", 2), good("Node Info/Temp (°C)", 3))
	unsigned.Device.Unsigned = true
	f.write(signed, unsigned)
	q := f.day()
	f.same("signed", f.rangeOf(q), samplesOf(signed))
	q.Unsigned = true
	f.same("unsigned", f.rangeOf(q), samplesOf(unsigned))
	f.same("latest unsigned", f.latestOf(series.Query{Site: f.site(), Unsigned: true}), samplesOf(unsigned))
}

func testClockFailed(t *testing.T, f *fixture) {
	row, other := f.row(0, good("a", 1), bad("b")), f.row(1, good("a", 2))
	row.ClockFailed = true
	f.write(row, other)
	f.same("range", f.rangeOf(f.day()), samplesOf(row, other))
	f.same("latest", f.latestOf(series.Query{Site: f.site(), Points: []string{"b"}}), samplesOf(row)[1:])
}

func testFarTimes(t *testing.T, f *fixture) {
	var rows []series.Row
	for _, s := range []string{"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z", "1969-12-31T23:59:59.999Z", "1999-01-01T00:00:00Z", "2099-12-31T23:59:59.999Z"} {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, series.Row{Device: f.device(), Time: at, Fields: []series.Field{good("a", float64(at.Year()))}})
	}
	f.write(rows...)
	q := series.Query{Site: f.site(), From: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)}
	f.same("range", f.rangeOf(q), samplesOf(rows...))
	f.same("latest", f.latestOf(series.Query{Site: f.site()}), samplesOf(rows[4]))
}

func testTexts(t *testing.T, f *fixture) {
	texts := []string{`"quoted"`, `back\slash`, `ends in \`, "two\nlines", "tab\tand\rreturn", "a,b=c d", "'; DROP SERIES--", " 空 ", "#", strings.Repeat("x", series.MaxText), "\u2028é😀"}
	var rows []series.Row
	for i, s := range texts {
		rows = append(rows, f.row(i, series.Field{Point: "text", Value: telemetry.String(s)}, good("after", float64(i))))
	}
	f.write(rows...)
	f.same("range", f.rangeOf(f.day()), samplesOf(rows...))
}

// hostile are names other people's nodes may carry.
func hostile() []string {
	return []string{"a b", "a,b", "a=b", `a"b`, "a'b", `"a"`, "#a", "设备/一号 ①", "a;b", "--", "/*", "a.b", "$a", "(.*)", "_field", "é😀", strings.Repeat("名", 60)}
}

func testHostileNames(t *testing.T, f *fixture) {
	var rows []series.Row
	for i, name := range hostile() {
		rows = append(rows, series.Row{
			Device: series.Device{Kind: f.kind(), Site: f.site() + name, Gateway: name, ID: name, Unsigned: true},
			Time:   f.at(i), Fields: []series.Field{good(name, float64(i)), uncertain("x"+name, 1), bad("y" + name)},
		})
	}
	f.write(rows...)
	for i, name := range hostile() {
		q := series.Query{Site: f.site() + name, Unsigned: true, From: f.start, To: f.at(1000)}
		f.same("range of all of "+name, f.rangeOf(q), samplesOf(rows[i]))
		q.Gateways, q.Devices, q.Points = []string{name}, []string{name}, []string{name, "x" + name, "y" + name}
		f.same("range of "+name, f.rangeOf(q), samplesOf(rows[i]))
		f.same("latest of "+name, f.latestOf(q), samplesOf(rows[i]))
		w := f.windowsOf(series.WindowQuery{Query: q, Every: time.Hour, Function: series.Max})
		if len(w) != 3 {
			t.Errorf("windows of %s: %v", name, w)
		}
	}
}

// Names that are not there find nothing and harm nothing.
func testHostileQueries(t *testing.T, f *fixture) {
	kept := f.row(0, good("a", 1))
	f.write(kept)
	s := f.site()
	for _, name := range append(hostile(), `\`, `a\"b`, `\'`, `'`, `"`, s+`' OR '1'='1`, `x' OR "site" =~ /.*/ --`, "x'; DROP MEASUREMENT \""+f.kind()+"\"; --", `a" FROM "`+f.kind()+`"; DROP SERIES FROM "`+f.kind()+`"; SELECT "a`) {
		for what, q := range map[string]series.Query{
			"site":    {Site: name},
			"gateway": {Site: s, Gateways: []string{name}},
			"device":  {Site: s, Devices: []string{name}},
			"point":   {Site: s, Points: []string{name}},
		} {
			q.From, q.To = f.start, f.at(10)
			if got := f.rangeOf(q); len(got) > 0 {
				t.Errorf("range of %s %q: %v", what, name, got)
			}
			if got := f.latestOf(q); len(got) > 0 {
				t.Errorf("latest of %s %q: %v", what, name, got)
			}
		}
	}
	f.same("kept", f.rangeOf(f.day()), samplesOf(kept))
}

func testTypeConflict(t *testing.T, f *fixture) {
	f.write(f.row(0, good("a", 1), series.Field{Point: "s", Value: telemetry.String("x")}))
	rows := []series.Row{
		f.row(1, good("a", 2)),
		f.row(2, series.Field{Point: "a", Value: telemetry.String("no number")}, good("b", 3)),
		f.row(3, series.Field{Point: "a", Value: telemetry.Uint(4)}),
		f.row(4, good("s", 5)),
		f.row(5, good("b", 6)),
		f.row(6, series.Field{Point: "a", Value: telemetry.Bool(true)}),
		f.row(7, bad("a"), series.Field{Point: "s", Value: telemetry.String("y")}),
	}
	rejected := f.writeSome(rows...)
	var at []int
	for _, r := range rejected {
		at = append(at, r.Row)
		if r.Reason == "" || !strings.Contains(r.Reason, rows[r.Row].Fields[0].Point) {
			t.Errorf("row %d: reason %q does not name the point", r.Row, r.Reason)
		}
	}
	f.same("rejected rows", at, []int{1, 3, 5})
	first := f.row(0, good("a", 1), series.Field{Point: "s", Value: telemetry.String("x")})
	f.same("range", f.rangeOf(f.day()), samplesOf(first, rows[0], rows[2], rows[4], rows[6]))
}

func testRejected(t *testing.T, f *fixture) {
	ok := f.row(0, good("a", 1))
	change := func(edit func(*series.Row)) series.Row {
		r := f.row(1, good("a", 2))
		edit(&r)
		return r
	}
	rows := []series.Row{
		ok,
		change(func(r *series.Row) { r.Fields = nil }),
		change(func(r *series.Row) { r.Time = time.Time{} }),
		change(func(r *series.Row) { r.Time = r.Time.Add(time.Microsecond) }),
		change(func(r *series.Row) { r.Time = time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC) }),
		change(func(r *series.Row) { r.Time = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) }),
		change(func(r *series.Row) { r.Device.Kind = "Heat Pump" }),
		change(func(r *series.Row) { r.Device.Kind = "unsigned_x" }),
		change(func(r *series.Row) { r.Device.Site = "" }),
		change(func(r *series.Row) { r.Device.Gateway = "a b" }),
		change(func(r *series.Row) { r.Device.ID = "x\n" }),
		change(func(r *series.Row) { r.Device.Unsigned, r.Device.ID = true, "x\n" }),
		change(func(r *series.Row) { r.Device.Unsigned, r.Device.ID = true, `x\y` }),
		change(func(r *series.Row) { r.Device.Unsigned, r.Device.ID = true, "\xff" }),
		change(func(r *series.Row) { r.Fields[0].Point = "time" }),
		change(func(r *series.Row) { r.Fields[0].Point = "device" }),
		change(func(r *series.Row) { r.Fields[0].Point = "a_q" }),
		change(func(r *series.Row) { r.Fields[0].Point = "A" }),
		change(func(r *series.Row) { r.Fields[0].Quality = telemetry.Bad }),
		change(func(r *series.Row) { r.Fields[0].Quality = 3 }),
		change(func(r *series.Row) { r.Fields[0].Value = telemetry.Value{} }),
		change(func(r *series.Row) { r.Fields[0].Value = telemetry.String("\xff") }),
		change(func(r *series.Row) { r.Fields[0].Value = telemetry.String(strings.Repeat("x", series.MaxText+1)) }),
		change(func(r *series.Row) { r.Fields = append(r.Fields, good("b", 1), good("a", 2)) }),
		change(func(r *series.Row) {
			for i := range series.MaxFields {
				r.Fields = append(r.Fields, good(pointName(i), 1))
			}
		}),
	}
	rejected := f.writeSome(rows...)
	if len(rejected) != len(rows)-1 {
		t.Errorf("%d rows rejected, want %d: %v", len(rejected), len(rows)-1, rejected)
	}
	for i, r := range rejected {
		if r.Row != i+1 || r.Reason == "" {
			t.Errorf("rejected %d: %+v", i, r)
		}
	}
	f.same("range", f.rangeOf(f.day()), samplesOf(ok))
}

func testWideRows(t *testing.T, f *fixture) {
	var rows []series.Row
	for n := range 5 {
		r := f.row(n)
		for i := range series.MaxFields {
			switch {
			case n == 2 && i%50 == 0:
				r.Fields = append(r.Fields, uncertain(pointName(i), float64(i+n)))
			case n == 3 && i%1000 == 1:
				r.Fields = append(r.Fields, bad(pointName(i)))
			default:
				r.Fields = append(r.Fields, good(pointName(i), float64(i+n)))
			}
		}
		rows = append(rows, r)
	}
	f.write(rows...)
	f.same("range", f.rangeOf(f.day()), samplesOf(rows...))
	q := series.Query{Site: f.site(), Points: []string{pointName(0), pointName(2500), pointName(4999)}}
	f.same("latest", f.latestOf(q), samplesOf(f.row(4, good(q.Points[0], 4), good(q.Points[1], 2504), good(q.Points[2], 5003))))
}
