package influx

import (
	"testing"

	"yunhe/internal/series"
	"yunhe/internal/series/influxtest"
	"yunhe/internal/series/seriestest"
)

func BenchmarkWrite(b *testing.B) {
	url, _ := influxtest.Start(b)
	seriestest.BenchmarkWrite(b, func(b *testing.B) series.Store { return open(b, url) })
}

func BenchmarkRange(b *testing.B) {
	url, _ := influxtest.Start(b)
	seriestest.BenchmarkRange(b, func(b *testing.B) series.Store { return open(b, url) })
}

// BenchmarkEncode is what the collector pays for a row before it is sent.
func BenchmarkEncode(b *testing.B) {
	rows := seriestest.Month(1)[:100]
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = buf[:0]
		for i := range rows {
			if err := series.CheckRow(rows[i]); err != nil {
				b.Fatal(err)
			}
			buf = appendLine(buf, &rows[i], false)
		}
	}
	b.ReportMetric(float64(b.N*100*len(rows[0].Fields))/b.Elapsed().Seconds(), "values/s")
}
