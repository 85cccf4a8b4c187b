package publish

import (
	"testing"
	"time"

	"yunhe/internal/evidence"
)

var start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func ranges(t *testing.T, s string) evidence.Ranges {
	t.Helper()
	r, err := evidence.ParseRanges(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill sends n live entries of 100 bytes with jid 1.
func fill(w *window, n int, now time.Time) {
	for i := range n {
		w.add(number{1, uint64(i + 1)}, live, 100, now)
	}
}

func TestWindowGrowsWithAcksAndShrinksWithLoss(t *testing.T) {
	w := newWindow(ethernetBytes)
	fill(w, minWindow, start)
	if w.room(live, 100) {
		t.Error("room beyond the window")
	}
	if n := w.ack(ranges(t, "1:1-60"), start.Add(time.Second)); n != 60 {
		t.Fatalf("acked %d, want 60", n)
	}
	if w.limit != 124 || w.bytes != 400 || w.rtt != time.Second {
		t.Errorf("limit %d bytes %d rtt %s", w.limit, w.bytes, w.rtt)
	}
	if got := w.due(start.Add(14*time.Second), 100); got != nil {
		t.Errorf("sent again after 14 s: %v", got)
	}
	got := w.due(start.Add(15*time.Second), 100)
	if len(got) != 4 || got[0] != (number{1, 61}) || got[3] != (number{1, 64}) {
		t.Errorf("due %v, want 61 to 64 in order", got)
	}
	if w.limit != minWindow {
		t.Errorf("limit %d after a loss, want %d", w.limit, minWindow)
	}
	for range 10000 {
		w.ack(ranges(t, "1:1-64"), start.Add(16*time.Second))
		fill(w, 64, start.Add(16*time.Second))
	}
	if w.limit != maxWindow {
		t.Errorf("limit %d, want at most %d", w.limit, maxWindow)
	}
}

func TestForgedAcksOpenNothing(t *testing.T) {
	w := newWindow(ethernetBytes)
	fill(w, 10, start)
	if n := w.ack(ranges(t, "2:1-9007199254740991;1:11-400"), start.Add(time.Second)); n != 0 {
		t.Errorf("%d acked by numbers that are not in flight", n)
	}
	if w.limit != minWindow || len(w.flights) != 10 || !w.waiting.Equal(start) {
		t.Errorf("limit %d flights %d waiting %s", w.limit, len(w.flights), w.waiting)
	}
}

// Without answers the patience doubles until the collector counts as silent;
// then one entry a minute is sent, whatever is in flight.
func TestSilence(t *testing.T) {
	w := newWindow(ethernetBytes)
	fill(w, minWindow, start)
	sent := 0
	for s := range 3600 {
		sent += len(w.due(start.Add(time.Duration(s)*time.Second), 1000))
	}
	// 64 after 15 s, 64 after 45 s, then a probe in each of 59 minutes.
	if sent < 128+57 || sent > 128+60 {
		t.Errorf("%d sendings in an hour of silence, want about 187", sent)
	}
	now := start.Add(time.Hour)
	if !w.silent(now) {
		t.Fatal("not silent after an hour")
	}
	w.ack(ranges(t, "1:1"), now)
	if w.silent(now) {
		t.Error("silent after an answer")
	}
	if got := len(w.due(now, 1000)); got != minWindow-1 {
		t.Errorf("%d sent again after the answer, want all %d others", got, minWindow-1)
	}
}

// An entry that is never acknowledged while others are does not climb to ten
// minutes.
func TestAnyAckResetsBackOff(t *testing.T) {
	w := newWindow(ethernetBytes)
	w.add(number{1, 1}, live, 100, start)
	resent, now := 0, start
	for i := range 600 {
		now = now.Add(time.Second)
		n := number{1, uint64(i + 2)}
		w.add(n, live, 100, now)
		resent += len(w.due(now, 10))
		var r evidence.Ranges
		r.Add(n.jid, n.seq)
		w.ack(r, now)
	}
	if resent < 35 || resent > 40 {
		t.Errorf("sent again %d times in 600 s, want each 15 s", resent)
	}
	// Without any other traffic it doubles up to ten minutes, and stays there.
	f := w.flights[number{1, 1}]
	for range 12 {
		w.again(f, now)
	}
	if d := f.next.Sub(now); d != maxTimeout {
		t.Errorf("patience %s, want %s", d, maxTimeout)
	}
}

func TestHistoryLeavesRoomForLive(t *testing.T) {
	w := newWindow(10_000)
	n := uint64(0)
	for w.room(past, 100) {
		n++
		w.add(number{2, n}, past, 100, start)
	}
	if n != 48 {
		t.Errorf("%d entries of history in a window of 64, want 48", n)
	}
	if !w.room(live, 100) || !w.room(boundary, 100) {
		t.Error("no room for live beside history")
	}
	if w.room(live, 10_000) {
		t.Error("room beyond the byte budget")
	}
	if e := newWindow(10); !e.room(past, 1000) {
		t.Error("an entry larger than the budget can never be sent")
	}
	w.drop(ranges(t, "2:1-48"), start)
	if w.history != 0 || w.bytes != 0 {
		t.Errorf("after dropping all: history %d bytes %d", w.history, w.bytes)
	}
}

func TestBackoff(t *testing.T) {
	for name, random := range map[string]float64{"least": 0, "most": 0.999999} {
		t.Run(name, func(t *testing.T) {
			b := backoff{random: func() float64 { return random }}
			want := firstPause
			for range 40 {
				d := b.next()
				if d < want/2 || d > want {
					t.Fatalf("pause %s, want %s to %s", d, want/2, want)
				}
				want = min(longest, 2*want)
			}
			b.reset()
			if d := b.next(); d > firstPause {
				t.Errorf("pause %s after reset", d)
			}
		})
	}
}
