package sqlite

import (
	"path/filepath"
	"testing"

	"yunhe/internal/series"
	"yunhe/internal/series/seriestest"
)

func open(tb testing.TB) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), filepath.Join(tb.TempDir(), "series %41?#.db"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	seriestest.Run(t, func(t *testing.T) series.Store { return open(t) })
}
