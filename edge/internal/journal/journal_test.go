package journal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/evidence"
)

// TestLife goes through appends, acks, a restart, hold and replay.
func TestLife(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	raw := s.Journal("raw")
	var refs []Ref
	for i := range 5 {
		refs = append(refs, w.append(raw, fmt.Sprint("batch ", i)))
	}
	if refs[0].JSeq != 2 || refs[4].JSeq != 6 {
		t.Errorf("numbers %d to %d, want 2 to 6 behind the epoch event", refs[0].JSeq, refs[4].JSeq)
	}
	if got := len(w.pending(raw)); got != 6 {
		t.Errorf("%d entries pending, want 6", got)
	}
	if n := raw.Ack(ranges(number(refs[0]), number(refs[2]), number(refs[2]), Number{9, 9})); n != 2 {
		t.Errorf("acked %d, want 2", n)
	}
	if n := raw.Hold(ranges(number(refs[2]), number(refs[3]))); n != 1 {
		t.Errorf("held %d, want 1", n)
	}
	oldJID := refs[0].JID
	want := []Number{{oldJID, 1}, number(refs[1]), number(refs[4])}
	if diff := cmp.Diff(want, w.pending(raw)); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = w.open()
	defer s.Close()
	raw = s.Journal("raw")
	st := raw.Stats()
	if st.Next.JID == oldJID || st.Next.JSeq != 2 {
		t.Errorf("after the restart the next number is %v", st.Next)
	}
	epoch := string(w.signed[Number{st.Next.JID, 1}].Bytes)
	if !strings.Contains(epoch, fmt.Sprintf("after %d:6 %s", oldJID, w.signed[number(refs[4])].Hash)) {
		t.Errorf("epoch event %q does not name the last entry", epoch)
	}
	want = append(want, Number{st.Next.JID, 1})
	if diff := cmp.Diff(want, w.pending(raw)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Number{{oldJID, 1}, {st.Next.JID, 1}}, st.Oldest); diff != "" {
		t.Error(diff)
	}
	if st.Pending != 4 || st.Held != 1 || st.Entries != 7 {
		t.Errorf("stats %+v", st)
	}
	if n := raw.Replay(ranges(number(refs[0]), number(refs[3]))); n != 2 {
		t.Errorf("replayed %d, want 2", n)
	}
	if got := w.pending(raw); len(got) != 6 || got[1] != number(refs[0]) {
		t.Errorf("pending after replay: %v", got)
	}
	if r, ok := raw.Find(oldJID, 4); !ok || number(r) != number(refs[2]) {
		t.Errorf("find: %v, %v", r, ok)
	}
}

// TestLostAcks removes the ack file and damages it: entries are sent again,
// none is lost, and a damaged file settles nothing.
func TestLostAcks(t *testing.T) {
	for _, damage := range []bool{false, true} {
		w := newWorld(t)
		s := w.open()
		ref := w.append(s.Journal("raw"), "batch")
		s.Journal("raw").Ack(ranges(number(ref)))
		s.Close()
		path := "var/lib/yunhe/raw/acks"
		if damage {
			f, err := w.fs.Open(path, 2)
			if err != nil {
				t.Fatal(err)
			}
			size, _ := f.Size()
			for at := range size {
				var b [1]byte
				f.ReadAt(b[:], at)
				f.WriteAt([]byte{b[0] ^ 2}, at)
				s := w.open()
				if !slices.Contains(w.pending(s.Journal("raw")), number(ref)) {
					t.Errorf("byte %d of the ack file flipped: the acked entry is not sent again", at)
				}
				s.Journal("raw").acks.dirty = false
				s.Close()
				f.WriteAt(b[:], at)
			}
			continue
		}
		if err := w.fs.Remove(path); err != nil {
			t.Fatal(err)
		}
		s = w.open()
		if !slices.Contains(w.pending(s.Journal("raw")), number(ref)) {
			t.Error("without the ack file the entry is not sent again")
		}
		s.Close()
	}
}

