package evidence

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Limits on the text form of Ranges.
const (
	MaxRangesText = 64 << 10 // bytes
	MaxSpans      = 8192
)

// Span is the entries Lo to Hi of one epoch, both included.
type Span struct{ JID, Lo, Hi uint64 }

// Len returns how many entries s names.
func (s Span) Len() uint64 { return s.Hi - s.Lo + 1 }

// Ranges is a set of entries, in the grammar of Ack, Reject and Replay:
// "jid:lo-hi,n;jid:n". It is kept sorted and merged. The zero value is empty.
type Ranges struct{ spans []Span }

// ParseRanges reads the text form; order and overlaps do not matter.
func ParseRanges(s string) (Ranges, error) {
	var r Ranges
	if s == "" {
		return r, nil
	}
	if len(s) > MaxRangesText {
		return r, fmt.Errorf("parse ranges: %d bytes, at most %d are accepted", len(s), MaxRangesText)
	}
	for group := range strings.SplitSeq(s, ";") {
		if err := r.parseGroup(group); err != nil {
			return Ranges{}, fmt.Errorf("parse ranges: %w", err)
		}
	}
	r.spans = merge(r.spans)
	return r, nil
}

func (r *Ranges) parseGroup(group string) error {
	id, list, ok := strings.Cut(group, ":")
	if !ok {
		return fmt.Errorf("%q has no colon: write jid:lo-hi,n", group)
	}
	jid, err := parseNumber(id)
	if err != nil {
		return err
	}
	for item := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(item, "-")
		lo, err := parseNumber(first)
		if err != nil {
			return err
		}
		hi := lo
		if isRange {
			if hi, err = parseNumber(last); err != nil {
				return err
			}
		}
		if hi < lo {
			return fmt.Errorf("%q runs backwards", item)
		}
		if len(r.spans) == MaxSpans {
			return fmt.Errorf("more than %d spans", MaxSpans)
		}
		r.spans = append(r.spans, Span{jid, lo, hi})
	}
	return nil
}

// parseNumber reads a jid or jseq: digits alone, no leading zero.
func parseNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > MaxNumber || s[0] == '0' || s[0] == '+' {
		return 0, fmt.Errorf("%.40q is not a number from 1 to %d", s, uint64(MaxNumber))
	}
	return n, nil
}

// merge sorts spans and joins those that overlap or touch.
func merge(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.JID, b.JID), cmp.Compare(a.Lo, b.Lo))
	})
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].JID == s.JID && s.Lo <= out[n-1].Hi+1 {
			out[n-1].Hi = max(out[n-1].Hi, s.Hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Add puts one entry into the set; numbers that cannot be are ignored.
func (r *Ranges) Add(jid, seq uint64) { r.AddSpan(Span{jid, seq, seq}) }

// AddSpan puts a span into the set; one that cannot be is ignored.
func (r *Ranges) AddSpan(s Span) {
	if s.JID == 0 || s.Lo == 0 || s.Lo > s.Hi || s.JID > MaxNumber || s.Hi > MaxNumber {
		return
	}
	// The place of the first span that s may touch; in a set that grows in
	// order this is the last one.
	i := len(r.spans)
	for i > 0 && (r.spans[i-1].JID > s.JID || r.spans[i-1].JID == s.JID && r.spans[i-1].Hi+1 >= s.Lo) {
		i--
	}
	j := i
	for j < len(r.spans) && r.spans[j].JID == s.JID && r.spans[j].Lo <= s.Hi+1 {
		s.Lo, s.Hi = min(s.Lo, r.spans[j].Lo), max(s.Hi, r.spans[j].Hi)
		j++
	}
	r.spans = slices.Replace(r.spans, i, j, s)
}

// Union puts every entry of o into the set.
func (r *Ranges) Union(o Ranges) { r.spans = merge(slices.Concat(r.spans, o.spans)) }

// Contains reports whether the set has the entry.
func (r Ranges) Contains(jid, seq uint64) bool {
	_, found := slices.BinarySearchFunc(r.spans, Span{JID: jid, Lo: seq}, func(s, t Span) int {
		switch {
		case s.JID != t.JID:
			return cmp.Compare(s.JID, t.JID)
		case s.Hi < t.Lo:
			return -1
		case s.Lo > t.Lo:
			return 1
		}
		return 0
	})
	return found
}

// Empty reports whether the set has no entry.
func (r Ranges) Empty() bool { return len(r.spans) == 0 }

// Len returns how many entries the set has.
func (r Ranges) Len() uint64 {
	var n uint64
	for _, s := range r.spans {
		n += s.Len()
	}
	return n
}

// Spans iterates over the set, by jid, then by number.
func (r Ranges) Spans() iter.Seq[Span] { return slices.Values(r.spans) }

// Each calls f for each span until it returns false.
func (r Ranges) Each(f func(jid, lo, hi uint64) bool) {
	for _, s := range r.spans {
		if !f(s.JID, s.Lo, s.Hi) {
			return
		}
	}
}

// Split cuts the set into sets whose text form ParseRanges accepts.
func (r Ranges) Split() []Ranges {
	// A span is at most three numbers of 16 digits and three marks.
	const perSet = MaxRangesText / (3*16 + 3)
	var out []Ranges
	for chunk := range slices.Chunk(r.spans, perSet) {
		out = append(out, Ranges{slices.Clone(chunk)})
	}
	return out
}

// String returns the text form, "" for the empty set.
func (r Ranges) String() string {
	var b []byte
	for i, s := range r.spans {
		switch {
		case i > 0 && r.spans[i-1].JID == s.JID:
			b = append(b, ',')
		case i > 0:
			b = append(b, ';')
			fallthrough
		default:
			b = append(strconv.AppendUint(b, s.JID, 10), ':')
		}
		b = strconv.AppendUint(b, s.Lo, 10)
		if s.Hi > s.Lo {
			b = strconv.AppendUint(append(b, '-'), s.Hi, 10)
		}
	}
	return string(b)
}
