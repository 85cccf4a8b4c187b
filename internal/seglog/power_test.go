package seglog_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

const testDir = "var/lib/log"

// world runs a log over a crashing file system and knows what was promised.
type world struct {
	fs *crashfs.FS
	// confirmed records must be found; removed segments must not come back;
	// seen records were read by someone and must stay.
	confirmed [][]byte
	removed   []uint64
	reserve   bool            // there is a reserve for a full disk
	allowed   map[string]bool // everything that was ever appended
}

func newWorld() *world { return &world{fs: crashfs.New(), allowed: map[string]bool{}} }

func (w *world) options() seglog.Options {
	return seglog.Options{Dir: testDir, Name: "test", FS: w.fs, SegmentBytes: 300, Reserve: 256}
}

func (w *world) append(l *seglog.Log, text string) {
	w.allowed[text] = true
	if _, err := l.Append([]byte(text)); err == nil {
		w.confirmed = append(w.confirmed, []byte(text))
	}
}

func (w *world) appendMany(l *seglog.Log, texts ...string) {
	for _, t := range texts {
		w.allowed[t] = true
		if _, err := l.AppendBuffered([]byte(t)); err != nil {
			return
		}
	}
	if l.Commit() == nil {
		for _, t := range texts {
			w.confirmed = append(w.confirmed, []byte(t))
		}
	}
}

func (w *world) appendReserved(l *seglog.Log, text string) {
	w.allowed[text] = true
	if _, err := l.AppendReserved([][]byte{[]byte(text)}); err == nil {
		w.confirmed = append(w.confirmed, []byte(text))
	}
}

func (w *world) remove(l *seglog.Log, id uint64) {
	// From the moment Remove is called its records may be gone.
	for rec, err := range l.Scan(seglog.Position{Segment: id}) {
		if err != nil || rec.Position.Segment != id {
			break
		}
		w.confirmed = deleteRecord(w.confirmed, rec.Data)
	}
	if l.Remove(id) == nil {
		w.removed = append(w.removed, id)
	}
}

func deleteRecord(all [][]byte, r []byte) (rest [][]byte) {
	for _, c := range all {
		if !bytes.Equal(c, r) {
			rest = append(rest, c)
		}
	}
	return rest
}

// killed has the process die after some operations of an append; what the
// next process then reads must stay.
func (w *world) killed(l *seglog.Log, text string, operations int) {
	if w.fs.Crashed() {
		return
	}
	w.allowed[text] = true
	w.fs.CrashAt(operations)
	l.Append([]byte(text))
	w.fs.Restart()
	l, _, err := seglog.Open(w.options())
	if err != nil {
		return
	}
	for rec, err := range l.Scan(seglog.Position{}) {
		if err == nil && string(rec.Data) == text {
			w.confirmed = append(w.confirmed, []byte(text))
		}
	}
}

// broken opens the log in fsys and says which promise does not hold.
func (w *world) broken(fsys *crashfs.FS) error {
	found := map[string]int{}
	var order []string
	opts := w.options()
	opts.FS = fsys
	if w.reserve {
		fsys.SetCapacity(max(fsys.Used(), 1)) // not a byte is free
	}
	l, _, err := seglog.Open(opts)
	if err != nil {
		return fmt.Errorf("does not open: %w", err)
	}
	defer l.Close()
	if w.reserve {
		if _, err := l.AppendReserved([][]byte{[]byte("loss")}); err != nil {
			return fmt.Errorf("no room in the reserve: %w", err)
		}
		w.allowed["loss"] = true
		fsys.SetCapacity(0)
	}
	for rec, err := range l.Scan(seglog.Position{}) {
		if err == nil {
			found[string(rec.Data)]++
			order = append(order, string(rec.Data))
		}
	}
	for _, c := range w.confirmed {
		if found[string(c)] == 0 {
			return fmt.Errorf("confirmed record %q is lost", c)
		}
	}
	for r := range found {
		if !w.allowed[r] {
			return fmt.Errorf("record %q was never appended", r)
		}
	}
	for _, id := range w.removed {
		for _, s := range l.Segments() {
			if s.ID == id {
				return fmt.Errorf("removed segment %d is back", id)
			}
		}
	}
	if _, err := l.Append([]byte("after")); err != nil {
		return fmt.Errorf("cannot append after the start: %w", err)
	}
	return nil
}

