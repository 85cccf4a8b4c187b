package journal

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

// life is a scenario of both journals: appends, acks, an overflow that drops
// entries, a full disk, restarts. It notes what was confirmed.
type life struct {
	*world
	confirmed []Number
	acked     map[Number]bool
}

func (l *life) try(j *Journal, size int) {
	ref, err := j.Append("meter-1", false, l.seal(evidence.KindBatch, strings.Repeat("x", size)))
	if err == nil {
		l.confirmed = append(l.confirmed, number(ref))
	}
}

func (l *life) ack(j *Journal, n Number) {
	j.Ack(ranges(n))
	l.acked[n] = true
}

func (l *life) run() {
	for restart := range 2 {
		s, _, err := Open(l.options(), l.events())
		if err != nil {
			return
		}
		raw, boundary := s.Journal("raw"), s.Journal("boundary")
		l.try(boundary, 100)
		for i := range 10 {
			l.try(raw, 30_000)
			if i == 3 && len(l.confirmed) > 2 {
				l.ack(raw, l.confirmed[len(l.confirmed)-1])
			}
		}
		if restart == 1 {
			l.fs.SetCapacity(l.fs.Used() + 5000)
			l.try(raw, 30_000)
			l.try(raw, 30_000)
			l.fs.SetCapacity(0)
			l.try(raw, 100)
		}
		// Over the limit: the oldest raw entries go.
		for range 3 {
			s.opts.MaxBytes = s.bytes() + s.segBytes - 1
			l.try(boundary, 2000)
		}
		s.Close()
	}
}

// check starts again after the power cut: each confirmed entry must be
// pending, acked, or declared lost by an event that is there.
func (l *life) check(fsys *crashfs.FS) error {
	opts := l.options()
	opts.FS = fsys
	after := newWorld(l.t)
	after.signed, after.random = map[Number]evidence.Entry{}, l.random
	for n, e := range l.signed {
		after.signed[n] = e
	}
	s, _, err := Open(opts, after.events())
	if err != nil {
		return fmt.Errorf("does not open: %w", err)
	}
	defer s.Close()
	var pending []Number
	for _, j := range s.journals {
		pending = append(pending, after.pending(j)...)
	}
	for _, n := range l.confirmed {
		if slices.Contains(pending, n) || l.acked[n] {
			continue
		}
		declared := false
		for _, j := range s.journals {
			d := j.losses[n.JID]
			declared = declared || d != nil && d.loss.Lo <= n.JSeq && n.JSeq <= d.loss.Hi && slices.Contains(pending, Number{d.jid, d.jseq})
		}
		if !declared {
			return fmt.Errorf("confirmed entry %v is lost", n)
		}
	}
	if _, err := s.Journal("raw").Append("meter-1", false, after.seal(evidence.KindBatch, "on")); err != nil {
		return fmt.Errorf("cannot go on: %w", err)
	}
	return nil
}

func newLife(t testing.TB) *life {
	l := &life{world: newWorld(t), acked: map[Number]bool{}}
	l.max = 2 << 20
	return l
}

// TestPowerCut cuts the power after every operation of a journal's life, with
// every kind of loss.
func TestPowerCut(t *testing.T) {
	whole := newLife(t)
	whole.run()
	if len(whole.losses) == 0 || len(whole.confirmed) < 25 {
		t.Fatalf("the life is too quiet: %d losses, %d confirmed", len(whole.losses), len(whole.confirmed))
	}
	cuts := 0
	for at := 1; at <= whole.fs.Ops(); at++ {
		l := newLife(t)
		l.fs.CrashAt(at)
		l.run()
		for _, p := range crashfs.Policies(1) {
			cuts++
			if err := l.check(l.fs.PowerCut(p)); err != nil {
				t.Errorf("power cut after operation %d of %d, %s: %v", at, whole.fs.Ops(), p.Name, err)
			}
		}
	}
	t.Logf("%d power cuts at %d operations, %d entries confirmed in the whole life", cuts, whole.fs.Ops(), len(whole.confirmed))
}

// TestEverySyncIsNeeded takes out each sync that the journal's life reaches,
// by its place in the code; where the loss is not one of confirmed entries
// seglog's own tests cover the place.
func TestEverySyncIsNeeded(t *testing.T) {
	whole := newLife(t)
	whole.run()
	for _, place := range whole.fs.SyncSites() {
		elsewhere := false
		for _, f := range []string{".settle:", ".writeReserve:", ".Remove:"} {
			elsewhere = elsewhere || strings.Contains(place, f)
		}
		if elsewhere {
			continue
		}
		err := error(nil)
		for at := whole.fs.Ops(); at > 0 && err == nil; at-- {
			l := newLife(t)
			l.fs.IgnoreSync(func(site string) bool { return site == place })
			l.fs.CrashAt(at)
			l.run()
			err = l.check(l.fs.PowerCut(crashfs.Forget()))
		}
		if err == nil {
			t.Errorf("%s: no test notices that this sync is missing", place)
		}
	}
}

