package influx

import (
	"testing"

	"yunhe/internal/series"
	"yunhe/internal/series/influxtest"
	"yunhe/internal/series/seriestest"
)

func open(tb testing.TB, url string) *Store {
	tb.Helper()
	s, err := Open(Options{URL: url, Org: "yunhe", Bucket: influxtest.Database + "/autogen", Token: "user:pass"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// forgetful is a Store that a test can replace by one that has just started.
type forgetful struct {
	*Store
	reopen func() *Store
}

// Forget opens the store anew.
func (f *forgetful) Forget() { f.Store = f.reopen() }

func TestSuite(t *testing.T) {
	url, _ := influxtest.Start(t)
	seriestest.Run(t, func(t *testing.T) series.Store {
		reopen := func() *Store { return open(t, url) }
		return &forgetful{Store: reopen(), reopen: reopen}
	})
}
