package publish

import (
	"cmp"
	"slices"
	"time"

	"yunhe/internal/evidence"
)

// Limits of what is in flight. They bound memory and what a lost connection
// makes to be sent again.
const (
	minWindow     = 64   // entries
	maxWindow     = 4096 // entries
	ethernetBytes = 1 << 20
	meteredBytes  = 64 << 10
	// historyShare is the part of window and budget that history may fill, so
	// that a live entry never waits for an acknowledgement.
	historyShare = 0.75

	minTimeout  = 15 * time.Second
	maxTimeout  = 10 * time.Minute
	silentAfter = time.Minute
	probeEvery  = time.Minute
)

// lane says how urgent an entry is. Smaller goes first.
type lane uint8

const (
	boundary lane = iota // counters on quarter hours
	live                 // what was journalled during this session
	backlog              // what an outage left behind, oldest first
	past                 // a history made under another clock, last
	lanes
)

func (l lane) history() bool { return l >= backlog }

// number names an entry.
type number struct{ jid, seq uint64 }

// flight is an entry that was sent and not acknowledged.
type flight struct {
	number
	lane     lane
	bytes    int
	sent     time.Time // the first time
	last     time.Time // the newest time
	next     time.Time // of the next sending
	attempts int       // re-sends since the last acknowledgement of anything
	resent   bool      // ever: no measure of the round trip then (Karn)
}

// window decides what may be sent and what must be sent again. It does no I/O
// and reads no clock. Not for concurrent use.
type window struct {
	limit   int // entries that may be in flight, minWindow to maxWindow
	budget  int // bytes that may be in flight
	flights map[number]*flight
	bytes   int
	history int // entries in flight of a history lane
	rtt     time.Duration
	// waiting is since when nobody answers: the last answer, or the sending
	// that found the window empty.
	waiting time.Time
	probed  time.Time // the last probe of a silent collector
	shrunk  time.Time
}

func newWindow(budget int) *window {
	return &window{limit: minWindow, budget: budget, flights: map[number]*flight{}}
}

// timeout is how long an entry waits for its acknowledgement the first time.
func (w *window) timeout() time.Duration { return max(minTimeout, 2*w.rtt) }

// room reports whether an entry of the lane may be sent. One entry always
// may, however large.
func (w *window) room(l lane, bytes int) bool {
	if len(w.flights) == 0 {
		return true
	}
	if !l.history() {
		return len(w.flights) < w.limit && w.bytes+bytes <= w.budget
	}
	return w.history < int(historyShare*float64(w.limit)) &&
		len(w.flights) < w.limit &&
		float64(w.bytes+bytes) <= historyShare*float64(w.budget)
}

// has reports whether the entry is in flight.
func (w *window) has(n number) bool { return w.flights[n] != nil }

// add takes an entry that was sent at now.
func (w *window) add(n number, l lane, bytes int, now time.Time) {
	if len(w.flights) == 0 {
		w.waiting = now
	}
	w.flights[n] = &flight{number: n, lane: l, bytes: bytes, sent: now, last: now, next: now.Add(w.timeout())}
	w.bytes += bytes
	if l.history() {
		w.history++
	}
}

// remove takes an entry out of the window.
func (w *window) remove(f *flight) {
	delete(w.flights, f.number)
	w.bytes -= f.bytes
	if f.lane.history() {
		w.history--
	}
}

// ack takes out what was acknowledged and returns how much that was. Numbers
// that are not in flight count for nothing, so a forged acknowledgement opens
// no window.
func (w *window) ack(r evidence.Ranges, now time.Time) int {
	acked := 0
	for n, f := range w.flights {
		if !r.Contains(n.jid, n.seq) {
			continue
		}
		if !f.resent {
			w.measure(now.Sub(f.sent))
		}
		w.remove(f)
		acked++
	}
	if acked == 0 {
		return 0
	}
	silent := w.silent(now)
	w.waiting = now
	w.limit = min(maxWindow, w.limit+acked)
	for _, f := range w.flights {
		f.attempts = 0
		f.next = minTime(f.next, f.last.Add(w.timeout()))
		if silent {
			f.next = now // whoever was silent has probably missed the others too
		}
	}
	return acked
}

// measure smooths the round trip with the weights of RFC 6298.
func (w *window) measure(rtt time.Duration) {
	if w.rtt == 0 {
		w.rtt = rtt
		return
	}
	w.rtt += (rtt - w.rtt) / 8
}

// drop takes entries out of the window that are held or are to be sent anew.
// Being refused is an answer too.
func (w *window) drop(r evidence.Ranges, now time.Time) {
	for n, f := range w.flights {
		if r.Contains(n.jid, n.seq) {
			w.remove(f)
			w.waiting = now
		}
	}
}

// silent reports whether nobody has answered anything for so long that
// sending on would be shouting: an unknown key, no collector, a broker that
// drops. Then one entry a minute is sent until an answer comes.
func (w *window) silent(now time.Time) bool {
	return len(w.flights) > 0 && now.Sub(w.waiting) >= max(silentAfter, 2*w.timeout())
}

// due returns what must be sent again at now, most urgent first, and counts
// it as sent. limit bounds the number.
func (w *window) due(now time.Time, limit int) []number {
	if w.silent(now) {
		return w.probe(now)
	}
	var due []*flight
	for _, f := range w.flights {
		if !f.next.After(now) {
			due = append(due, f)
		}
	}
	if len(due) == 0 {
		return nil
	}
	slices.SortFunc(due, inOrder)
	due = due[:min(len(due), limit)]
	w.shrink(now)
	out := make([]number, len(due))
	for i, f := range due {
		w.again(f, now)
		out[i] = f.number
	}
	return out
}

// again notes that f is sent once more and doubles its patience.
func (w *window) again(f *flight, now time.Time) {
	f.resent, f.last = true, now
	f.attempts = min(f.attempts+1, 16)
	f.next = now.Add(min(maxTimeout, w.timeout()<<f.attempts))
}

// probe returns the first entry once a minute.
func (w *window) probe(now time.Time) []number {
	if now.Sub(w.probed) < probeEvery {
		return nil
	}
	w.probed = now
	var first *flight
	for _, f := range w.flights {
		if first == nil || inOrder(f, first) < 0 {
			first = f
		}
	}
	w.again(first, now)
	return []number{first.number}
}

// nudge lets the next probe of a silent collector go at once: somebody new
// listens. One entry is all that this can cost.
func (w *window) nudge() { w.probed = time.Time{} }

// shrink halves the window when entries had to be sent again, once a timeout.
func (w *window) shrink(now time.Time) {
	if now.Sub(w.shrunk) >= w.timeout() {
		w.limit = max(minWindow, w.limit/2)
		w.shrunk = now
	}
}

func inOrder(a, b *flight) int {
	return cmp.Or(cmp.Compare(a.lane, b.lane), a.sent.Compare(b.sent), cmp.Compare(a.jid, b.jid), cmp.Compare(a.seq, b.seq))
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
