// Package seglog keeps checksummed append-only segments on disk: what Append
// has returned is there after a power cut, and damage costs the damaged
// records alone.
//
// A log is one directory, locked for life by one process. Records are found
// again by Position; whole segments are removed, records never are. Nothing
// is ever truncated or overwritten once it was confirmed, and no damage stops
// a log from opening: the damaged bytes are copied to a .damaged file beside
// the segment, reported, and every intact record around them is still read.
// docs/formats/journal.md has the bytes.
package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

var (
	// ErrLocked is returned by Open when another process has the directory.
	ErrLocked = errors.New("another process has this log open")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("log is closed")
	// ErrActive is returned by Remove for the segment that is written to;
	// Rotate first.
	ErrActive = errors.New("segment is being written to")
	// ErrNotFound is returned for a position that holds no durable record.
	ErrNotFound = errors.New("no record there")
)

// DefaultSegmentBytes is the size at which a segment is closed if Options
// gives none.
const DefaultSegmentBytes = 1 << 20

// Options say where a log is and how it commits.
type Options struct {
	Dir string
	// Name is bound into every checksum, so that files of two logs cannot be
	// mistaken for each other. It must stay the same for life.
	Name string
	FS   FS
	// SegmentBytes is where a new segment begins; a larger record has a
	// segment of its own.
	SegmentBytes int64
	// Sync is how long a group commit gathers appends before the one write
	// and fsync. It only delays their return: nothing that was confirmed is
	// ever unsynced, so what a power cut can take is what was appended in
	// the last Sync and not yet confirmed. 0 commits at once.
	Sync time.Duration
	// Reserve is the size of a preallocated segment for AppendReserved, in
	// bytes; 0 keeps none.
	Reserve int64
	// CheckFrom spares Open from reading older segments: their records are
	// checked when they are read, and before they are removed.
	CheckFrom uint64
	// Each is called by Open with every intact record it checks, in order.
	// The data are valid during the call only.
	Each func(Position, []byte)
	// Logger gets damage (Warn); failed commits are returned (and Debug).
	Logger *slog.Logger
}

// Position names a record: the segment and the offset of its header within.
// Positions grow in the order of appends and stay valid for life.
type Position struct {
	Segment uint64
	Offset  int64
}

// Compare orders positions.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Offset, q.Offset))
}

// String returns segment and offset in hexadecimal, as file names have them.
func (p Position) String() string { return fmt.Sprintf("%016x@%x", p.Segment, p.Offset) }

// Record is one intact record.
type Record struct {
	Position Position
	Data     []byte
	// Next is where the following record of the segment begins.
	Next Position
}

// SegmentInfo describes one segment file.
type SegmentInfo struct {
	ID    uint64
	Bytes int64 // size of the file
}

// Report says what Open found.
type Report struct {
	Segments int
	Records  int
	Bytes    int64
	// Damage lists every stretch that holds no intact record, old and new.
	Damage []Damage
}

type segment struct {
	id      uint64
	size    int64 // of the file
	end     int64 // durable records end here
	checked bool  // read whole; damage is complete
	damage  []Damage
}

// Log is an open log. Its methods may be called from several goroutines.
type Log struct {
	opts Options
	dir  Dir

	commitMu sync.Mutex // held while writing and syncing; guards active, reserve
	active   *activeFile
	reserve  reserveState

	mu       sync.Mutex // guards the rest
	segments []*segment // by id
	tail     Position   // where the next record goes; offset 0: not created
	cur      *group     // records not yet written
	usual    int        // bytes of the newest group
	buffered error      // why records of AppendBuffered failed, until Commit
	failed   error      // why the last commit failed, until Reset
	closed   bool
	closing  chan struct{}
}

// activeFile is the segment that is written to.
type activeFile struct {
	id   uint64
	file File
}