// TestForgedAck acks all there ever could be: nothing goes before the floor,
// and what is appended later is not acked by it.
func TestForgedAck(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	defer s.Close()
	raw := s.Journal("raw")
	for i := range 300 {
		w.append(raw, fmt.Sprint(i, strings.Repeat("x", 1000)))
	}
	jid := raw.Stats().Next.JID
	var forged evidence.Ranges
	forged.AddSpan(evidence.Span{JID: jid, Lo: 1, Hi: evidence.MaxNumber})
	raw.Ack(forged)
	w.now = w.now.Add(23 * time.Hour)
	later := w.append(raw, "later")
	if got := w.pending(raw); !slices.Equal(got, []Number{number(later)}) {
		t.Errorf("pending: %v", got)
	}
	if st := raw.Stats(); st.Entries != 302 {
		t.Errorf("%d entries before the floor, want all 302", st.Entries)
	}
	var all evidence.Ranges
	all.AddSpan(evidence.Span{JID: jid, Lo: 1, Hi: 302})
	if n := raw.Replay(all); n != 301 {
		t.Errorf("replayed %d, want 301", n)
	}
	raw.Ack(all)
	w.now = w.now.Add(2 * time.Hour)
	w.append(raw, "behind the floor")
	if st := raw.Stats(); st.Entries > 80 {
		t.Errorf("%d entries behind the floor", st.Entries)
	}
}

// TestLimit fills both journals far over the limit: settled raw goes first,
// then unsettled raw with a declaration, boundary entries stay.
func TestLimit(t *testing.T) {
	w := newWorld(t)
	w.max = 2 << 20
	s := w.open()
	raw, boundary := s.Journal("raw"), s.Journal("boundary")
	text := strings.Repeat("x", 1000)
	for i := range 600 {
		ref := w.append(raw, text)
		if i >= 100 && i < 400 {
			raw.Ack(ranges(number(ref)))
		}
	}
	for range 1150 {
		w.append(boundary, text)
	}
	if n := raw.Stats().Dropped; n != 0 {
		t.Errorf("%d unsettled entries dropped while settled ones were there", n)
	}
	if raw.Stats().Entries == 601 {
		t.Error("no settled entry gave way")
	}
	for range 350 {
		w.append(boundary, text)
		if got := s.bytes(); got > w.max {
			t.Fatalf("%d bytes are over the limit", got)
		}
	}
	dropped := raw.Stats().Dropped
	if dropped == 0 || boundary.Stats().Dropped != 0 {
		t.Fatalf("dropped %d raw and %d boundary entries", dropped, boundary.Stats().Dropped)
	}
	last := w.losses[len(w.losses)-1]
	first := w.pending(raw)[0]
	if last.JID != first.JID || last.Lo != 1 || last.Hi != first.JSeq-1 && first.JSeq < last.Lo {
		t.Errorf("declared %+v, first pending %v", last, first)
	}
	if want := w.signed[Number{last.JID, last.Hi}].Hash; last.LastHash != want {
		t.Errorf("declared last hash %s, want %s", last.LastHash, want)
	}
	for range 1200 {
		w.append(boundary, text)
	}
	if st := boundary.Stats(); st.Dropped == 0 || s.bytes() > w.max {
		t.Errorf("boundary dropped %d, %d bytes in use", st.Dropped, s.bytes())
	}
	w.everythingAccountedFor(s)
	s.Close()
	s = w.open()
	w.everythingAccountedFor(s)
	s.Close()
}

// everythingAccountedFor checks that each signed entry is in a journal, was
// acked, or lies in a declared loss that is still in a journal or was acked.
func (w *world) everythingAccountedFor(s *Set) {
	w.t.Helper()
	for n := range w.signed {
		ok := false
		for _, j := range s.journals {
			if j.present(n.JID, n.JSeq) || j.settled.contains(n.JID, n.JSeq) {
				ok = true
			}
			if d := j.losses[n.JID]; d != nil && d.loss.Lo <= n.JSeq && n.JSeq <= d.loss.Hi && j.present(d.jid, d.jseq) {
				ok = true
			}
		}
		if !ok && !w.acked(n) {
			w.t.Errorf("entry %v is gone without a word", n)
			return
		}
	}
}

// acked is what TestLimit acks, by number.
func (w *world) acked(n Number) bool { return n.JSeq >= 102 && n.JSeq < 402 }

