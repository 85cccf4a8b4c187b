package sqlite

import (
	"testing"

	"yunhe/internal/series"
	"yunhe/internal/series/seriestest"
)

func BenchmarkWrite(b *testing.B) {
	seriestest.BenchmarkWrite(b, func(b *testing.B) series.Store { return open(b) })
}

func BenchmarkRange(b *testing.B) {
	seriestest.BenchmarkRange(b, func(b *testing.B) series.Store { return open(b) })
}
