package ingest

import (
	"errors"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/telemetry"
)

const day = 24 * time.Hour

// TestRetention: whole segments of raw batches stored longer ago than the
// retention are deleted, and nothing else ever is; their numbers stay known.
func TestRetention(t *testing.T) {
	w := newWorldOf(t, t.TempDir(), osFS(), 4096)
	w.p.cfg.RawRetention = 400 * day
	g := w.enrolled("gw-1", 1)
	b := g.journal("boundary", 5000)
	w.deliver(append(g.begin(), b.begin()...)...)
	var old, kept []evidence.Entry
	for i := range 30 {
		at := start.Add(time.Duration(i) * time.Second)
		e, q := g.entry(at), b.entry(at)
		w.want(w.deliver(g.send(e), b.send(q)), Stored, Stored)
		old, kept = append(old, e), append(kept, q)
	}
	last := old[len(old)-1]
	gone := func(es []evidence.Entry) (n int) {
		for _, e := range es {
			if _, err := w.log.ReadAt(w.log.at[e.Hash]); errors.Is(err, seglog.ErrNotFound) {
				n++
			} else if err != nil {
				t.Error(err)
			}
		}
		return n
	}
	w.now = start.Add(400*day - time.Minute)
	w.p.evict(t.Context())
	if n := gone(old); n != 0 {
		t.Fatalf("%d entries are deleted before their time", n)
	}
	w.now = start.Add(400*day + time.Minute)
	for range 5 { // a few segments each time
		w.p.evict(t.Context())
		w.now = w.now.Add(evictEvery)
	}
	newest := 0
	for _, e := range old {
		if w.log.at[e.Hash].Segment == w.log.at[last.Hash].Segment {
			newest++
		}
	}
	if n := gone(old); n != len(old)-newest {
		t.Errorf("%d of %d old entries are deleted; %d are in the newest segment", n, len(old), newest)
	}
	if n := gone(kept); n != 0 {
		t.Errorf("%d boundary batches are deleted", n)
	}
	for h, at := range w.log.at { // the definitions and events, too
		if _, err := w.log.ReadAt(at); at.Log == intake.KeptLog && err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
	// What is deleted is still a duplicate, and other content under its number
	// still an equivocation.
	w.want(w.deliver(g.send(old[0])), Duplicate)
	forged := *g
	forged.jseq = old[0].Content.JSeq - 1
	w.want(w.deliver(forged.batch(start.Add(time.Hour))), Equivocation)
	// A place never comes to name another entry.
	e := g.entry(w.now)
	w.want(w.deliver(g.send(e)), Stored)
	if at := w.log.at[e.Hash]; at.Compare(w.log.at[last.Hash].Position) <= 0 {
		t.Errorf("the next entry lies at %v, the last one at %v", at, w.log.at[last.Hash])
	}
}

// TestRetentionOff: without a retention nothing is deleted.
func TestRetentionOff(t *testing.T) {
	w := newWorldOf(t, t.TempDir(), osFS(), 4096)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	for i := range 10 {
		w.deliver(g.batch(start.Add(time.Duration(i) * time.Second)))
	}
	w.now = start.AddDate(50, 0, 0)
	w.p.evict(t.Context())
	for h, at := range w.log.at {
		if _, err := w.log.ReadAt(at); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

// TestUnknownJournalIsKept: a batch whose epoch has not said that it is raw is
// never in the log that is deleted.
func TestUnknownJournalIsKept(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	for name, want := range map[string]intake.Log{"": intake.KeptLog, "raw": intake.RawLog, "boundary": intake.KeptLog, "else": intake.KeptLog} {
		o := g.journal(name, 7000+uint64(len(name)))
		first := o.epoch()
		if name != "" {
			w.want(w.deliver(first), Stored)
		}
		e := o.entry(start)
		w.want(w.deliver(o.send(e)), Stored)
		if at := w.log.at[e.Hash]; at.Log != want {
			t.Errorf("a batch of journal %q lies in log %d", name, at.Log)
		}
	}
}

// TestUntimedIsEvicted: an entry that waits for the time of its boot is
// forgotten with its segment; the boot's time, come too late, harms nothing.
func TestUntimedIsEvicted(t *testing.T) {
	w := newWorldOf(t, t.TempDir(), osFS(), 4096)
	w.p.cfg.RawRetention = 400 * day
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	synchronised := g.clock
	g.clock.State = telemetry.Unsynchronised
	for i := range 20 {
		w.want(w.deliver(g.batch(start.Add(time.Duration(i)*time.Second))), Stored)
	}
	w.now = start.Add(401 * day)
	w.p.evict(t.Context())
	g.clock = synchronised
	w.want(w.deliver(g.batch(w.now)), Stored)
	if err := w.p.flush(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	waiting, err := w.records.Untimed(t.Context(), 100)
	if err != nil || len(waiting) != 0 {
		t.Errorf("still waiting: %v, %v", waiting, err)
	}
}
