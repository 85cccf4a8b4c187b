package e2e

import (
	"math"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// cell names one stored value.
type cell struct {
	device, point string
	ms            int64
}

// values are readings by place; a reading without a value is NaN.
type values map[cell]float64

// cells returns what the batches among entries must have put into the series.
func (es entries) cells(t testing.TB) values {
	t.Helper()
	devices := map[evidence.Hash]string{}
	for _, e := range es {
		if e.Content.Kind == evidence.KindDefinition {
			d, err := evidence.DecodeDefinition(e.Content.Data)
			if err != nil {
				t.Fatal(err)
			}
			devices[evidence.HashOf(e.Content.Data)] = d.Device
		}
	}
	out := values{}
	for n, e := range es {
		for _, r := range e.Content.Readings {
			c := cell{devices[e.Content.DefHash], r.Point, telemetry.Millis(r.Time)}
			if c.device == "" {
				t.Fatalf("entry %v cites a definition that is not there", n)
			}
			out[c] = numeric(r.Value)
		}
	}
	return out
}

func numeric(v telemetry.Value) float64 {
	if f, ok := v.Number(); ok {
		return f
	}
	return math.NaN()
}

// cellsIn reads the whole site back from a store of readings.
func cellsIn(t testing.TB, store series.Store) values {
	t.Helper()
	out := values{}
	now := time.Now()
	for s, err := range store.Range(t.Context(), series.Query{Site: siteID, From: now.Add(-time.Hour), To: now.Add(time.Hour)}) {
		if err != nil {
			t.Fatal(err)
		}
		c := cell{s.Device.ID, s.Point, telemetry.Millis(s.Time)}
		if _, twice := out[c]; twice {
			t.Errorf("%v is stored twice", c)
		}
		out[c] = numeric(s.Value)
	}
	return out
}

// compare demands the same cells with the same values on both sides.
func (want values) compare(t testing.TB, got values) {
	t.Helper()
	faults := 0
	report := func(format string, args ...any) {
		if faults++; faults <= 10 {
			t.Errorf(format, args...)
		}
	}
	for c, w := range want {
		if g, ok := got[c]; !ok {
			report("series: %v = %g is missing", c, w)
		} else if g != w && !(math.IsNaN(g) && math.IsNaN(w)) {
			report("series: %v is %g, signed was %g", c, g, w)
		}
	}
	for c, g := range got {
		if _, ok := want[c]; !ok {
			report("series: %v = %g was never signed", c, g)
		}
	}
	if faults > 10 {
		t.Errorf("series: %d faults in all", faults)
	}
}
