package journal

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// A reader that follows the journal while others append sees every entry: one
// whose group is committed and whose Append has not returned yet must not be
// passed over.
func TestPendingMissesNothingBesideAppend(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.FS, o.Dir, o.Sync = seglog.OS(), t.TempDir(), time.Millisecond
	s, _, err := Open(o, w.events())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := s.Journal("raw")
	const writers, each = 16, 40
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for k := range each {
				if _, err := j.Append("meter-1", false, w.seal(evidence.KindBatch, fmt.Sprint(i, k))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer wg.Wait()
	const all = writers*each + 1 // with the epoch event
	seen, at := 0, Cursor{}
	for deadline := time.Now().Add(10 * time.Second); seen < all; {
		refs, next, err := j.Pending(at, 7)
		if err != nil {
			t.Fatal(err)
		}
		if seen, at = seen+len(refs), next; time.Now().After(deadline) {
			t.Fatalf("saw %d entries of %d", seen, all)
		}
	}
}
