package ingest

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
)

// nullSeries accepts everything and keeps nothing.
type nullSeries struct{ rows atomic.Int64 }

func (s *nullSeries) Write(_ context.Context, rows []series.Row) ([]series.Rejected, error) {
	s.rows.Add(int64(len(rows)))
	return nil, nil
}

// BenchmarkIngest measures decoding, verifying, the evidence store and the
// records on disk, without network and series store: signed messages of 20
// values (and of 200, as ten block times) from 100 gateways.
func BenchmarkIngest(b *testing.B) {
	for _, blocks := range []int{1, 10} {
		b.Run(fmt.Sprintf("%dvalues", blocks*20), func(b *testing.B) { benchmarkIngest(b, blocks) })
	}
}

func benchmarkIngest(b *testing.B, blocks int) {
	w := newWorld(b)
	null := &nullSeries{}
	w.p.Series, w.p.Evidence, w.p.Records = null, w.log.Store, w.records
	w.p.cfg.Interval = 50 * time.Millisecond
	w.p.Send = func(string, []byte) {}
	const gateways = 100
	gs := make([]*gateway, gateways)
	for i := range gs {
		gs[i] = w.enrolled(fmt.Sprintf("gw-%d", i), byte(i+1))
		w.deliver(gs[i].begin()...)
	}
	ms := make([]intake.Message, b.N)
	size := 0
	for i := range ms {
		g := gs[i%gateways]
		at := start.Add(time.Duration(i/gateways*blocks) * time.Second)
		c := evidence.Content{Kind: evidence.KindBatch, DefHash: g.defhash, Recorded: at}
		for k := range blocks {
			c.Readings = append(c.Readings, readings(at.Add(time.Duration(k)*time.Second), 20)...)
		}
		ms[i] = g.send(g.sign(c))
		size += len(ms[i].Payload)
	}
	w.now = start.Add(time.Duration(b.N/gateways*blocks+10) * time.Second)
	before := null.rows.Load()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	runtime.GC()
	used := cpuTime(b)
	b.ResetTimer()
	go func() { done <- w.p.Run(ctx) }()
	for i := range ms {
		for !w.p.Offer(ms[i]) {
			time.Sleep(100 * time.Microsecond)
		}
	}
	for null.rows.Load()-before < int64(b.N*blocks) {
		time.Sleep(100 * time.Microsecond)
	}
	b.StopTimer()
	used = cpuTime(b) - used
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N*blocks*20)/b.Elapsed().Seconds(), "values/s")
	b.ReportMetric(float64(b.N*blocks*20)/used.Seconds(), "values/CPUs")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "CPUµs/message")
	b.ReportMetric(float64(size)/float64(b.N), "B/message")
}

// cpuTime returns the CPU time of this process so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
