package journal

import (
	"errors"
	"strings"
	"testing"

	"yunhe/internal/evidence"
)

// TestLossOutlivesItsSegment drops an epoch whole, and then the segment in
// which that was declared: the declaration is made again.
func TestLossOutlivesItsSegment(t *testing.T) {
	w := newWorld(t)
	w.max = 2 << 20
	text := strings.Repeat("x", 1000)
	s := w.open()
	first := w.append(s.Journal("raw"), text)
	for range 300 {
		w.append(s.Journal("raw"), text)
	}
	s.Close()
	s = w.open()
	raw := s.Journal("raw")
	for range 4000 {
		w.append(raw, text)
	}
	if raw.has(first.JID) {
		t.Fatal("the first epoch is still there")
	}
	d := raw.losses[first.JID]
	if d == nil || d.loss.Lo != 1 || d.loss.Hi != 302 || !raw.present(d.jid, d.jseq) {
		t.Fatalf("the loss of the first epoch is declared as %+v", d)
	}
	if d.loss.LastHash != w.signed[Number{first.JID, 302}].Hash {
		t.Error("the last hash is not that of entry 302")
	}
	s.Close()
	s = w.open()
	defer s.Close()
	raw = s.Journal("raw")
	if d = raw.losses[first.JID]; d == nil || d.loss.Hi != 302 {
		t.Fatalf("after a restart the loss is %+v", d)
	}
	raw.Ack(ranges(Number{d.jid, d.jseq}))
	if raw.losses[first.JID] != nil {
		t.Error("an acked loss is declared on")
	}
}

// TestNothingGoesUndeclared has neither disk nor reserve take the loss event:
// then nothing is dropped and the append is refused.
func TestNothingGoesUndeclared(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	defer s.Close()
	raw := s.Journal("raw")
	for range 300 {
		w.append(raw, strings.Repeat("x", 1000))
	}
	entries := raw.Stats().Entries
	if err := w.fs.Remove("var/lib/yunhe/raw/reserve-segment.free"); err != nil {
		t.Fatal(err)
	}
	w.fs.SetCapacity(w.fs.Used())
	s.opts.MaxBytes = s.bytes()
	if _, err := raw.Append("meter-1", false, w.seal(evidence.KindBatch, "x")); !errors.Is(err, ErrFull) {
		t.Errorf("append: %v", err)
	}
	if st := raw.Stats(); st.Entries != entries || st.Dropped != 0 {
		t.Errorf("stats %+v, had %d entries", st, entries)
	}
	w.fs.SetCapacity(0)
	w.append(raw, "goes on")
	if st := raw.Stats(); st.Dropped == 0 || st.Waiting != 0 {
		t.Errorf("stats %+v", st)
	}
}
