package seglog

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// maxBuffered is how much AppendBuffered gathers before it commits by
// itself, in bytes.
const maxBuffered = 4 << 20

// maxUsual is how much room a group is given from the start at most, in bytes:
// as much as the one before took, so that it is not copied while it grows.
const maxUsual = 256 << 10

// group is what one commit writes.
type group struct {
	chunks []chunk
	bytes  int
	led    bool // someone will commit it
	many   bool // holds records of AppendBuffered: Commit must hear of failure
	done   chan struct{}
	err    error // valid after done
}

// chunk is consecutive bytes of one segment; offset 0 creates it.
type chunk struct {
	segment uint64
	offset  int64
	data    []byte
	flags   uint16
}

func newGroup() *group { return &group{done: make(chan struct{})} }

func (g *group) uses(segment uint64) bool {
	for _, c := range g.chunks {
		if c.segment == segment {
			return true
		}
	}
	return false
}

// Ticket stands for a record that is waiting for its group commit.
type Ticket struct {
	log   *Log
	group *group
}

// Wait returns nil once the record is durable. One of those who wait does
// the commit for all.
func (t Ticket) Wait() error {
	l, g := t.log, t.group
	l.mu.Lock()
	lead := !g.led
	g.led = true
	l.mu.Unlock()
	if lead {
		l.gather(g)
		l.commit(g)
	}
	<-g.done
	return g.err
}

// gather waits for others to join the group, until Sync has passed, someone
// commits it, or the log closes.
func (l *Log) gather(g *group) {
	if l.opts.Sync <= 0 {
		return
	}
	timer := time.NewTimer(l.opts.Sync)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.done:
	case <-l.closing:
	}
}

// Append returns once data is durable. After an error the record may or may
// not be found later; it is not confirmed, and the next append begins afresh.
func (l *Log) Append(data []byte) (Position, error) {
	l.Reset()
	pos, ticket, err := l.Enqueue(data)
	if err != nil {
		return Position{}, err
	}
	if err := ticket.Wait(); err != nil {
		return Position{}, err
	}
	return pos, nil
}

// Enqueue gives data its place and returns without waiting; the record is
// durable when the ticket says so. After a failed commit Enqueue refuses
// with that error until Reset, so that nothing can overtake what failed.
func (l *Log) Enqueue(data []byte) (Position, Ticket, error) {
	if len(data) == 0 || len(data) > MaxRecord {
		return Position{}, Ticket{}, fmt.Errorf("append record: %d bytes, allowed are 1 to %d", len(data), MaxRecord)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Position{}, Ticket{}, ErrClosed
	}
	if l.failed != nil {
		return Position{}, Ticket{}, l.failed
	}
	size := int64(recordHeaderSize + len(data))
	if l.tail.Offset > 0 && l.tail.Offset+size > l.opts.SegmentBytes {
		l.tail = Position{Segment: l.tail.Segment + 1}
	}
	g := l.cur
	if n := len(g.chunks); n == 0 || g.chunks[n-1].segment != l.tail.Segment {
		g.chunks = append(g.chunks, chunk{segment: l.tail.Segment, offset: l.tail.Offset, data: make([]byte, 0, max(int(size), l.usual))})
	}
	c := &g.chunks[len(g.chunks)-1]
	f := newFrame(l.opts.Name, c.segment)
	if l.tail.Offset == 0 {
		c.data = f.appendSegmentHeader(c.data, c.flags)
		l.tail.Offset = segmentHeaderSize
	}
	pos := l.tail
	c.data = f.appendRecord(c.data, pos.Offset, data)
	l.tail.Offset += size
	g.bytes += int(size)
	return pos, Ticket{log: l, group: g}, nil
}

// Reset lets Enqueue go on after a failed commit.
func (l *Log) Reset() {
	l.mu.Lock()
	l.failed = nil
	l.mu.Unlock()
}

// AppendBuffered is for many appends with one fsync: the record is durable
// when the next Commit has returned nil, not before.
func (l *Log) AppendBuffered(data []byte) (Position, error) {
	pos, ticket, err := l.Enqueue(data)
	if err != nil {
		return Position{}, err
	}
	l.mu.Lock()
	ticket.group.many = true
	full := ticket.group.bytes >= maxBuffered
	l.mu.Unlock()
	if full {
		if err := l.commit(ticket.group); err != nil {
			return Position{}, err
		}
	}
	return pos, nil
}