// Open opens or creates the log in opts.Dir. It returns an error only if the
// directory cannot be used at all; damage is in the report. Everything the
// log yields from here on is durable: what an earlier process had written
// and not synced is synced first. If that sync fails, which is logged, what was
// written may be gone after a power cut; new records go to a fresh segment.
func Open(opts Options) (*Log, Report, error) {
	if opts.SegmentBytes <= 0 {
		opts.SegmentBytes = DefaultSegmentBytes
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := mkdirAll(opts.FS, opts.Dir); err != nil {
		return nil, Report{}, fmt.Errorf("create log directory: %w", err)
	}
	dir, err := opts.FS.OpenDir(opts.Dir)
	if err != nil {
		return nil, Report{}, fmt.Errorf("open log directory: %w", err)
	}
	if err := dir.Lock(); err != nil {
		dir.Close()
		return nil, Report{}, fmt.Errorf("lock log directory: %w", err)
	}
	l := &Log{opts: opts, dir: dir, cur: newGroup(), closing: make(chan struct{})}
	report, err := l.load()
	if err != nil {
		dir.Close()
		return nil, Report{}, fmt.Errorf("open log %s: %w", opts.Dir, err)
	}
	return l, report, nil
}

// Segments returns the segments, oldest first.
func (l *Log) Segments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := make([]SegmentInfo, len(l.segments))
	for i, s := range l.segments {
		infos[i] = SegmentInfo{ID: s.id, Bytes: s.size}
	}
	return infos
}

// End returns the position behind the last durable record: records appended
// later are found from there.
func (l *Log) End() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.segments) - 1; i >= 0; i-- {
		if s := l.segments[i]; s.end > 0 {
			return Position{Segment: s.id, Offset: s.end}
		}
	}
	return Position{}
}

// Bytes returns what the segments and the reserve take on disk.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.opts.Reserve
	for _, s := range l.segments {
		sum += s.size
	}
	return sum
}

// Rotate makes the next record begin a new segment, so that the present one
// may be removed.
func (l *Log) Rotate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tail.Offset > 0 {
		l.tail = Position{Segment: l.tail.Segment + 1}
	}
}

// Remove deletes a segment for good: it does not come back after a power
// cut. Damaged parts are set aside first; if that fails the segment stays.
func (l *Log) Remove(id uint64) error {
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	s, err := l.removable(id)
	if err != nil {
		return fmt.Errorf("remove segment %016x: %w", id, err)
	}
	if !s.checked {
		if err := l.check(s, nil); err != nil {
			return fmt.Errorf("remove segment %016x: %w", id, err)
		}
	}
	if err := l.setAside(s); err != nil {
		return fmt.Errorf("remove segment %016x: %w", id, err)
	}
	if l.active != nil && l.active.id == id {
		l.active.file.Close()
		l.active = nil
	}
	l.reserve.forget(id)
	if err := l.opts.FS.Remove(l.path(segmentName(id))); err != nil {
		return fmt.Errorf("remove segment %016x: %w", id, err)
	}
	if err := l.dir.Sync(); err != nil {
		return fmt.Errorf("remove segment %016x: sync directory: %w", id, err)
	}
	l.mu.Lock()
	l.segments = slices.DeleteFunc(l.segments, func(s *segment) bool { return s.id == id })
	l.mu.Unlock()
	return nil
}

func (l *Log) removable(id uint64) (*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if id == l.tail.Segment || l.cur.uses(id) {
		return nil, ErrActive
	}
	s := l.segment(id)
	if s == nil {
		return nil, ErrNotFound
	}
	return s, nil
}

// segment returns the segment with that id, nil if there is none. The caller
// holds mu.
func (l *Log) segment(id uint64) *segment {
	i, ok := slices.BinarySearchFunc(l.segments, id, func(s *segment, id uint64) int { return cmp.Compare(s.id, id) })
	if !ok {
		return nil
	}
	return l.segments[i]
}

// Close commits what is buffered and gives the directory free.
func (l *Log) Close() error {
	err := l.Commit()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.closing)
	l.mu.Unlock()
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	if l.active != nil {
		err = errors.Join(err, l.active.file.Close())
		l.active = nil
	}
	err = errors.Join(err, l.reserve.close(), l.dir.Close())
	if err != nil {
		return fmt.Errorf("close log %s: %w", l.opts.Dir, err)
	}
	return nil
}

func (l *Log) path(name string) string { return filepath.Join(l.opts.Dir, name) }
