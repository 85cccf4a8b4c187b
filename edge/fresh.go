package edge

import (
	"sync"

	"yunhe/internal/evidence"
)

// freshBytes is how much of what was signed lately is kept in memory until it
// is sent: a second of fifty meters is 90 kB. What is older is read from the
// journal, so memory does not grow with the backlog.
const freshBytes = 256 << 10

// fresh keeps the newest entries, so that what is sent at once is neither read
// from the disk nor decoded again.
type fresh struct {
	mu      sync.Mutex
	entries map[entryNumber]evidence.Entry
	order   []entryNumber // as they came; those taken are gone from entries
	bytes   int
}

type entryNumber struct{ jid, jseq uint64 }

func newFresh() *fresh { return &fresh{entries: map[entryNumber]evidence.Entry{}} }

// put takes an entry; the oldest make room.
func (f *fresh) put(e evidence.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := entryNumber{e.Content.JID, e.Content.JSeq}
	f.entries[n] = e
	f.order = append(f.order, n)
	f.bytes += len(e.Bytes)
	for f.bytes > freshBytes || len(f.order) > 4*len(f.entries)+16 {
		f.drop(f.order[0])
		f.order = f.order[1:]
	}
}

// take returns an entry and forgets it: it is sent a second time rarely.
func (f *fresh) take(jid, jseq uint64) (evidence.Entry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := entryNumber{jid, jseq}
	e, ok := f.entries[n]
	f.drop(n)
	return e, ok
}

func (f *fresh) drop(n entryNumber) {
	f.bytes -= len(f.entries[n].Bytes)
	delete(f.entries, n)
}
