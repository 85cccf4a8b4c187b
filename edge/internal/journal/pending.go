package journal

import (
	"errors"
	"fmt"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// Cursor is a place in a journal. The zero Cursor is the beginning; it stays
// valid over everything but a restart.
type Cursor struct{ pos seglog.Position }

// Cursor returns the place behind the entry: Pending goes on there.
func (r Ref) Cursor() Cursor {
	return Cursor{seglog.Position{Segment: r.pos.Segment, Offset: r.pos.Offset + r.size}}
}

// End returns the place behind everything that is durable now: what comes
// later is live, what comes before is history.
func (j *Journal) End() Cursor { return Cursor{j.log.End()} }

// Pending returns up to limit entries that are neither acked nor held, from
// a place on, oldest first, and the place to go on from. After Replay the
// replayed ones are found from the zero Cursor.
func (j *Journal) Pending(after Cursor, limit int) ([]Ref, Cursor, error) {
	var refs []Ref
	segment, ok := j.nextUnsettled(after.pos.Segment)
	for ok && len(refs) < limit {
		if segment > after.pos.Segment {
			after.pos = seglog.Position{Segment: segment}
		}
		// Asked before the scan: entries confirmed meanwhile could fill this
		// segment and begin the next, and the rest of this would be passed over.
		next, more := j.nextUnsettled(segment + 1)
		var err error
		if refs, err = j.pendingIn(segment, &after, limit, refs); err != nil {
			return refs, after, fmt.Errorf("read journal %s: %w", j.name, err)
		}
		segment, ok = next, more
	}
	return refs, after, nil
}

// pendingIn adds the pending entries of one segment and moves at behind the
// last one it saw.
func (j *Journal) pendingIn(segment uint64, at *Cursor, limit int, refs []Ref) ([]Ref, error) {
	for rec, err := range j.log.Scan(at.pos) {
		if damage := (*seglog.DamageError)(nil); errors.As(err, &damage) {
			continue // reported at Open, and its numbers declared
		}
		if err != nil {
			return refs, err
		}
		if rec.Position.Segment != segment || len(refs) == limit {
			break
		}
		r, err := decodeRecord(rec.Data)
		if err == nil && j.unconfirmed(r.ref) {
			break // its Append is about to return; going past it would miss it
		}
		at.pos = rec.Next
		if err != nil || !j.isPending(segment, r.ref) {
			continue
		}
		r.ref.pos, r.ref.size = rec.Position, rec.Next.Offset-rec.Position.Offset
		refs = append(refs, r.ref)
	}
	return refs, nil
}

// nextUnsettled returns the first segment not before id that holds pending
// entries.
func (j *Journal) nextUnsettled(id uint64) (uint64, bool) {
	j.set.mu.Lock()
	defer j.set.mu.Unlock()
	for _, s := range j.segments {
		if s.id >= id && j.unsettled(s) > 0 {
			return s.id, true
		}
	}
	return 0, false
}

// unconfirmed reports whether an entry is on the disk and not in the index
// yet: its group is committed, its Append has not returned.
func (j *Journal) unconfirmed(ref Ref) bool {
	j.set.mu.Lock()
	defer j.set.mu.Unlock()
	return ref.JID == j.jid && len(j.waiting) > 0 && ref.JSeq >= j.waiting[0].ref.JSeq
}

func (j *Journal) isPending(segment uint64, ref Ref) bool {
	j.set.mu.Lock()
	defer j.set.mu.Unlock()
	s := j.segment(segment)
	return s != nil && s.contains(ref.JID, ref.JSeq) && !j.settled.contains(ref.JID, ref.JSeq)
}

// Read returns the bytes of an entry, as they were signed.
func (j *Journal) Read(ref Ref) ([]byte, error) {
	data, err := j.log.ReadAt(ref.pos)
	if errors.Is(err, seglog.ErrNotFound) {
		err = ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("read entry %d:%d of journal %s: %w", ref.JID, ref.JSeq, j.name, err)
	}
	r, err := decodeRecord(data)
	if err != nil {
		return nil, fmt.Errorf("read entry %d:%d of journal %s: %w", ref.JID, ref.JSeq, j.name, err)
	}
	if r.ref.JID != ref.JID || r.ref.JSeq != ref.JSeq {
		return nil, fmt.Errorf("read entry %d:%d of journal %s: %w", ref.JID, ref.JSeq, j.name, ErrGone)
	}
	return r.entry, nil
}

// Find returns the entry of that number if the journal holds it.
func (j *Journal) Find(jid, jseq uint64) (Ref, bool) {
	j.set.mu.Lock()
	segment, found := uint64(0), false
	for _, s := range j.segments {
		if s.contains(jid, jseq) {
			segment, found = s.id, true
			break
		}
	}
	j.set.mu.Unlock()
	if !found {
		return Ref{}, false
	}
	for rec, err := range j.log.Scan(seglog.Position{Segment: segment}) {
		if err != nil {
			continue
		}
		if rec.Position.Segment != segment {
			break
		}
		if r, err := decodeRecord(rec.Data); err == nil && r.ref.JID == jid && r.ref.JSeq == jseq {
			r.ref.pos, r.ref.size = rec.Position, rec.Next.Offset-rec.Position.Offset
			return r.ref, true
		}
	}
	return Ref{}, false
}

// Ack notes that the collector has stored these entries; numbers the journal
// does not hold are ignored. It returns how many were pending or held.
func (j *Journal) Ack(ranges evidence.Ranges) uint64 {
	j.set.mu.Lock()
	defer j.set.mu.Unlock()
	n := j.mark(ranges, func(jid, lo, hi uint64) {
		j.settled.add(jid, lo, hi)
		j.held.remove(jid, lo, hi)
	})
	for jid, d := range j.losses {
		if j.settled.contains(d.jid, d.jseq) {
			delete(j.losses, jid)
		}
	}
	j.acks.dirty = j.acks.dirty || n > 0
	j.expire()
	j.saveAcksLazily()
	return n
}

// Hold notes that the collector refused these entries and keeps them in
// quarantine: they are sent no more, and kept to the floor. It returns how
// many were pending.
func (j *Journal) Hold(ranges evidence.Ranges) uint64 {
	j.set.mu.Lock()
	defer j.set.mu.Unlock()
	var n uint64
	j.within(ranges, func(jid, lo, hi uint64) {
		for at, ok := j.settled.firstMissing(jid, lo, hi); ok; at, ok = j.settled.firstMissing(jid, at, hi) {
			end := j.settled.missingUntil(jid, at, hi)
			j.settled.add(jid, at, end) // what was acked before stays acked
			j.held.add(jid, at, end)
			n += end - at + 1
		}
	})
	j.acks.dirty = j.acks.dirty || n > 0
	j.saveAcksLazily()
	return n
}

// Replay makes entries pending again that were acked or held, as far as they
// are still here, and returns how many.
func (j *Journal) Replay(ranges evidence.Ranges) uint64 {
	j.set.mu.Lock()
	defer j.set.mu.Unlock()
	var n uint64
	j.within(ranges, func(jid, lo, hi uint64) {
		n += j.settled.count(jid, lo, hi)
		j.settled.remove(jid, lo, hi)
		j.held.remove(jid, lo, hi)
	})
	if n > 0 {
		j.acks.dirty = true
		j.notify()
	}
	return n
}

// mark calls do for what the journal holds of ranges and returns how many of
// those were not settled, or held.
func (j *Journal) mark(ranges evidence.Ranges, do func(jid, lo, hi uint64)) (n uint64) {
	j.within(ranges, func(jid, lo, hi uint64) {
		before := j.settled.count(jid, lo, hi) - j.held.count(jid, lo, hi)
		do(jid, lo, hi)
		n += j.settled.count(jid, lo, hi) - j.held.count(jid, lo, hi) - before
	})
	return n
}

// within calls do for each stretch of ranges that the journal holds; a number
// that is not here yet can neither be acked nor held.
func (j *Journal) within(ranges evidence.Ranges, do func(jid, lo, hi uint64)) {
	for _, s := range j.segments {
		for _, r := range s.runs {
			ranges.Each(func(jid, lo, hi uint64) bool {
				if jid == r.jid && lo <= r.hi && hi >= r.lo {
					do(jid, max(lo, r.lo), min(hi, r.hi))
				}
				return true
			})
		}
	}
}