// Commit writes and syncs all that is buffered, without waiting for Sync. It
// returns nil only if everything appended since the last Commit is durable,
// and clears the error for the next.
func (l *Log) Commit() error {
	l.mu.Lock()
	g := l.cur
	l.mu.Unlock()
	err := l.commit(g)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buffered != nil {
		err = l.buffered
	}
	l.buffered, l.failed = nil, nil
	return err
}

// commit writes and syncs g unless that has been done.
func (l *Log) commit(g *group) error {
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	return l.commitLocked(g)
}

// commitLocked is commit for a caller that holds commitMu. Groups are
// finished under commitMu only, so a group that is not done is the current
// one.
func (l *Log) commitLocked(g *group) error {
	select {
	case <-g.done:
		return g.err
	default:
	}
	l.mu.Lock()
	if len(g.chunks) == 0 {
		l.mu.Unlock()
		return nil
	}
	l.cur = newGroup()
	l.usual = min(g.bytes, maxUsual)
	l.mu.Unlock()
	for _, c := range g.chunks {
		if g.err = l.write(c); g.err != nil {
			break
		}
	}
	if g.err != nil {
		g.err = fmt.Errorf("append to log %s: %w", l.opts.Dir, g.err)
		l.fail(g)
	}
	close(g.done)
	return g.err
}

// fail refuses what was buffered behind a failed group: its positions stood
// on the failed ones. The next record goes behind the last durable one if the
// segment could be brought back to it, else into a fresh segment.
func (l *Log) fail(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	behind := l.cur
	l.cur = newGroup()
	behind.err = g.err
	close(behind.done)
	l.tail = Position{Segment: l.tail.Segment + 1}
	if l.active != nil {
		if s := l.segment(l.active.id); s != nil {
			l.tail = Position{Segment: s.id, Offset: s.end}
		}
	}
	l.failed = g.err
	if g.many || behind.many {
		l.buffered = g.err
	}
	l.opts.Logger.Debug("append to log failed", "log", l.opts.Name, "error", g.err)
}

// write makes one chunk durable. On failure the active file is either back
// at its last durable record or abandoned: after a failed fsync the kernel
// has forgotten what it could not write, so a second fsync would lie.
func (l *Log) write(c chunk) error {
	if l.active == nil || l.active.id != c.segment {
		if err := l.activate(c); err != nil {
			return err
		}
	}
	file := l.active.file
	if _, err := file.WriteAt(c.data, c.offset); err != nil {
		err = fmt.Errorf("write segment %016x: %w", c.segment, err)
		if c.offset == 0 {
			l.abandon()
			return errors.Join(err, l.opts.FS.Remove(l.path(segmentName(c.segment))))
		}
		if terr := file.Truncate(c.offset); terr != nil {
			l.abandon()
			return errors.Join(err, terr)
		}
		return err
	}
	if err := file.Sync(); err != nil {
		l.abandon()
		return fmt.Errorf("sync segment %016x: %w", c.segment, err)
	}
	if c.offset == 0 {
		if err := l.dir.Sync(); err != nil {
			l.abandon()
			return fmt.Errorf("sync directory of segment %016x: %w", c.segment, err)
		}
	}
	l.extend(c)
	return nil
}

// activate closes the file written to before and opens or creates the one of
// c.
func (l *Log) activate(c chunk) error {
	l.abandon()
	flag := os.O_RDWR
	if c.offset == 0 {
		flag |= os.O_CREATE | os.O_EXCL
	}
	file, err := l.opts.FS.Open(l.path(segmentName(c.segment)), flag)
	if err != nil {
		return fmt.Errorf("open segment %016x: %w", c.segment, err)
	}
	l.active = &activeFile{id: c.segment, file: file}
	return nil
}

// abandon closes the active file; its durable records stay readable.
func (l *Log) abandon() {
	if l.active != nil {
		l.active.file.Close() // synced or given up: nothing to report
		l.active = nil
	}
}

// extend makes the records of c visible to readers.
func (l *Log) extend(c chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.segment(c.segment)
	if s == nil {
		s = &segment{id: c.segment, checked: true}
		l.segments = append(l.segments, s)
	}
	s.end = c.offset + int64(len(c.data))
	s.size = max(s.size, s.end)
}
