package seriestest

import (
	"testing"
	"time"

	"yunhe/internal/series"
)

// Month returns a month of 15-minute rows of ten devices with width channels
// each, ordered by time as they would arrive.
func Month(width int) []series.Row {
	const slots, devices = 2880, 10
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]series.Row, 0, slots*devices)
	for n := range slots {
		for d := range devices {
			r := series.Row{Device: series.Device{Kind: "meter", Site: "site", Gateway: "gw", ID: pointName(d)}, Time: start.Add(time.Duration(n) * 15 * time.Minute)}
			for p := range width {
				r.Fields = append(r.Fields, good(pointName(p), float64(n)*0.25+float64(p*d)/7))
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func fill(b *testing.B, s series.Store, rows []series.Row) {
	b.Helper()
	for len(rows) > 0 {
		n := min(len(rows), 500)
		if rejected, err := s.Write(b.Context(), rows[:n]); err != nil || len(rejected) > 0 {
			b.Fatal(rejected, err)
		}
		rows = rows[n:]
	}
}

// BenchmarkWrite writes a month of 100 channels, 288,000 values.
func BenchmarkWrite(b *testing.B, open func(*testing.B) series.Store) {
	rows := Month(10)
	for b.Loop() {
		fill(b, open(b), rows)
	}
	b.ReportMetric(float64(b.N*len(rows)*10)/b.Elapsed().Seconds(), "values/s")
}

// BenchmarkRange reads a month of 100 channels: all of it, one point, and
// windows of an hour.
func BenchmarkRange(b *testing.B, open func(*testing.B) series.Store) {
	s := open(b)
	rows := Month(10)
	fill(b, s, rows)
	q := series.Query{Site: "site", From: rows[0].Time, To: rows[len(rows)-1].Time.Add(time.Second)}
	one := q
	one.Devices, one.Points = []string{pointName(3)}, []string{pointName(4)}
	for _, c := range []struct {
		name string
		q    series.Query
		want int
	}{{"month", q, 288_000}, {"point", one, 2880}} {
		b.Run(c.name, func(b *testing.B) {
			base, peak := heap(), uint64(0)
			for b.Loop() {
				n := 0
				for _, err := range s.Range(b.Context(), c.q) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; b.N == 1 && n%50_000 == 0 {
						peak = max(peak, heap())
					}
				}
				if n != c.want {
					b.Fatalf("%d samples, want %d", n, c.want)
				}
			}
			b.ReportMetric(float64(b.N*c.want)/b.Elapsed().Seconds(), "values/s")
			b.ReportMetric(float64(max(peak, base)-base)/(1<<20), "MiB-heap")
		})
	}
	for name, q := range map[string]series.Query{"hours": q, "hours-point": one} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for _, err := range s.Windows(b.Context(), series.WindowQuery{Query: q, Every: time.Hour, Function: series.Mean}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
	b.Run("latest", func(b *testing.B) {
		for b.Loop() {
			if got, err := s.Latest(b.Context(), series.Query{Site: "site"}); err != nil || len(got) != 100 {
				b.Fatal(len(got), err)
			}
		}
	})
}