// TestFullDisk takes the room away under a running journal: the entry that
// was signed is kept and written first, others are refused unsigned, and it
// goes on when there is room.
func TestFullDisk(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	raw := s.Journal("raw")
	before := w.append(raw, "before")
	w.fs.SetCapacity(w.fs.Used() + 100)
	text := strings.Repeat("x", 200)
	kept, err := raw.Append("meter-1", false, w.seal(evidence.KindBatch, text))
	if !errors.Is(err, ErrKept) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("append on a full disk: %v", err)
	}
	signed := len(w.signed)
	for range 3 {
		if _, err := raw.Append("meter-1", false, w.seal(evidence.KindBatch, text)); !errors.Is(err, ErrFull) {
			t.Fatalf("next append on a full disk: %v", err)
		}
	}
	if len(w.signed) != signed || raw.Stats().Waiting != 1 {
		t.Errorf("signed %d more entries, %d wait", len(w.signed)-signed, raw.Stats().Waiting)
	}
	w.fs.SetCapacity(0)
	after := w.append(raw, "after")
	if after.JSeq != kept.JSeq+1 {
		t.Errorf("kept %d, next %d", kept.JSeq, after.JSeq)
	}
	want := []Number{{before.JID, 1}, number(before), number(kept), number(after)}
	if diff := cmp.Diff(want, w.pending(raw)); diff != "" {
		t.Error(diff)
	}
	s.Close()
	s = w.open()
	defer s.Close()
	if got := w.pending(s.Journal("raw")); !slices.Equal(got[:4], want) {
		t.Errorf("after a restart: %v", got)
	}
}

// TestFullDiskDropsSettled gives settled entries up for room.
func TestFullDiskDropsSettled(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	defer s.Close()
	raw := s.Journal("raw")
	text := strings.Repeat("x", 1000)
	for range 300 {
		raw.Ack(ranges(number(w.append(raw, text))))
	}
	w.fs.SetCapacity(w.fs.Used() + 100)
	for range 100 {
		w.append(raw, text)
	}
	if st := raw.Stats(); st.Dropped != 0 || st.Pending < 100 {
		t.Errorf("stats %+v", st)
	}
}

// TestFullDiskStart starts on a full disk: the epoch event goes into the
// preallocated segment.
func TestFullDiskStart(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.append(s.Journal("raw"), "before")
	s.Close()
	w.fs.SetCapacity(w.fs.Used())
	s = w.open()
	defer s.Close()
	raw := s.Journal("raw")
	if st := raw.Stats(); st.Waiting != 0 || st.Entries != 3 {
		t.Errorf("stats %+v", st)
	}
	if _, err := raw.Append("meter-1", false, w.seal(evidence.KindBatch, "x")); !errors.Is(err, ErrKept) {
		t.Errorf("append: %v", err)
	}
	w.fs.SetCapacity(0)
	w.append(raw, "after")
	if n := len(w.pending(raw)); n != 5 {
		t.Errorf("%d pending, want 5", n)
	}
}

// TestFailedSync has the disk fail once under concurrent appends: all return
// without error, because the journal writes the same bytes again, elsewhere.
func TestFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.sync = 10 * time.Millisecond
		s := w.open()
		raw := s.Journal("raw")
		w.fs.FailSync(1)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if _, err := raw.Append("meter-1", false, w.seal(evidence.KindBatch, fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := w.pending(raw)
		for i, n := range got {
			if n.JSeq != uint64(i+1) {
				t.Errorf("pending: %v", got)
				break
			}
		}
		if len(got) != 7 {
			t.Errorf("%d pending, want 7", len(got))
		}
		s.Close()
	})
}

