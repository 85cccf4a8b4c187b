package quarantine

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

func item(n int, class intake.Class, size int) intake.Item {
	return intake.Item{
		ID: evidence.HashOf(fmt.Appendf(nil, "%s %d", class, n)), Class: class, Outcome: "held", Reason: "because",
		Topic: "spBv1.0/tz/DDATA/gw-1/m1", At: time.Date(2026, 11, 23, 8, 0, n, 0, time.UTC), Site: "tz", Gateway: "gw-1",
		JID: 1, JSeq: uint64(n), Payload: bytes.Repeat([]byte{byte(n)}, size),
	}
}

func open(t *testing.T, fs seglog.FS, dir string, maxBytes int64, maxEntries int) (*Store, error) {
	t.Helper()
	return Open(Options{Dir: dir, FS: fs, MaxBytes: maxBytes, MaxEntries: maxEntries, Logger: slog.New(slog.DiscardHandler)})
}

func put(t *testing.T, s *Store, it intake.Item) bool {
	t.Helper()
	fresh, err := s.Put([]intake.Item{it, it})
	if err != nil {
		t.Fatal(err)
	}
	if fresh[1] {
		t.Error("the second of two equal items is fresh")
	}
	return fresh[0]
}

func TestKeptOverARestart(t *testing.T) {
	dir := t.TempDir()
	s, err := open(t, seglog.OS(), dir, 8<<20, 100)
	if err != nil {
		t.Fatal(err)
	}
	first, second, third := item(1, intake.Held, 100), item(2, intake.Sample, 50), item(3, intake.Held, 10)
	for _, it := range []intake.Item{first, second, third} {
		if !put(t, s, it) {
			t.Error("a new item is not fresh")
		}
	}
	if put(t, s, first) {
		t.Error("the same item is fresh twice")
	}
	if err := s.Remove(third.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = open(t, seglog.OS(), dir, 8<<20, 100); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := []intake.Item{first, second}
	for i := range want {
		got, err := s.Get(want[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want[i], got); d != "" {
			t.Errorf("item %d (-put +got):\n%s", i, d)
		}
		want[i].Payload = nil
	}
	if d := cmp.Diff(want, s.List()); d != "" {
		t.Errorf("list (-want +got):\n%s", d)
	}
	if _, err := s.Get(third.ID); err == nil {
		t.Error("a removed item is there again")
	}
}

// TestBounds: the oldest go first, they are counted, and a flood of samples
// pushes out no held item.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		maxBytes   int64
		maxEntries int
	}{"bytes": {1 << 20, 1 << 20}, "entries": {64 << 20, 200}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := open(t, seglog.OS(), dir, c.maxBytes, c.maxEntries)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			held := item(1, intake.Held, 100)
			put(t, s, held)
			const n = 400
			for i := range n {
				put(t, s, item(i, intake.Sample, 4000))
			}
			st := s.Stats(intake.Sample)
			if st.Bytes > c.maxBytes/2 || st.Items > c.maxEntries/2 || st.Items == 0 {
				t.Errorf("holds %+v", st)
			}
			if st.Items+int(st.Dropped) != n {
				t.Errorf("%d kept and %d dropped are not %d", st.Items, st.Dropped, n)
			}
			if _, err := s.Get(item(n-1, intake.Sample, 0).ID); err != nil {
				t.Errorf("the newest is gone: %v", err)
			}
			if _, err := s.Get(item(0, intake.Sample, 0).ID); err == nil {
				t.Error("the oldest is still there")
			}
			if _, err := s.Get(held.ID); err != nil {
				t.Errorf("samples pushed out a held item: %v", err)
			}
		})
	}
}

// TestPowerCut: what Put or Remove has returned from survives a power cut at
// every operation, whatever the disk keeps of the rest.
func TestPowerCut(t *testing.T) {
	const items = 12
	run := func(fs *crashfs.FS) (kept map[evidence.Hash]bool, gone map[evidence.Hash]bool) {
		kept, gone = map[evidence.Hash]bool{}, map[evidence.Hash]bool{}
		s, err := open(t, fs, "/q", 128<<10, 100) // segments of 4 KiB: several
		if err != nil {
			return kept, gone
		}
		defer s.Close()
		for i := range items {
			it := item(i, intake.Held, 900)
			if _, err := s.Put([]intake.Item{it}); err != nil {
				return kept, gone
			}
			kept[it.ID] = true
			if i%4 != 3 {
				continue
			}
			id := item(i-1, intake.Held, 0).ID
			delete(kept, id) // may be either from here on
			if s.Remove(id) != nil {
				return kept, gone
			}
			gone[id] = true
		}
		return kept, gone
	}
	whole := crashfs.New()
	if kept, gone := run(whole); len(kept) != 9 || len(gone) != 3 {
		t.Fatalf("without a power cut %d kept, %d gone", len(kept), len(gone))
	}
	for n := 1; n <= whole.Ops(); n++ {
		fs := crashfs.New()
		fs.CrashAt(n)
		kept, gone := run(fs)
		for i, policy := range crashfs.Policies(2) {
			s, err := open(t, fs.PowerCut(policy), "/q", 128<<10, 100)
			if err != nil {
				t.Fatalf("operation %d, policy %d: %v", n, i, err)
			}
			for id := range kept {
				if _, err := s.Get(id); err != nil {
					t.Errorf("operation %d, policy %d: %v", n, i, err)
				}
			}
			for id := range gone {
				if _, err := s.Get(id); err == nil {
					t.Errorf("operation %d, policy %d: a removed item is back", n, i)
				}
			}
			s.Close()
		}
	}
}

func TestDamageIsNoRefusalToStart(t *testing.T) {
	s := &area{logger: slog.New(slog.DiscardHandler), items: map[evidence.Hash]kept{}}
	for _, b := range []string{"", "{", `{"item":{"id":"xx"}}`, "null", `{"item":null}`} {
		s.load(seglog.Position{}, []byte(b))
	}
	if len(s.items) != 0 {
		t.Errorf("items out of nothing: %v", s.items)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"item":{"id":"` + evidence.HashOf(nil).String() + `"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &area{logger: slog.New(slog.DiscardHandler), items: map[evidence.Hash]kept{}}
		a.load(seglog.Position{}, b)
	})
}