// TestJournalLeavesSyncingToSeglog: every Sync is where the tests above find
// it.
func TestJournalLeavesSyncingToSeglog(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && !strings.HasSuffix(name, "_test.go") {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sync" {
					t.Errorf("%s calls Sync by itself", name)
				}
			}
			return true
		})
	}
}

// damagedJournal writes five entries and returns the file system, the path
// of the raw segment, its bytes and the entries' numbers.
func damagedJournal(t testing.TB) (w *world, path string, file []byte, numbers []Number) {
	w = newWorld(t)
	s := w.open()
	numbers = []Number{{s.Journal("raw").jid, 1}}
	for i := range 4 {
		numbers = append(numbers, number(w.append(s.Journal("raw"), fmt.Sprint("entry ", i))))
	}
	s.Close()
	path = "var/lib/yunhe/raw/0000000000000001.seg"
	f, err := w.fs.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	file = make([]byte, size)
	if _, err := f.ReadAt(file, 0); err != nil {
		t.Fatal(err)
	}
	return w, path, file, numbers
}

// reopen opens a copy of the journals whose raw segment has these bytes, and
// returns the old entries that are pending and the numbers declared lost.
func reopen(t testing.TB, w *world, path string, file []byte, jid uint64) (found []Number, lost []evidence.Loss, report Report) {
	t.Helper()
	after := newWorld(t)
	after.fs, after.random, after.now = w.fs.PowerCut(crashfs.Kill()), w.random, w.now.Add(time.Hour)
	for n, e := range w.signed {
		after.signed[n] = e
	}
	f, err := after.fs.Open(path, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(0), write(f, file)); err != nil {
		t.Fatal(err)
	}
	s, report, err := Open(after.options(), after.events())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer s.Close()
	for _, n := range after.pending(s.Journal("raw")) {
		if n.JID == jid {
			found = append(found, n)
		}
	}
	return found, after.losses, report
}

func write(f seglog.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

// TestFlipAndCutEveryByte opens journals with each byte flipped and at each
// length: every other entry is pending, and what is missing between others
// is declared.
func TestFlipAndCutEveryByte(t *testing.T) {
	w, path, file, numbers := damagedJournal(t)
	jid := numbers[0].JID
	for at := range file {
		flipped := slices.Clone(file)
		flipped[at] ^= 0x10
		found, lost, report := reopen(t, w, path, flipped, jid)
		if len(report["raw"].Damage) != 1 {
			t.Errorf("byte %d flipped: damage %v", at, report["raw"].Damage)
		}
		if at < 32 {
			if len(found) != len(numbers) {
				t.Errorf("byte %d of the header flipped: found %v", at, found)
			}
			continue
		}
		if len(found) != len(numbers)-1 {
			t.Errorf("byte %d flipped: found %v", at, found)
			continue
		}
		missing := slices.IndexFunc(numbers, func(n Number) bool { return !slices.Contains(found, n) })
		inside := missing > 0 && missing < len(numbers)-1
		if inside != (len(lost) == 1) || inside && (lost[0].Lo != numbers[missing].JSeq || lost[0].Hi != lost[0].Lo) {
			t.Errorf("byte %d flipped: entry %d is missing, declared %+v", at, missing+1, lost)
		}
	}
	whole := 0
	for size := range len(file) + 1 {
		found, _, report := reopen(t, w, path, file[:size], jid)
		if len(found) < whole || len(found) > whole+1 || !slices.Equal(found, numbers[:len(found)]) {
			t.Errorf("cut at %d: found %v", size, found)
		}
		if len(found) == whole && size > 0 && len(report["raw"].Damage) != 1 && size != 32 {
			t.Errorf("cut at %d: damage %v", size, report["raw"].Damage)
		}
		whole = len(found)
	}
	if whole != len(numbers) {
		t.Errorf("the whole file gave %d entries", whole)
	}
}

// FuzzOpen opens a journal over arbitrary bytes: no panic, no refusal, and
// the entries in front of them are there.
func FuzzOpen(f *testing.F) {
	w, path, file, numbers := damagedJournal(f)
	f.Add([]byte("junk"))
	f.Add(file)
	f.Fuzz(func(t *testing.T, junk []byte) {
		found, _, _ := reopen(t, w, path, append(slices.Clone(file), junk...), numbers[0].JID)
		if !slices.Equal(found, numbers) {
			t.Errorf("found %v", found)
		}
		reopen(t, w, path, junk, numbers[0].JID)
	})
}

// FuzzDecodeRecord decodes arbitrary bytes; what decodes encodes to the same.
func FuzzDecodeRecord(f *testing.F) {
	r := record{ref: Ref{JID: 1, JSeq: 2, Device: "meter-1", Kind: evidence.KindEvent, Recorded: time.UnixMilli(1)}, loss: &evidence.Loss{JID: 1, Lo: 2, Hi: 3}, entry: []byte("entry")}
	b, err := r.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeRecord(again)
		if err != nil || back.ref != r.ref || back.hash != r.hash || string(back.entry) != string(r.entry) {
			t.Fatalf("%+v became %+v, %v", r, back, err)
		}
	})
}