// scenarios are whole lives of a log. Every place that syncs is needed by at
// least one of them: see TestEverySyncIsNeeded.
var scenarios = map[string]func(w *world){
	"append and rotate": func(w *world) {
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		for i := range 8 {
			w.append(l, fmt.Sprintf("record %d %s", i, bytes.Repeat([]byte{'x'}, 50)))
		}
		w.appendMany(l, "many 1", "many 2", string(bytes.Repeat([]byte{'m'}, 290)), "many 3")
		l.Close()
		l, _, err = seglog.Open(w.options())
		if err != nil {
			return
		}
		w.append(l, "second life")
		w.append(l, string(bytes.Repeat([]byte{'L'}, 700)))
		l.Close()
	},
	"remove": func(w *world) {
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		for i := range 9 {
			w.append(l, fmt.Sprintf("record %d %s", i, bytes.Repeat([]byte{'x'}, 80)))
		}
		w.remove(l, 1)
		w.append(l, "between")
		w.remove(l, 2)
		l.Close()
	},
	"reserve": func(w *world) {
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		w.append(l, "before")
		w.appendReserved(l, "loss 1")
		w.appendReserved(l, "loss 2")
		w.append(l, "after the loss")
		w.appendReserved(l, "loss 3")
		l.Close()
	},
	"killed before the sync": func(w *world) {
		// A process is killed between write and sync, the next one reads
		// what the first wrote; then the power goes.
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		w.append(l, "confirmed")
		w.killed(l, "read by the next", 1) // written, not synced
	},
	"killed before the directory sync": func(w *world) {
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		w.append(l, "confirmed")
		w.killed(l, string(bytes.Repeat([]byte{'n'}, 290)), 3) // created, written, synced
	},
	"reserve promised": func(w *world) {
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		w.reserve = !w.fs.Crashed()
		w.append(l, "one")
	},
	"disk full": func(w *world) {
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		w.append(l, "before")
		w.fs.SetCapacity(420)
		for i := range 4 {
			w.append(l, fmt.Sprintf("full %d %s", i, bytes.Repeat([]byte{'f'}, 60)))
		}
		w.appendReserved(l, "loss on a full disk")
		w.fs.SetCapacity(0)
		w.append(l, "room again")
		l.Close()
	},
	"failed sync": func(w *world) {
		l, _, err := seglog.Open(w.options())
		if err != nil {
			return
		}
		w.append(l, "before")
		w.fs.FailSync(1)
		w.append(l, "sync fails")
		w.append(l, "fresh segment")
		w.append(l, "and on")
		l.Close()
	},
}

// TestPowerCut cuts the power after every operation of every scenario, with
// every kind of loss: nothing that was confirmed may be missing.
func TestPowerCut(t *testing.T) {
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			whole := newWorld()
			scenario(whole)
			last := whole.fs.Ops()
			cuts := 0
			for at := 1; at <= last; at++ {
				w := newWorld()
				w.fs.CrashAt(at)
				scenario(w)
				for _, p := range crashfs.Policies(6) {
					cuts++
					if err := w.broken(w.fs.PowerCut(p)); err != nil {
						t.Errorf("power cut after operation %d of %d, %s: %v", at, last, p.Name, err)
					}
				}
			}
			for _, p := range crashfs.Policies(6) {
				if err := whole.broken(whole.fs.PowerCut(p)); err != nil {
					t.Errorf("power cut at the end, %s: %v", p.Name, err)
				}
			}
			t.Logf("%d power cuts at %d operations", cuts, last)
		})
	}
}

// TestEverySyncIsNeeded takes out the syncs of one place in the code at a
// time; the checker must notice each. The damage copies have a test of their
// own.
func TestEverySyncIsNeeded(t *testing.T) {
	places := map[string]bool{}
	for _, scenario := range scenarios {
		w := newWorld()
		scenario(w)
		for _, site := range w.fs.SyncSites() {
			places[site] = true
		}
	}
	for place := range places {
		if err := withoutSync(place); err == nil {
			t.Errorf("%s: no test notices that this sync is missing", place)
		} else {
			t.Logf("without %s: %v", place, err)
		}
	}
	if want := countSyncs(t) - len(damageSites); len(places) != want {
		t.Errorf("scenarios reach %d places that sync, the source has %d beside those of damage copies: %v", len(places), want, places)
	}
}

func withoutSync(place string) error {
	var errs []error
	for name, scenario := range scenarios {
		whole := newWorld()
		whole.fs.IgnoreSync(func(site string) bool { return site == place })
		scenario(whole)
		for at := whole.fs.Ops(); at > 0; at-- {
			w := newWorld()
			w.fs.IgnoreSync(func(site string) bool { return site == place })
			w.fs.CrashAt(at)
			scenario(w)
			for _, p := range crashfs.Policies(0) {
				if err := w.broken(w.fs.PowerCut(p)); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		for _, p := range crashfs.Policies(0) {
			if err := whole.broken(whole.fs.PowerCut(p)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return errors.Join(errs...)
}
