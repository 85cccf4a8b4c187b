package evidencestore

import (
	"bytes"
	"fmt"
	"testing"

	"yunhe/collector/internal/intake"
	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

const segment = 1024

func open(t *testing.T, fs seglog.FS) (*Store, error) {
	t.Helper()
	return Open(Options{Dir: "/state", FS: fs, SegmentBytes: segment})
}

// content is what the nth entry holds.
func content(n int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("entry %03d ", n)), 20) }

// live appends to both logs, commits each time, and removes the oldest raw
// segment now and then, until it is done or the power goes. It returns what was
// committed, and the segments it began to remove.
func live(t *testing.T, fs seglog.FS) (at map[int]intake.Place, removed map[uint64]bool) {
	at, removed = map[int]intake.Place{}, map[uint64]bool{}
	s, err := open(t, fs)
	if err != nil {
		return at, removed
	}
	defer s.Close()
	for n := range 24 {
		place, err := s.Append(intake.Log(n%2), content(n))
		if err != nil || s.Commit() != nil {
			return at, removed
		}
		at[n] = place
		if n == 11 || n == 17 {
			oldest := s.logs[intake.RawLog].Segments()[0].ID
			removed[oldest] = true
			if _, err := s.RemoveRaw(oldest); err != nil {
				return at, removed
			}
		}
	}
	return at, removed
}

// TestPowerCut: whenever the power goes, also while a segment is removed, what
// was committed to either log is there, except what was being removed; and the
// removal can be finished.
func TestPowerCut(t *testing.T) {
	whole := crashfs.New()
	if at, removed := live(t, whole); len(at) != 24 || len(removed) != 2 {
		t.Fatalf("without a power cut: %d entries, %d removals", len(at), len(removed))
	}
	for n := 1; n <= whole.Ops(); n++ {
		fs := crashfs.New()
		fs.CrashAt(n)
		at, removed := live(t, fs)
		for i, policy := range crashfs.Policies(2) {
			after := fs.PowerCut(policy)
			s, err := open(t, after)
			if err != nil {
				t.Fatalf("operation %d, policy %d: %v", n, i, err)
			}
			for k, place := range at {
				b, err := s.ReadAt(place)
				if place.Log == intake.RawLog && removed[place.Segment] {
					continue
				}
				if err != nil || !bytes.Equal(b, content(k)) {
					t.Errorf("operation %d, policy %d: entry %d: %q, %v", n, i, k, b, err)
				}
			}
			for id := range removed {
				if _, err := s.RemoveRaw(id); err != nil {
					t.Errorf("operation %d, policy %d: remove again: %v", n, i, err)
				}
			}
			s.Close()
		}
	}
}

// TestNewestStays: the segment written to is not removed, so that numbers never
// begin again.
func TestNewestStays(t *testing.T) {
	fs := crashfs.New()
	s, err := open(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	if gone, err := s.RemoveRaw(1); gone || err != nil {
		t.Errorf("of an empty log: %v, %v", gone, err)
	}
	var last intake.Place
	for n := range 12 {
		if last, err = s.Append(intake.RawLog, content(n)); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for id := uint64(1); id <= last.Segment; id++ {
		if gone, err := s.RemoveRaw(id); gone != (id < last.Segment) || err != nil {
			t.Errorf("segment %d of %d: %v, %v", id, last.Segment, gone, err)
		}
	}
	s.Close()
	if s, err = open(t, fs); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if at, err := s.Append(intake.RawLog, content(1)); err != nil || at.Compare(last.Position) <= 0 {
		t.Errorf("after a restart the next place is %v, the last was %v, %v", at, last, err)
	}
}

// TestOneProcess: the state belongs to one process.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir, FS: seglog.OS()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Open(Options{Dir: dir, FS: seglog.OS()}); err == nil {
		t.Error("opened twice")
	}
}
