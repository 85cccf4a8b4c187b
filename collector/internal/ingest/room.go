package ingest

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"yunhe/collector/internal/intake"
)

// room is the budget of bytes that all messages between arrival and answer
// share. A decoded message takes several times what came, until it is stored,
// so only a quarter of the budget is decoded at a time: in all the heap stays
// within a small multiple of the budget.
type room struct {
	size    int64
	all     *semaphore.Weighted
	decoded *semaphore.Weighted
	taken   atomic.Int64
}

// perMessage is what is kept of a message beside its bytes.
const perMessage = 512

func newRoom(size int64) *room {
	return &room{size: size, all: semaphore.NewWeighted(size), decoded: semaphore.NewWeighted(size / 4)}
}

// weigh returns what a message takes; one that is larger than all takes all.
func (r *room) weigh(m intake.Message) int64 {
	return min(int64(len(m.Topic)+len(m.Payload))+perMessage, r.size)
}

// try takes n bytes if they are free.
func (r *room) try(n int64) bool {
	ok := r.all.TryAcquire(n)
	if ok {
		r.taken.Add(n)
	}
	return ok
}

// wait takes n bytes as soon as they are free.
func (r *room) wait(ctx context.Context, n int64) error {
	err := r.all.Acquire(ctx, n)
	if err == nil {
		r.taken.Add(n)
	}
	return err
}

// open waits until n of the bytes taken may be decoded.
func (r *room) open(ctx context.Context, n int64) error {
	return r.decoded.Acquire(ctx, min(n, r.size/4))
}

// close gives the bytes of a message back that was opened.
func (r *room) close(n int64) {
	r.decoded.Release(min(n, r.size/4))
	r.release(n)
}

// release gives bytes back that were not opened.
func (r *room) release(n int64) {
	r.taken.Add(-n)
	r.all.Release(n)
}

// used returns the bytes taken.
func (r *room) used() float64 { return float64(r.taken.Load()) }
