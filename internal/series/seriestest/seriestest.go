// Package seriestest is the one suite every series.Store must pass. It checks
// what the contract promises, not how a store does it.
package seriestest

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// Run checks the stores that open returns. Each test works on a site of its
// own, so open may return the same store every time.
func Run(t *testing.T, open func(t *testing.T) series.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"RoundTrip", testRoundTrip},
		{"Empty", testEmpty},
		{"Idempotent", testIdempotent},
		{"Overwrite", testOverwrite},
		{"DuplicatesInOneCall", testDuplicatesInOneCall},
		{"OverwriteQuality", testOverwriteQuality},
		{"OverwriteQualityReopened", testOverwriteQualityReopened},
		{"RowsMerge", testRowsMerge},
		{"LateData", testLateData},
		{"Latest", testLatest},
		{"LatestBounds", testLatestBounds},
		{"OrderAndBorders", testOrderAndBorders},
		{"Selection", testSelection},
		{"Unsigned", testUnsigned},
		{"ClockFailed", testClockFailed},
		{"FarTimes", testFarTimes},
		{"Texts", testTexts},
		{"HostileNames", testHostileNames},
		{"HostileQueries", testHostileQueries},
		{"TypeConflict", testTypeConflict},
		{"Rejected", testRejected},
		{"WideRows", testWideRows},
		{"Windows", testWindows},
		{"WindowsOfTexts", testWindowsOfTexts},
		{"WindowsClockFailed", testWindowsClockFailed},
		{"WindowsShadowedValue", testWindowsShadowedValue},
		{"BadQueries", testBadQueries},
		{"Cancel", testCancel},
		{"EarlyBreak", testEarlyBreak},
		{"SideBySide", testSideBySide},
		{"Million", testMillion},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, &fixture{t: t, open: open, Store: open(t), start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)})
		})
	}
}

// fixture is one test's store and device.
type fixture struct {
	series.Store
	t     *testing.T
	open  func(*testing.T) series.Store
	start time.Time
}

// site returns a site id that no other test uses.
func (f *fixture) site() string {
	id := []byte{}
	for _, c := range []byte(f.t.Name()) {
		switch {
		case c >= 'A' && c <= 'Z':
			id = append(id, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			id = append(id, c)
		default:
			id = append(id, '-')
		}
	}
	return string(id[max(0, len(id)-40):])
}

// kind returns a measurement of the test's own, since types are fixed there.
func (f *fixture) kind() string { return "k-" + f.site() }

func (f *fixture) device() series.Device { return f.deviceNamed("dev-1") }

func (f *fixture) deviceNamed(id string) series.Device {
	return series.Device{Kind: f.kind(), Site: f.site(), Gateway: "gw-1", ID: id}
}

// at returns the time n seconds after the start.
func (f *fixture) at(n int) time.Time { return f.start.Add(time.Duration(n) * time.Second) }

// row makes a row of the device at second n.
func (f *fixture) row(n int, fields ...series.Field) series.Row {
	return series.Row{Device: f.device(), Time: f.at(n), Fields: fields}
}

func good(point string, v float64) series.Field {
	return series.Field{Point: point, Value: telemetry.Float(v)}
}

func uncertain(point string, v float64) series.Field {
	return series.Field{Point: point, Value: telemetry.Float(v), Quality: telemetry.Uncertain}
}

func bad(point string) series.Field {
	return series.Field{Point: point, Quality: telemetry.Bad}
}

// write stores rows that must all be accepted.
func (f *fixture) write(rows ...series.Row) {
	f.t.Helper()
	if rejected := f.writeSome(rows...); len(rejected) > 0 {
		f.t.Fatalf("rejected: %v", rejected)
	}
}

// writeSome does what the contract asks of a caller: a store that says "try
// later" gets the same rows again.
func (f *fixture) writeSome(rows ...series.Row) []series.Rejected {
	f.t.Helper()
	for try := 1; ; try++ {
		rejected, err := f.Write(f.t.Context(), rows)
		var later *series.TryLaterError
		switch {
		case err == nil:
			return rejected
		case !errors.As(err, &later) || try == 5:
			f.t.Fatalf("Write: %v", err)
		}
		f.t.Logf("Write, try %d: %v", try, err)
		time.Sleep(later.After)
	}
}

// day is the query for the test's site over a day from the start.
func (f *fixture) day() series.Query {
	return series.Query{Site: f.site(), From: f.start, To: f.start.Add(24 * time.Hour)}
}

func (f *fixture) rangeOf(q series.Query) []series.Sample {
	f.t.Helper()
	return collect(f.t, f.Range(f.t.Context(), q))
}

func (f *fixture) windowsOf(q series.WindowQuery) []series.Window {
	f.t.Helper()
	return collect(f.t, f.Windows(f.t.Context(), q))
}

func (f *fixture) latestOf(q series.Query) []series.Sample {
	f.t.Helper()
	ss, err := f.Latest(f.t.Context(), q)
	if err != nil {
		f.t.Fatalf("Latest: %v", err)
	}
	return ss
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		if err != nil {
			t.Fatalf("after %d: %v", len(all), err)
		}
		all = append(all, v)
	}
	return all
}

// lastError returns the error a sequence ends with.
func lastError[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// samplesOf says what Range gives for rows that were written once each.
func samplesOf(rows ...series.Row) []series.Sample {
	var all []series.Sample
	for _, r := range rows {
		for _, f := range r.Fields {
			v := f.Value
			if n, ok := v.Number(); ok {
				v = telemetry.Float(n)
			}
			all = append(all, series.Sample{Device: r.Device, Time: r.Time, Point: f.Point,
				Value: v, Quality: f.Quality, ClockFailed: r.ClockFailed})
		}
	}
	sortSamples(all)
	return all
}

func sortSamples(all []series.Sample) {
	slices.SortFunc(all, func(a, b series.Sample) int {
		return cmp.Or(a.Device.Compare(b.Device), a.Time.Compare(b.Time), cmp.Compare(a.Point, b.Point))
	})
}

// byDevicePoint puts samples in the order of Latest.
func byDevicePoint(all []series.Sample) []series.Sample {
	slices.SortFunc(all, func(a, b series.Sample) int {
		return cmp.Or(a.Device.Compare(b.Device), cmp.Compare(a.Point, b.Point))
	})
	return all
}

func (f *fixture) same(what string, got, want any) {
	f.t.Helper()
	if d := gocmp.Diff(want, got); d != "" {
		f.t.Fatalf("%s (-want +got):\n%.4000s", what, d)
	}
}

func pointName(i int) string { return fmt.Sprintf("p%04d", i) }
