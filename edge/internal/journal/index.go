package journal

import (
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// run is consecutive numbers of one jid within a segment. A segment has one
// or two, so the index of a day's backlog takes a few kilobytes.
type run struct{ jid, lo, hi uint64 }

// segmentIndex is what memory holds of a segment.
type segmentIndex struct {
	id     uint64
	runs   []run
	newest time.Time // when the last of its entries was appended
}

// declared is a loss event that the collector has not acked yet.
type declared struct {
	loss      evidence.Loss
	jid, jseq uint64 // the event's own number
}

// restore indexes a record found at Open and follows the chain.
func (j *Journal) restore(pos seglog.Position, r record) {
	recorded := r.ref.Recorded
	if recorded.After(j.opened) || recorded.Year() < 2025 {
		recorded = j.opened // signed under a clock that was not set: kept its full time
	}
	r.ref.pos = pos
	j.index(r.ref, recorded)
	if r.loss != nil {
		j.losses[r.loss.JID] = &declared{loss: *r.loss, jid: r.ref.JID, jseq: r.ref.JSeq}
	}
	if r.ref.JID != j.jid || r.ref.JSeq >= j.next {
		j.jid, j.next, j.prev = r.ref.JID, r.ref.JSeq+1, r.hash
	}
}

// index notes a durable entry. A number that is there already, written twice
// because its first write was not confirmed, is not noted again.
func (j *Journal) index(ref Ref, at time.Time) {
	if j.present(ref.JID, ref.JSeq) {
		return
	}
	n := len(j.segments)
	for n > 0 && j.segments[n-1].id > ref.pos.Segment {
		n--
	}
	if n == 0 || j.segments[n-1].id != ref.pos.Segment {
		j.segments = append(j.segments, nil)
		copy(j.segments[n+1:], j.segments[n:])
		j.segments[n] = &segmentIndex{id: ref.pos.Segment}
		n++
	}
	s := j.segments[n-1]
	if at.After(s.newest) {
		s.newest = at
	}
	if k := len(s.runs); k > 0 && s.runs[k-1].jid == ref.JID && s.runs[k-1].hi+1 == ref.JSeq {
		s.runs[k-1].hi++
		return
	}
	s.runs = append(s.runs, run{ref.JID, ref.JSeq, ref.JSeq})
}

// segment returns the index of a segment, nil if it holds no entry.
func (j *Journal) segment(id uint64) *segmentIndex {
	for _, s := range j.segments {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (s *segmentIndex) contains(jid, jseq uint64) bool {
	for _, r := range s.runs {
		if r.jid == jid && r.lo <= jseq && jseq <= r.hi {
			return true
		}
	}
	return false
}

// present reports whether the journal holds the entry. New ones are at the
// end, so it looks from there.
func (j *Journal) present(jid, jseq uint64) bool {
	for i := len(j.segments) - 1; i >= 0; i-- {
		if j.segments[i].contains(jid, jseq) {
			return true
		}
		if k := len(j.segments[i].runs); k == 1 && j.segments[i].runs[0].jid == jid && j.segments[i].runs[0].hi < jseq {
			return false
		}
	}
	return false
}

// has reports whether the journal holds any entry of jid.
func (j *Journal) has(jid uint64) bool {
	for _, s := range j.segments {
		for _, r := range s.runs {
			if r.jid == jid {
				return true
			}
		}
	}
	return false
}

// unsettled returns how many entries of the segment are neither acked nor
// held.
func (j *Journal) unsettled(s *segmentIndex) (n uint64) {
	for _, r := range s.runs {
		n += r.hi - r.lo + 1 - j.settled.count(r.jid, r.lo, r.hi)
	}
	return n
}

// forget takes a removed segment out of the index, and out of the sets what
// lies below everything that is left.
func (j *Journal) forget(id uint64) {
	for i, s := range j.segments {
		if s.id == id {
			j.segments = append(j.segments[:i], j.segments[i+1:]...)
			break
		}
	}
	lowest := map[uint64]uint64{j.jid: j.next}
	for _, s := range j.segments {
		for _, r := range s.runs {
			if lo, ok := lowest[r.jid]; !ok || r.lo < lo {
				lowest[r.jid] = r.lo
			}
		}
	}
	for _, set := range []spanSet{j.settled, j.held} {
		for jid := range set {
			lo, ok := lowest[jid]
			if !ok {
				delete(set, jid)
			} else if lo > 1 {
				set.remove(jid, 1, lo-1)
			}
		}
	}
}
