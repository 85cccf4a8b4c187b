package evidence

import (
	"errors"
	"strings"
	"testing"
)

// testChain is an epoch event and three batches.
func testChain(t *testing.T) []Entry {
	k := testKey(t, 1)
	out := []Entry{mustSign(t, k, testEvent(t))}
	for seq := uint64(2); seq <= 4; seq++ {
		c := testBatch()
		c.JID, c.JSeq, c.Prev = out[0].Content.JID, seq, out[len(out)-1].Hash
		out = append(out, mustSign(t, k, c))
	}
	return out
}

func TestChain(t *testing.T) {
	walk := func(entries []Entry) error {
		var c Chain
		var errs []error
		for _, e := range entries {
			errs = append(errs, c.Next(e))
		}
		return errors.Join(errs...)
	}
	if err := walk(testChain(t)); err != nil {
		t.Error(err)
	}
	if err := walk(testChain(t)[2:]); err != nil {
		t.Error("a part of a chain:", err)
	}
	for want, change := range map[string]func(es []Entry) []Entry{
		"entry 9:3 does not follow: the entry before is number 1": func(es []Entry) []Entry { return append(es[:1], es[2:]...) },
		"entry 9:3 does not follow: the entry before is number 3": func(es []Entry) []Entry { return append(es[:3], es[2:]...) },
		"entry 9:3 does not follow: it cites another entry":       func(es []Entry) []Entry { es[1].Hash[0]++; return es },
		"it is of another epoch than 9":                           func(es []Entry) []Entry { es[2].Content.JID++; return es },
		"not its start event": func(es []Entry) []Entry {
			c := testBatch()
			c.JID, c.JSeq, c.Prev = 9, 1, Hash{}
			es[0] = mustSign(t, testKey(t, 1), c)
			es[1].Content.Prev = es[0].Hash
			return es
		},
	} {
		err := walk(change(testChain(t)))
		var broken *ChainError
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}
