package journal

import (
	"maps"
	"slices"

	"yunhe/internal/evidence"
)

// span is the numbers lo to hi, both included.
type span struct{ lo, hi uint64 }

// spanSet is a set of entries: for each jid sorted spans that neither
// overlap nor touch.
type spanSet map[uint64][]span

// add puts lo to hi of jid into the set.
func (s spanSet) add(jid, lo, hi uint64) {
	spans := s[jid]
	i := s.search(jid, lo)
	if i > 0 && spans[i-1].hi+1 == lo {
		i--
	}
	k := i
	for k < len(spans) && spans[k].lo <= hi+1 {
		lo, hi = min(lo, spans[k].lo), max(hi, spans[k].hi)
		k++
	}
	s[jid] = slices.Replace(spans, i, k, span{lo, hi})
}

// remove takes lo to hi of jid out of the set.
func (s spanSet) remove(jid, lo, hi uint64) {
	spans := s[jid]
	i := s.search(jid, lo)
	k := i
	var rest []span
	for k < len(spans) && spans[k].lo <= hi {
		if spans[k].lo < lo {
			rest = append(rest, span{spans[k].lo, lo - 1})
		}
		if spans[k].hi > hi {
			rest = append(rest, span{hi + 1, spans[k].hi})
		}
		k++
	}
	if s[jid] = slices.Replace(spans, i, k, rest...); len(s[jid]) == 0 {
		delete(s, jid)
	}
}

// search returns the first span of jid that does not end before n.
func (s spanSet) search(jid, n uint64) int {
	i, _ := slices.BinarySearchFunc(s[jid], n, func(sp span, n uint64) int {
		if sp.hi < n {
			return -1
		}
		return 1
	})
	return i
}

// contains reports whether the set has n of jid.
func (s spanSet) contains(jid, n uint64) bool {
	i := s.search(jid, n)
	return i < len(s[jid]) && s[jid][i].lo <= n
}

// count returns how many of lo to hi of jid the set has.
func (s spanSet) count(jid, lo, hi uint64) (n uint64) {
	for _, sp := range s[jid][s.search(jid, lo):] {
		if sp.lo > hi {
			break
		}
		n += min(hi, sp.hi) - max(lo, sp.lo) + 1
	}
	return n
}

// firstMissing returns the least number of lo to hi that the set lacks.
func (s spanSet) firstMissing(jid, lo, hi uint64) (uint64, bool) {
	for _, sp := range s[jid][s.search(jid, lo):] {
		if sp.lo > lo {
			break
		}
		lo = sp.hi + 1
	}
	return lo, lo <= hi
}

// missingUntil returns the last number up to hi of the gap that begins at a
// missing number.
func (s spanSet) missingUntil(jid, missing, hi uint64) uint64 {
	if i := s.search(jid, missing); i < len(s[jid]) {
		return min(hi, s[jid][i].lo-1)
	}
	return hi
}

// ranges returns the set for writing down.
func (s spanSet) ranges() (r evidence.Ranges) {
	// In order: then each span goes to the end.
	for _, jid := range slices.Sorted(maps.Keys(s)) {
		for _, sp := range s[jid] {
			r.AddSpan(evidence.Span{JID: jid, Lo: sp.lo, Hi: sp.hi})
		}
	}
	return r
}
