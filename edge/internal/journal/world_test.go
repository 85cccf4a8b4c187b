package journal

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog/crashfs"
)

// world runs journals over a crashing file system. Its sealer fails the test
// when a number is signed for two contents, and checks the chain.
type world struct {
	t      testing.TB
	fs     *crashfs.FS
	now    time.Time
	random *rand.ChaCha8
	max    int64
	sync   time.Duration
	signed map[Number]evidence.Entry
	losses []evidence.Loss
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, fs: crashfs.New(), now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		random: rand.NewChaCha8([32]byte{1}), max: 4 << 20, signed: map[Number]evidence.Entry{},
	}
}

func (w *world) options() Options {
	return Options{
		Dir: "var/lib/yunhe", FS: w.fs, Journals: []string{"raw", "boundary"}, MaxBytes: w.max,
		Floor: 24 * time.Hour, Sync: w.sync, Now: func() time.Time { return w.now }, Random: w.random,
	}
}

// seal signs a content: hash and bytes follow from number and content alone.
func (w *world) seal(kind evidence.Kind, content string) Sealer {
	return func(jid, jseq uint64, prev evidence.Hash) (evidence.Entry, error) {
		n := Number{jid, jseq}
		if old, twice := w.signed[n]; twice {
			w.t.Errorf("%v signed twice: %q and %q", n, old.Bytes, content)
		}
		if before, ok := w.signed[Number{jid, jseq - 1}]; jseq > 1 && (!ok || before.Hash != prev) {
			w.t.Errorf("%v: prev %s does not follow", n, prev)
		}
		b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, jid), jseq)
		e := evidence.Entry{
			Content: evidence.Content{Kind: kind, JID: jid, JSeq: jseq, Prev: prev, Recorded: w.now},
			Bytes:   append(b, content...),
		}
		e.Hash = evidence.HashOf(e.Bytes)
		w.signed[n] = e
		return e, nil
	}
}

func (w *world) events() Events {
	return Events{
		Epoch: func(journal string, prevJID, prevJSeq uint64, prevHash evidence.Hash) Sealer {
			return w.seal(evidence.KindEvent, fmt.Sprintf("epoch %s after %d:%d %s", journal, prevJID, prevJSeq, prevHash))
		},
		Loss: func(journal string, l evidence.Loss) Sealer {
			w.losses = append(w.losses, l)
			return w.seal(evidence.KindEvent, fmt.Sprintf("loss %s %d:%d-%d", journal, l.JID, l.Lo, l.Hi))
		},
	}
}

func (w *world) open() *Set {
	w.t.Helper()
	s, _, err := Open(w.options(), w.events())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) append(j *Journal, content string) Ref {
	w.t.Helper()
	ref, err := j.Append("meter-1", false, w.seal(evidence.KindBatch, content))
	if err != nil {
		w.t.Fatalf("append %q: %v", content, err)
	}
	return ref
}

// pending returns all pending entries and checks that each is what was
// signed.
func (w *world) pending(j *Journal) (numbers []Number) {
	w.t.Helper()
	var at Cursor
	for {
		refs, next, err := j.Pending(at, 7)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, ref := range refs {
			n := Number{ref.JID, ref.JSeq}
			b, err := j.Read(ref)
			if err != nil {
				w.t.Fatalf("read %v: %v", n, err)
			}
			if string(b) != string(w.signed[n].Bytes) {
				w.t.Errorf("%v reads as %q", n, b)
			}
			numbers = append(numbers, n)
		}
		if len(refs) == 0 {
			return numbers
		}
		at = next
	}
}

func ranges(numbers ...Number) (r evidence.Ranges) {
	for _, n := range numbers {
		r.Add(n.JID, n.JSeq)
	}
	return r
}

func number(r Ref) Number { return Number{r.JID, r.JSeq} }
