package evidence

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestParseRanges(t *testing.T) {
	for s, want := range map[string]string{
		"":                                    "",
		"7:1":                                 "7:1",
		"7:1-3":                               "7:1-3",
		"7:3,1-2":                             "7:1-3",
		"7:1-5,2-3":                           "7:1-5",
		"9:4;7:1-2;9:1-2":                     "7:1-2;9:1-2,4",
		"7:2-2":                               "7:2",
		"9007199254740991:1-9007199254740991": "9007199254740991:1-9007199254740991",
	} {
		r, err := ParseRanges(s)
		if err != nil || r.String() != want {
			t.Errorf("%q: %q, %v", s, r, err)
		}
	}
	for s, want := range map[string]string{
		"7":                      "has no colon",
		"7:":                     `"" is not a number`,
		":1":                     `"" is not a number`,
		"7:0":                    `"0" is not a number`,
		"0:1":                    `"0" is not a number`,
		"7:01":                   `"01" is not a number`,
		"7:+1":                   `"+1" is not a number`,
		"7:1-":                   `"" is not a number`,
		"7:3-2":                  "runs backwards",
		"7:1-2-3":                `"2-3" is not a number`,
		"7:1;":                   "has no colon",
		"7:1, 2":                 `" 2" is not a number`,
		"7:9007199254740992":     "is not a number from 1 to",
		"7:99999999999999999999": "is not a number from 1 to",
		"7:" + strings.Repeat("1,", MaxSpans) + "1": "more than 8192 spans",
		strings.Repeat("7", MaxRangesText+1):        "at most 65536 are accepted",
	} {
		if r, err := ParseRanges(s); err == nil || !strings.Contains(err.Error(), want) || !r.Empty() {
			t.Errorf("%.40q: %v, %v, want …%s…", s, r, err, want)
		}
	}
}

// A set built step by step is the set of its numbers, whatever the order.
func TestRangesAreASet(t *testing.T) {
	type entry struct{ jid, seq uint64 }
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var r, odd Ranges
		want := make(map[entry]bool)
		for range rng.IntN(60) {
			s := Span{1 + rng.Uint64N(3), 1 + rng.Uint64N(40), 0}
			s.Hi = s.Lo + rng.Uint64N(5)
			if rng.IntN(4) == 0 {
				odd.AddSpan(s)
			} else {
				r.AddSpan(s)
			}
			for n := s.Lo; n <= s.Hi; n++ {
				want[entry{s.JID, n}] = true
			}
		}
		r.Union(odd)
		if r.Len() != uint64(len(want)) {
			t.Fatalf("%s has %d entries, want %d", r, r.Len(), len(want))
		}
		for jid := range uint64(5) {
			for seq := range uint64(50) {
				if r.Contains(jid, seq) != want[entry{jid, seq}] {
					t.Fatalf("%s: Contains(%d, %d)", r, jid, seq)
				}
			}
		}
		again, err := ParseRanges(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%s became %s, %v", r, again, err)
		}
		got := make(map[entry]bool)
		last := Span{}
		for s := range r.Spans() {
			if s.JID < last.JID || s.JID == last.JID && s.Lo <= last.Hi+1 {
				t.Fatalf("%s is not sorted and merged", r)
			}
			last = s
			for n := s.Lo; n <= s.Hi; n++ {
				got[entry{s.JID, n}] = true
			}
		}
		if !maps.Equal(got, want) {
			t.Fatal("Spans gives other entries")
		}
	}
}

func TestRangesIgnoreWhatCannotBe(t *testing.T) {
	var r Ranges
	r.Add(0, 1)
	r.Add(1, 0)
	r.Add(MaxNumber+1, 1)
	r.Add(1, MaxNumber+1)
	r.AddSpan(Span{1, 3, 2})
	if !r.Empty() {
		t.Error(r)
	}
	r.Add(1, MaxNumber)
	r.Add(MaxNumber, 1)
	if r.String() != "1:9007199254740991;9007199254740991:1" {
		t.Error(r)
	}
}

func TestRangesSplit(t *testing.T) {
	var r Ranges
	for i := range uint64(5000) {
		r.Add(MaxNumber-i, MaxNumber-2*i)
	}
	var all Ranges
	parts := r.Split()
	for _, p := range parts {
		back, err := ParseRanges(p.String())
		if err != nil {
			t.Fatal(err)
		}
		all.Union(back)
	}
	if len(parts) < 2 || all.String() != r.String() {
		t.Errorf("%d parts do not add up", len(parts))
	}
	if (Ranges{}).Split() != nil {
		t.Error("nothing was split")
	}
}

func TestRangesEachStops(t *testing.T) {
	r, _ := ParseRanges("1:1,3,5;2:1")
	var seen []uint64
	r.Each(func(_, lo, _ uint64) bool {
		seen = append(seen, lo)
		return len(seen) < 2
	})
	if !slices.Equal(seen, []uint64{1, 3}) {
		t.Error(seen)
	}
}

func BenchmarkRangesAdd(b *testing.B) {
	var r Ranges
	n := uint64(0)
	for b.Loop() {
		n++
		r.Add(7, n)
	}
}
