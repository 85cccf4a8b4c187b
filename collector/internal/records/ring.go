package records

import (
	"context"
	"iter"
	"sync"
	"time"

	contract "yunhe/internal/records"
	"yunhe/internal/series"
)

// ringSize is how many rows can be resumed from: some seconds of a large
// collector, some minutes of a small one.
const ringSize = 8192

// ring holds the newest rows under growing numbers.
type ring struct {
	mu    sync.Mutex
	rows  []series.Row // rows[n % ringSize] has number n
	first uint64       // oldest number held
	next  uint64       // number of the next row
	more  chan struct{}
}

// newRing numbers from the time in milliseconds, times 1,000: numbers grow
// over a restart and stay below 2^53.
func newRing(now time.Time) *ring {
	n := uint64(max(now.UnixMilli(), 1)) * 1000
	return &ring{rows: make([]series.Row, ringSize), first: n, next: n, more: make(chan struct{})}
}

// publish adds rows and wakes the readers. The rows are kept, not copied.
func (r *ring) publish(rows []series.Row) {
	if len(rows) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range rows {
		r.rows[r.next%ringSize] = row
		r.next++
	}
	if r.next-r.first > ringSize {
		r.first = r.next - ringSize
	}
	close(r.more)
	r.more = make(chan struct{})
}

// read returns the rows from number at on, or a channel that says when there
// are some.
func (r *ring) read(at uint64, into []series.Row) (rows []series.Row, from uint64, wait <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at = max(at, r.first)
	for n := at; n < r.next && len(into) < cap(into); n++ {
		into = append(into, r.rows[n%ringSize])
	}
	return into, at, r.more
}

func (r *ring) stream(ctx context.Context, scope contract.Scope, after uint64) iter.Seq2[contract.StreamItem, error] {
	r.mu.Lock()
	at := after + 1
	if after >= r.next { // Live, or a number of another life of this ring
		at = r.next
	}
	r.mu.Unlock()
	return func(yield func(contract.StreamItem, error) bool) {
		gap := after >= at && after != contract.Live
		resumes := after != 0 // 0 asks for what is there
		buf := make([]series.Row, 0, 256)
		for {
			rows, from, wait := r.read(at, buf[:0])
			gap = gap || from > at && resumes
			resumes = true
			for i, row := range rows {
				if !scope.Allows(row.Device.Site) {
					continue
				}
				item := itemOf(row, from+uint64(i))
				item.Gap, gap = gap, false
				if !yield(item, nil) {
					return
				}
			}
			at = from + uint64(len(rows))
			if len(rows) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-wait:
			}
		}
	}
}

func itemOf(r series.Row, seq uint64) contract.StreamItem {
	it := contract.StreamItem{
		Seq: seq, Site: r.Device.Site, Gateway: r.Device.Gateway, Device: r.Device.ID, Kind: r.Device.Kind,
		Unsigned: r.Device.Unsigned, Time: r.Time, ClockFailed: r.ClockFailed,
		Readings: make([]contract.Reading, len(r.Fields)),
	}
	for i, f := range r.Fields {
		it.Readings[i] = contract.Reading{Point: f.Point, Value: f.Value, Quality: f.Quality}
	}
	return it
}