// TestSealerFails: a sealer that fails takes no number.
func TestSealerFails(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	defer s.Close()
	raw := s.Journal("raw")
	broken := errors.New("no key")
	_, err := raw.Append("meter-1", false, func(uint64, uint64, evidence.Hash) (evidence.Entry, error) { return evidence.Entry{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("append: %v", err)
	}
	if ref := w.append(raw, "next"); ref.JSeq != 2 {
		t.Errorf("next number is %d", ref.JSeq)
	}
}

// TestLiveCursor: what is appended after End is found from there, and only
// that.
func TestLiveCursor(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	defer s.Close()
	raw := s.Journal("raw")
	w.append(raw, "history")
	end := raw.End()
	<-raw.Updated()
	live := w.append(raw, "live")
	<-raw.Updated()
	refs, next, err := raw.Pending(end, 10)
	if err != nil || len(refs) != 1 || number(refs[0]) != number(live) {
		t.Fatalf("from End: %v, %v", refs, err)
	}
	if next != live.Cursor() || next != refs[0].Cursor() {
		t.Errorf("cursors differ: %v, %v, %v", next, live.Cursor(), refs[0].Cursor())
	}
	if refs, _, _ := raw.Pending(next, 10); len(refs) != 0 {
		t.Errorf("behind the end: %v", refs)
	}
	if refs[0].Device != "meter-1" || refs[0].Kind != evidence.KindBatch || !refs[0].Recorded.Equal(w.now) {
		t.Errorf("ref %+v", refs[0])
	}
}

// TestIndexIsSmall: a day's backlog is a few runs, whatever was acked.
func TestIndexIsSmall(t *testing.T) {
	w := newWorld(t)
	w.max = 64 << 20
	s := w.open()
	defer s.Close()
	raw := s.Journal("raw")
	for i := range 20_000 {
		ref := w.append(raw, "a short entry")
		if i%2 == 0 {
			continue
		}
		raw.Ack(ranges(Number{ref.JID, ref.JSeq - 1}, number(ref)))
	}
	runs, spans := 0, 0
	for _, seg := range raw.segments {
		runs += len(seg.runs)
	}
	for _, list := range raw.settled {
		spans += len(list)
	}
	if runs > 2*len(raw.segments) || spans > 2 {
		t.Errorf("%d runs in %d segments, %d settled spans", runs, len(raw.segments), spans)
	}
}

// TestBadOptions names what is wrong.
func TestBadOptions(t *testing.T) {
	w := newWorld(t)
	for want, change := range map[string]func(*Options){
		"too small":      func(o *Options) { o.MaxBytes = 1000 },
		"no journal":     func(o *Options) { o.Journals = nil },
		"negative":       func(o *Options) { o.Floor = -1 },
		"clock or file ": func(o *Options) { o.Now = nil },
	} {
		opts := w.options()
		change(&opts)
		if _, _, err := Open(opts, w.events()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestManyAckSpans has acks come with a hole between any two, as somebody may
// forge them: the file is written in the order of numbers, so in no time, and
// one too large to be read back is not written over the last good one.
func TestManyAckSpans(t *testing.T) {
	settled := spanSet{}
	for jid := range uint64(24) {
		for n := range uint64(20_000) {
			settled[1000-jid] = append(settled[1000-jid], span{2*n + 1, 2*n + 1})
		}
	}
	start := time.Now()
	b := formatAcks(settled, spanSet{})
	if took := time.Since(start); took > 5*time.Second || len(b) <= maxAcksFile {
		t.Errorf("writing %d bytes of spans took %s", len(b), took)
	}
	one := spanSet{7: settled[1000], 8: settled[1000]}
	acked, _, err := parseAcks(formatAcks(one, spanSet{}))
	if err != nil || acked.Len() != 40_000 {
		t.Fatalf("read back %d entries, %v", acked.Len(), err)
	}

	w := newWorld(t)
	s := w.open()
	raw := s.Journal("raw")
	ref := w.append(raw, "batch")
	raw.Ack(ranges(number(ref)))
	raw.saveAcks()
	for jid := range uint64(10) {
		raw.settled[8+jid] = settled[1000]
	}
	raw.acks.dirty = true
	raw.saveAcks()
	clear(raw.settled)
	raw.loadAcks(raw.acks.path)
	if !raw.settled.contains(ref.JID, ref.JSeq) {
		t.Error("the last good ack file is gone")
	}
	s.Close()
}

// TestHeldThenAcked: what the collector took after all is held no more.
func TestHeldThenAcked(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	defer s.Close()
	raw := s.Journal("raw")
	ref := w.append(raw, "batch")
	raw.Hold(ranges(number(ref)))
	if n := raw.Ack(ranges(number(ref))); n != 1 || raw.Stats().Held != 0 {
		t.Errorf("acked %d, %d are held", n, raw.Stats().Held)
	}
}

// TestFloorOfAnUnsetClock signs under a clock that says 1970; after a restart
// under the right time the acked entries are kept for their floor all the same.
func TestFloorOfAnUnsetClock(t *testing.T) {
	w := newWorld(t)
	right := w.now
	w.now = time.Unix(0, 0).UTC()
	s := w.open()
	for range 300 {
		w.append(s.Journal("raw"), strings.Repeat("x", 1000))
	}
	var all evidence.Ranges
	all.AddSpan(evidence.Span{JID: s.Journal("raw").jid, Lo: 1, Hi: 301})
	s.Journal("raw").Ack(all)
	s.Close()
	w.now = right
	s = w.open()
	defer s.Close()
	raw := s.Journal("raw")
	w.now = w.now.Add(23 * time.Hour)
	w.append(raw, "later")
	if n := raw.Stats().Entries; n != 303 {
		t.Errorf("%d entries before the floor, want all 303", n)
	}
}
