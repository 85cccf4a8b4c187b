package journal

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// Append has seal sign the next entry and returns once it is durable.
//
// After an error that wraps ErrKept the number is taken and the entry will be
// written before the next; after any other error nothing was signed. When the
// disk is full settled entries give way first; unsettled ones only to the
// size limit.
func (j *Journal) Append(device string, historical bool, seal Sealer) (Ref, error) {
	s := j.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := j.retry(); err != nil {
		return Ref{}, fmt.Errorf("append to journal %s: %w: %w", j.name, ErrFull, err)
	}
	j.expire()
	if err := s.makeRoom(); err != nil {
		return Ref{}, fmt.Errorf("append to journal %s: %w: %w", j.name, ErrFull, err)
	}
	w, err := j.sign(device, historical, seal, nil)
	if err != nil {
		return Ref{}, fmt.Errorf("append to journal %s: %w", j.name, err)
	}
	pos, ticket, err := j.log.Enqueue(w.record)
	if err == nil {
		w.ref.pos = pos
		s.mu.Unlock()
		err = ticket.Wait()
		s.mu.Lock()
	}
	if err != nil && slices.Contains(j.waiting, w) { // else another's retry wrote it
		j.failed = err
		if err := j.retry(); err != nil {
			return w.ref, fmt.Errorf("append to journal %s: %w: %w", j.name, ErrKept, err)
		}
		return w.ref, nil
	}
	j.confirm(w.ref.JSeq)
	return w.ref, nil
}

// sign makes the next entry and takes its number; the entry waits until
// confirm.
func (j *Journal) sign(device string, historical bool, seal Sealer, loss *evidence.Loss) (*waiting, error) {
	e, err := seal(j.jid, j.next, j.prev)
	if err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	if e.Content.JID != j.jid || e.Content.JSeq != j.next {
		return nil, fmt.Errorf("seal entry: numbered %d:%d instead of %d:%d", e.Content.JID, e.Content.JSeq, j.jid, j.next)
	}
	r := record{
		ref: Ref{
			JID: j.jid, JSeq: j.next, Device: device, Kind: e.Content.Kind, Historical: historical,
			Recorded: e.Content.Recorded, Bytes: len(e.Bytes),
		},
		hash: e.Hash, loss: loss, entry: e.Bytes,
	}
	b, err := r.encode()
	if err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	r.ref.size = int64(seglog.RecordOverhead + len(b))
	w := &waiting{ref: r.ref, record: b, hash: e.Hash}
	j.waiting = append(j.waiting, w)
	j.next, j.prev = j.next+1, e.Hash
	return w, nil
}

// confirm indexes the waiting entries up to jseq: groups are committed in
// order, so what was signed before is durable too.
func (j *Journal) confirm(jseq uint64) {
	now := j.set.opts.Now()
	n := 0
	for n < len(j.waiting) && j.waiting[n].ref.JSeq <= jseq {
		j.index(j.waiting[n].ref, now)
		n++
	}
	if j.waiting = j.waiting[n:]; len(j.waiting) == 0 {
		j.waiting = nil
	}
	if n > 0 {
		j.notify()
	}
}

// retry writes the entries whose commit failed, with the same bytes and in
// order. Settled segments give way for them on a full disk.
func (j *Journal) retry() error {
	if j.failed == nil {
		return nil
	}
	for {
		err := j.rewrite()
		if err == nil {
			j.failed = nil
			j.log.Refill()
			return nil
		}
		j.failed = err
		if !noRoom(err) || !j.set.dropSettled(j.set.journals) {
			return err
		}
	}
}

func (j *Journal) rewrite() error {
	j.log.Reset()
	for _, w := range j.waiting {
		pos, _, err := j.log.Enqueue(w.record)
		if err != nil {
			return err
		}
		w.ref.pos = pos
	}
	if err := j.log.Commit(); err != nil {
		return err
	}
	j.confirm(j.next - 1)
	return nil
}

// appendUrgent writes an event of the journal's own, if need be into the
// preallocated segment. An event that finds no room there either waits like
// any other entry; that is no error.
func (j *Journal) appendUrgent(seal Sealer, loss *evidence.Loss) error {
	w, err := j.sign("", false, seal, loss)
	if err != nil {
		return err
	}
	if loss != nil {
		j.losses[loss.JID] = &declared{loss: *loss, jid: w.ref.JID, jseq: w.ref.JSeq}
	}
	if j.failed == nil {
		j.failed = j.commitOne(w)
	} else if err := j.rewrite(); err == nil {
		j.failed = nil
	}
	if j.failed == nil {
		return nil
	}
	records := make([][]byte, len(j.waiting))
	for i := range j.waiting {
		records[i] = j.waiting[i].record
	}
	positions, err := j.log.AppendReserved(records)
	if err != nil {
		j.set.opts.Logger.Error("event waits for the disk", "journal", j.name, "error", errors.Join(j.failed, err))
		return nil
	}
	for i := range j.waiting {
		j.waiting[i].ref.pos = positions[i]
	}
	j.confirm(j.next - 1)
	j.failed = nil
	j.log.Reset()
	return nil
}

// commitOne writes the newest entry, behind those on their way.
func (j *Journal) commitOne(w *waiting) error {
	pos, _, err := j.log.Enqueue(w.record)
	if err != nil {
		return err
	}
	w.ref.pos = pos
	if err := j.log.Commit(); err != nil {
		return err
	}
	j.confirm(w.ref.JSeq)
	return nil
}

// noRoom reports whether err says that the disk is full.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
