package journal

import (
	"fmt"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// Reasons of loss events.
const (
	reasonLimit  = "journal size limit reached"
	reasonDamage = "not found when the journal was opened"
)

// maxHoles bounds the loss events that one Open writes for damage.
const maxHoles = 1000

// makeRoom brings all journals under the limit, one segment below it so that
// the next entry fits. The order is: settled entries of all journals but the
// last, oldest first; their unsettled entries, oldest first; then the same
// for the last journal.
func (s *Set) makeRoom() error {
	last := len(s.journals) - 1
	for s.bytes() > s.opts.MaxBytes-s.segBytes {
		if s.dropSettled(s.journals[:last]) {
			continue
		}
		dropped, err := s.dropUnsettled(s.journals[:last])
		if err == nil && !dropped && !s.dropSettled(s.journals[last:]) {
			dropped, err = s.dropUnsettled(s.journals[last:])
			if err == nil && !dropped {
				return fmt.Errorf("%d of %d bytes are in use and nothing can give way", s.bytes(), s.opts.MaxBytes)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) bytes() (sum int64) {
	for _, j := range s.journals {
		sum += j.log.Bytes()
	}
	return sum
}

// dropSettled removes the oldest segment without unsettled entries.
func (s *Set) dropSettled(journals []*Journal) bool {
	for _, j := range journals {
		for _, info := range j.inactive() {
			index := j.segment(info.ID)
			if index == nil || j.unsettled(index) == 0 {
				if j.remove(info.ID) {
					return true
				}
			}
		}
	}
	return false
}

// dropUnsettled removes the oldest segment, after the signed declaration of
// what was unsettled in it is durable.
func (s *Set) dropUnsettled(journals []*Journal) (bool, error) {
	for _, j := range journals {
		for _, info := range j.inactive() {
			index := j.segment(info.ID)
			if index == nil {
				continue
			}
			lost := j.unsettled(index)
			if err := j.declareSegment(index); err != nil {
				return false, err
			}
			if !j.remove(info.ID) {
				continue
			}
			j.dropped += lost
			s.opts.Logger.Warn("journal over its limit, entries dropped", "journal", j.name, "entries", lost)
			return true, nil
		}
	}
	return false, nil
}

// inactive returns the segments but the newest, oldest first.
func (j *Journal) inactive() []seglog.SegmentInfo {
	infos := j.log.Segments()
	return infos[:max(len(infos)-1, 0)]
}

func (j *Journal) remove(id uint64) bool {
	if err := j.log.Remove(id); err != nil {
		j.set.opts.Logger.Error("remove journal segment", "journal", j.name, "error", err)
		return false
	}
	j.forget(id)
	return true
}

// declareSegment makes durable which unsettled entries go with a segment.
// For each jid the newest declaration includes those before it that were not
// acked, so an older one may go with its segment.
func (j *Journal) declareSegment(s *segmentIndex) error {
	lost := map[uint64]evidence.Loss{}
	for rec, err := range j.log.Scan(seglog.Position{Segment: s.id}) {
		if rec.Position.Segment > s.id {
			break
		}
		if err != nil {
			continue // reported at Open; Loss says nothing of what was not indexed
		}
		r, err := decodeRecord(rec.Data)
		if err != nil || !s.contains(r.ref.JID, r.ref.JSeq) || j.settled.contains(r.ref.JID, r.ref.JSeq) {
			continue
		}
		l, ok := lost[r.ref.JID]
		if !ok {
			l = evidence.Loss{JID: r.ref.JID, Lo: r.ref.JSeq, Reason: reasonLimit}
		}
		l.Lo = min(l.Lo, r.ref.JSeq)
		if r.ref.JSeq >= l.Hi {
			l.Hi, l.LastHash = r.ref.JSeq, r.hash
		}
		lost[r.ref.JID] = l
	}
	for jid, d := range j.losses {
		l, grows := lost[jid]
		switch {
		case grows:
			if d.loss.Hi > l.Hi {
				l.Hi, l.LastHash = d.loss.Hi, d.loss.LastHash
			}
			l.Lo = min(l.Lo, d.loss.Lo)
			lost[jid] = l
		case s.contains(d.jid, d.jseq):
			lost[jid] = d.loss // the declaration itself is about to go
		}
	}
	for _, l := range lost {
		if err := j.declare(l); err != nil {
			return err
		}
	}
	if len(lost) > 0 && j.failed != nil {
		return fmt.Errorf("loss of entries cannot be declared: %w", j.failed)
	}
	return nil
}

func (j *Journal) declare(l evidence.Loss) error {
	return j.appendUrgent(j.lossSealer(l), &l)
}

// declareHoles declares the numbers that lie between entries that are still
// here and are neither settled nor declared yet. They were damaged.
func (j *Journal) declareHoles() error {
	holes := 0
	last := map[uint64]uint64{}
	for _, s := range append([]*segmentIndex(nil), j.segments...) {
		for _, r := range append([]run(nil), s.runs...) {
			hi, seen := last[r.jid]
			last[r.jid] = max(hi, r.hi)
			if !seen || r.lo <= hi+1 || j.settled.count(r.jid, hi+1, r.lo-1) == r.lo-1-hi {
				continue
			}
			if d := j.losses[r.jid]; d != nil && d.loss.Lo <= hi+1 && d.loss.Hi >= r.lo-1 {
				continue
			}
			if holes++; holes > maxHoles {
				j.set.opts.Logger.Error("too many holes to declare", "journal", j.name, "declared", maxHoles)
				return nil
			}
			if err := j.declare(evidence.Loss{JID: r.jid, Lo: hi + 1, Hi: r.lo - 1, Reason: reasonDamage}); err != nil {
				return err
			}
			j.dropped += r.lo - 1 - hi
			j.settled.add(r.jid, hi+1, r.lo-1)
		}
	}
	return nil
}

// expire removes segments whose entries are all settled and older than the
// floor.
func (j *Journal) expire() {
	now := j.set.opts.Now()
	if now.Sub(j.expired) < time.Minute && now.After(j.expired) {
		return
	}
	j.expired = now
	j.log.Refill()
	for _, info := range j.inactive() {
		s := j.segment(info.ID)
		if s == nil || (j.unsettled(s) == 0 && now.Sub(s.newest) > j.set.opts.Floor) {
			j.remove(info.ID)
		}
	}
}
