package ingest

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
)

// gatedSeries blocks until it is opened, then accepts everything.
type gatedSeries struct {
	nullSeries
	gate chan struct{}
}

func (s *gatedSeries) Write(ctx context.Context, rows []series.Row) ([]series.Rejected, error) {
	select {
	case <-s.gate:
		return s.nullSeries.Write(ctx, rows)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestMemoryIsBoundedByBytes: with the series store blocked and ten times the
// budget offered, the messages held stay within the budget and the heap within
// a small multiple of it; what was dropped is accepted when it comes again.
func TestMemoryIsBoundedByBytes(t *testing.T) {
	const budget = 1 << 20
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	gate := &gatedSeries{gate: make(chan struct{})}
	w.p.room = newRoom(budget)
	w.p.Series, w.p.Evidence, w.p.Records = gate, w.log.Store, w.records
	var mu sync.Mutex
	var acked evidence.Ranges
	w.p.Send = func(_ string, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		acked.Union(acksOf(t, payload))
	}
	ms, size := largeMessages(g, 10*budget)
	w.now = start.Add(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	before := heap()
	go func() { done <- w.p.Run(ctx) }()
	offer := func() (taken int) {
		mu.Lock()
		have := acked.String()
		mu.Unlock()
		stored, err := evidence.ParseRanges(have)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range ms {
			if stored.Contains(1001, uint64(i)+3) {
				continue // a gateway sends what is not acknowledged
			}
			m.Payload = bytes.Clone(m.Payload) // as from the broker, so that it counts
			if w.p.Offer(m) {
				taken++
			}
			if used := w.p.room.used(); used > budget {
				t.Fatalf("%v bytes are held, the budget is %d", used, budget)
			}
		}
		return taken
	}
	taken := offer()
	time.Sleep(200 * time.Millisecond) // the workers decode what they may
	taken += offer()
	if taken == 0 || taken*size > budget*11/10 {
		t.Errorf("%d messages of %d bytes are taken, the budget is %d", taken, size, budget)
	}
	if grown := heap() - before; grown > 5*budget {
		t.Errorf("the heap has grown by %d bytes, the budget is %d", grown, budget)
	} else {
		t.Logf("%d messages of %d bytes taken, heap grown by %d", taken, size, grown)
	}
	close(gate.gate)
	var want evidence.Ranges
	want.AddSpan(evidence.Span{JID: 1001, Lo: 3, Hi: uint64(len(ms)) + 2})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		got := acked.String()
		mu.Unlock()
		if got == want.String() && w.p.room.used() == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("acknowledged %s, want %s; %v bytes are still held", got, want, w.p.room.used())
		}
		offer()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// largeMessages returns batches of 1000 readings each, n bytes in all, and the
// size of one.
func largeMessages(g *gateway, n int) (ms []intake.Message, size int) {
	for at := start; n > 0; at = at.Add(time.Minute) {
		c := evidence.Content{Kind: evidence.KindBatch, DefHash: g.defhash, Recorded: at}
		for k := range 50 {
			c.Readings = append(c.Readings, readings(at.Add(time.Duration(k)*time.Second), 20)...)
		}
		m := g.send(g.sign(c))
		ms, size = append(ms, m), len(m.Payload)
		n -= size
	}
	return ms, size
}

func acksOf(t *testing.T, payload []byte) evidence.Ranges {
	var p sparkplug.Payload
	if err := sparkplug.Decode(payload, &p); err != nil {
		t.Error(err)
	}
	c, err := sparkplug.ParseCommand(&p)
	if err != nil {
		t.Error(err)
	}
	r, err := evidence.ParseRanges(c.Ack)
	if err != nil {
		t.Error(err)
	}
	return r
}

// heap returns the bytes alive.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
