package edge

import (
	"context"
	"sync/atomic"

	"yunhe/edge/internal/journal"
	"yunhe/edge/internal/publish"
	"yunhe/internal/evidence"
)

// feed shows a journal to the publisher. A feed without a journal has nothing
// to send until one is attached.
type feed struct {
	journal  atomic.Pointer[journal.Journal]
	fresh    *fresh // nil: everything is read from the disk
	attached chan struct{}
	updated  chan struct{}
}

// newFeed returns a feed without a journal.
func newFeed(f *fresh) *feed {
	return &feed{fresh: f, attached: make(chan struct{}), updated: make(chan struct{}, 1)}
}

// attach gives the feed its journal, once.
func (f *feed) attach(j *journal.Journal) {
	f.journal.Store(j)
	close(f.attached)
	f.poke()
}

// Pending returns entries that wait to be sent.
func (f *feed) Pending(from any, limit int) ([]publish.Entry, any, error) {
	j := f.journal.Load()
	if j == nil {
		return nil, from, nil
	}
	after, _ := from.(journal.Cursor)
	refs, next, err := j.Pending(after, limit)
	out := make([]publish.Entry, len(refs))
	for i, r := range refs {
		out[i] = publish.Entry{JID: r.JID, JSeq: r.JSeq, Device: r.Device, Bytes: r.Bytes, Ref: r}
	}
	return out, next, err
}

// Mark returns the place behind what is there and the next number.
func (f *feed) Mark() (place any, jid, next uint64) {
	j := f.journal.Load()
	if j == nil {
		return nil, 0, 0
	}
	n := j.Stats().Next
	return j.End(), n.JID, n.JSeq
}

// Read returns an entry.
func (f *feed) Read(e publish.Entry) (evidence.Entry, error) {
	if f.fresh != nil {
		if entry, ok := f.fresh.take(e.JID, e.JSeq); ok {
			return entry, nil
		}
	}
	b, err := f.journal.Load().Read(e.Ref.(journal.Ref))
	if err != nil {
		return evidence.Entry{}, err
	}
	return evidence.Parse(b)
}

// Updated receives after entries became pending.
func (f *feed) Updated() <-chan struct{} { return f.updated }

// forward passes the journal's own signal on, from when it is attached.
func (f *feed) forward(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-f.attached:
	}
	j := f.journal.Load()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-j.Updated():
			f.poke()
		}
	}
}

func (f *feed) poke() {
	select {
	case f.updated <- struct{}{}:
	default:
	}
}

// answers spreads what the collector says over all journals; each takes the
// numbers that are its own.
type answers struct {
	*recorder // Define
	feeds     []*feed
}

func (a answers) each(fn func(*journal.Journal)) {
	for _, f := range a.feeds {
		if j := f.journal.Load(); j != nil {
			fn(j)
		}
	}
}

// Ack notes what the collector stored.
func (a answers) Ack(r evidence.Ranges) { a.each(func(j *journal.Journal) { j.Ack(r) }) }

// Hold notes what the collector refused and keeps.
func (a answers) Hold(r evidence.Ranges) { a.each(func(j *journal.Journal) { j.Hold(r) }) }

// Replay makes entries pending again.
func (a answers) Replay(r evidence.Ranges) { a.each(func(j *journal.Journal) { j.Replay(r) }) }
