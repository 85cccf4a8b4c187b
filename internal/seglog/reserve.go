package seglog

import (
	"errors"
	"fmt"
	"os"
)

// reserveState is the preallocated segment: a file of zeros whose blocks
// belong to the log already, so that writing into it needs no room. On file
// systems that write every block to a new place (btrfs, and F2FS at times)
// this is no guarantee.
type reserveState struct {
	ready bool // the file of zeros is there
	// The one in use: it has a segment's name, and room behind offset.
	file   File
	id     uint64
	offset int64
}

func (r *reserveState) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	*r = reserveState{ready: r.ready}
	return err
}

func (r *reserveState) forget(id uint64) {
	if r.file != nil && r.id == id {
		r.close() // it is about to be removed
	}
}

// ensureReserve prepares the reserve if there is none; files is what the
// directory holds, nil when that is known. Failing is no reason not to open:
// on a full disk it is tried again when AppendReserved or Refill is called.
func (l *Log) ensureReserve(files []FileInfo) {
	if l.opts.Reserve <= 0 || l.reserve.ready {
		return
	}
	for _, f := range files {
		if f.Name == reserveName && f.Size == l.opts.Reserve && l.reserveIsZero() {
			l.reserve.ready = true
			return
		}
	}
	if err := l.writeReserve(); err != nil {
		l.opts.Logger.Warn("reserve segment cannot be prepared", "log", l.opts.Name, "error", err)
		return
	}
	l.reserve.ready = true
}

// reserveIsZero tells a fresh reserve from one whose renaming a power cut
// undid: what was written there was never confirmed.
func (l *Log) reserveIsZero() bool {
	file, err := l.opts.FS.Open(l.path(reserveName), os.O_RDONLY)
	if err != nil {
		return false
	}
	defer file.Close()
	return newScanner(frame{}, file, l.opts.Reserve).zeros(0, l.opts.Reserve)
}

// writeReserve writes real zeros: blocks that are only promised may still
// need room when they are first written.
func (l *Log) writeReserve() error {
	temp := l.path(reserveName + tempSuffix)
	file, err := l.opts.FS.Open(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(l.opts.Reserve, readBlock))
	for at := int64(0); at < l.opts.Reserve && err == nil; at += int64(len(zeros)) {
		_, err = file.WriteAt(zeros[:min(int64(len(zeros)), l.opts.Reserve-at)], at)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, l.opts.FS.Remove(temp))
	}
	if err := l.opts.FS.Rename(temp, l.path(reserveName)); err != nil {
		return err
	}
	return l.dir.Sync()
}

// Refill prepares a new reserve after the last was used, once there is room.
func (l *Log) Refill() {
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	l.ensureReserve(nil)
}

// AppendReserved makes records durable inside the preallocated segment, all
// of them or, on error, none confirmed. It is for the few words that must
// find room when Append does not.
func (l *Log) AppendReserved(records [][]byte) ([]Position, error) {
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	l.mu.Lock()
	g, closed := l.cur, l.closed
	l.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	l.commitLocked(g) // who waits for it is told; order is kept
	positions, err := l.writeReserved(records)
	if err != nil {
		return nil, fmt.Errorf("append to the reserve of log %s: %w", l.opts.Dir, err)
	}
	return positions, nil
}

func (l *Log) writeReserved(records [][]byte) ([]Position, error) {
	var need int64
	for _, r := range records {
		if len(r) == 0 || len(r) > MaxRecord {
			return nil, fmt.Errorf("record has %d bytes, allowed are 1 to %d", len(r), MaxRecord)
		}
		need += int64(recordHeaderSize + len(r))
	}
	r := &l.reserve
	if r.file == nil || r.id != l.lastID() || r.offset+need > l.opts.Reserve {
		if segmentHeaderSize+need > l.opts.Reserve {
			return nil, fmt.Errorf("%d bytes do not fit in %d", segmentHeaderSize+need, l.opts.Reserve)
		}
		if err := l.takeReserve(); err != nil {
			return nil, err
		}
	}
	f := newFrame(l.opts.Name, r.id)
	c := chunk{segment: r.id, offset: r.offset}
	if c.offset == 0 {
		c.data = f.appendSegmentHeader(c.data, flagPreallocated)
	}
	positions := make([]Position, len(records))
	for i, data := range records {
		positions[i] = Position{Segment: r.id, Offset: c.offset + int64(len(c.data))}
		c.data = f.appendRecord(c.data, positions[i].Offset, data)
	}
	_, err := r.file.WriteAt(c.data, c.offset)
	if err == nil {
		err = r.file.Sync()
	}
	if err == nil && c.offset == 0 {
		err = l.dir.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.offset += int64(len(c.data))
	l.extend(c)
	return positions, nil
}

// lastID returns the newest segment: order in time is order of positions.
func (l *Log) lastID() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[len(l.segments)-1].id
}

// takeReserve turns the file of zeros into the next segment, and prepares
// another if there happens to be room.
func (l *Log) takeReserve() error {
	r := &l.reserve
	r.close()
	l.ensureReserve(nil)
	if !r.ready {
		return errors.New("the reserve is used up and the disk has no room for another")
	}
	l.mu.Lock()
	id := l.tail.Segment
	if l.tail.Offset > 0 {
		id++
	}
	l.tail = Position{Segment: id + 1}
	l.mu.Unlock()
	name := l.path(segmentName(id))
	if err := l.opts.FS.Rename(l.path(reserveName), name); err != nil {
		return err
	}
	r.ready = false
	file, err := l.opts.FS.Open(name, os.O_RDWR)
	if err != nil {
		return err
	}
	r.file, r.id, r.offset = file, id, 0
	l.mu.Lock()
	l.segments = append(l.segments, &segment{id: id, size: l.opts.Reserve, checked: true})
	l.mu.Unlock()
	return nil
}
