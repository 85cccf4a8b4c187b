package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"slices"
)

// readBlock is how much a scan reads at once, and unreadable how much of a
// bad disk is given up at a time, in bytes.
const (
	readBlock  = 64 << 10
	unreadable = 4 << 10
)

// window is a stretch of a file held in memory; it slides forward.
type window struct {
	file    io.ReaderAt
	end     int64 // the file is read up to here
	start   int64 // offset of data[0]
	data    []byte
	ioError error // the last one; unreadable bytes appear as zeros
}

// at returns up to n bytes from offset, fewer only at the end. The bytes are
// valid until the next call.
func (w *window) at(offset, n int64) []byte {
	n = min(n, w.end-offset)
	if n <= 0 {
		return nil
	}
	if offset < w.start || offset+n > w.start+int64(len(w.data)) {
		w.load(offset, max(n, min(readBlock, w.end-offset)))
	}
	return w.data[offset-w.start:][:n]
}

// load fills the window. Blocks the disk cannot give are zeros, which no
// record consists of.
func (w *window) load(offset, n int64) {
	w.start = offset
	w.data = slices.Grow(w.data[:0], int(n))[:n]
	if read, err := w.file.ReadAt(w.data, offset); int64(read) == n || errors.Is(err, io.EOF) {
		clear(w.data[read:])
		return
	}
	for i := int64(0); i < n; i += unreadable {
		block := w.data[i:min(i+unreadable, n)]
		if read, err := w.file.ReadAt(block, offset+i); err != nil && read < len(block) {
			clear(block[read:])
			if !errors.Is(err, io.EOF) {
				w.ioError = err
			}
		}
	}
}

// scanner walks the records of one segment and finds its way again behind
// damage.
type scanner struct {
	frame
	w      window
	offset int64
}

// found is one step of a scanner: a record, or a stretch of damage.
type found struct {
	offset int64
	length int64
	data   []byte // nil for damage
	reason string
}

func newScanner(f frame, file io.ReaderAt, end int64) *scanner {
	return &scanner{frame: f, w: window{file: file, end: end}}
}

// header checks the segment header and stands behind it.
func (s *scanner) header() (flags uint16, bad *found) {
	head := s.w.at(0, segmentHeaderSize)
	s.offset = segmentHeaderSize
	flags, err := s.checkSegmentHeader(head)
	if err != nil {
		return 0, &found{length: int64(len(head)), reason: s.because(err.Error())}
	}
	return flags, nil
}

// next returns the next step; ok is false at the end.
func (s *scanner) next() (f found, ok bool) {
	if s.offset >= s.w.end {
		return found{}, false
	}
	start := s.offset
	length, sum, ok := s.checkRecordHeader(s.w.at(start, recordHeaderSize), start)
	if !ok {
		s.offset = s.resync(start + 1)
		return found{offset: start, length: s.offset - start, reason: s.because("no record begins here")}, true
	}
	if start+recordHeaderSize+length > s.w.end {
		// The header says how long the record was to be, so nothing else
		// can stand behind it.
		s.offset = s.w.end
		return found{offset: start, length: s.w.end - start, reason: s.because(
			fmt.Sprintf("record is cut after %d of %d bytes", s.w.end-start, recordHeaderSize+length))}, true
	}
	s.offset = start + recordHeaderSize + length
	data := s.w.at(start, recordHeaderSize+length)[recordHeaderSize:]
	if crc32.Checksum(data, castagnoli) != sum {
		return found{offset: start, length: s.offset - start, reason: s.because("record fails its checksum")}, true
	}
	return found{offset: start, length: s.offset - start, data: data}, true
}

// resync returns the first offset from which a record header passes, or the
// end.
func (s *scanner) resync(from int64) int64 {
	for from < s.w.end {
		block := s.w.at(from, readBlock)
		i := bytes.Index(block, recordMagic)
		if i < 0 {
			// The magic may straddle two blocks.
			from += max(int64(len(block)-len(recordMagic)+1), 1)
			continue
		}
		from += int64(i)
		if _, _, ok := s.checkRecordHeader(s.w.at(from, recordHeaderSize), from); ok {
			return from
		}
		from++
	}
	return s.w.end
}

func (s *scanner) because(reason string) string {
	if s.w.ioError == nil {
		return reason
	}
	reason = fmt.Sprintf("%s (disk: %v)", reason, s.w.ioError)
	s.w.ioError = nil
	return reason
}

// zeros reports whether the file holds nothing but zeros in the stretch.
func (s *scanner) zeros(offset, length int64) bool {
	for end := offset + length; offset < end; {
		block := s.w.at(offset, min(readBlock, end-offset))
		if bytes.Count(block, []byte{0}) < len(block) {
			return false
		}
		offset += int64(len(block))
	}
	return true
}

// Scan yields the durable records from a position on, oldest first, and ends
// when there are no more. Damage is yielded as a *DamageError in its place,
// and the scan goes on behind it; any other error is about one segment that
// cannot be opened. The data are valid until the next step.
func (l *Log) Scan(from Position) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			id, end, ok := l.nextSegment(from.Segment)
			if !ok || !l.scanSegment(id, end, from, yield) {
				return
			}
			from = Position{Segment: id + 1}
		}
	}
}

// nextSegment returns the first segment not before id that has records.
func (l *Log) nextSegment(id uint64) (uint64, int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.id >= id && s.end > 0 {
			return s.id, s.end, true
		}
	}
	return 0, 0, false
}

func (l *Log) scanSegment(id uint64, end int64, from Position, yield func(Record, error) bool) bool {
	name := segmentName(id)
	file, err := l.opts.FS.Open(l.path(name), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return true // removed meanwhile
	}
	if err != nil {
		return yield(Record{}, fmt.Errorf("open segment %016x: %w", id, err))
	}
	defer file.Close()
	s := newScanner(newFrame(l.opts.Name, id), file, end)
	flags, bad := s.header()
	if from.Segment == id && from.Offset > segmentHeaderSize {
		s.offset, bad = from.Offset, nil
	}
	if bad != nil && !yield(Record{}, &DamageError{Damage{File: name, Offset: bad.offset, Length: bad.length, Reason: bad.reason}}) {
		return false
	}
	for f, ok := s.next(); ok; f, ok = s.next() {
		if f.data == nil {
			if flags&flagPreallocated != 0 && s.offset == end && s.zeros(f.offset, f.length) {
				return true
			}
			if !yield(Record{}, &DamageError{Damage{File: name, Offset: f.offset, Length: f.length, Reason: f.reason}}) {
				return false
			}
			continue
		}
		if !yield(Record{Position{id, f.offset}, f.data, Position{id, s.offset}}, nil) {
			return false
		}
	}
	return true
}

// ReadAt returns the durable record at a position. A damaged one is a
// *DamageError, none at all ErrNotFound.
func (l *Log) ReadAt(pos Position) ([]byte, error) {
	l.mu.Lock()
	var end int64
	if s := l.segment(pos.Segment); s != nil {
		end = s.end
	}
	l.mu.Unlock()
	if pos.Offset < segmentHeaderSize || pos.Offset >= end {
		return nil, fmt.Errorf("read %s: %w", pos, ErrNotFound)
	}
	file, err := l.opts.FS.Open(l.path(segmentName(pos.Segment)), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", pos, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", pos, err)
	}
	defer file.Close()
	var head [recordHeaderSize]byte
	if _, err := file.ReadAt(head[:], pos.Offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", pos, err)
	}
	damage := Damage{File: segmentName(pos.Segment), Offset: pos.Offset, Length: recordHeaderSize, Reason: "no record begins here"}
	length, sum, ok := newFrame(l.opts.Name, pos.Segment).checkRecordHeader(head[:], pos.Offset)
	if !ok || pos.Offset+recordHeaderSize+length > end {
		return nil, &DamageError{damage}
	}
	data := make([]byte, length)
	if _, err := file.ReadAt(data, pos.Offset+recordHeaderSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", pos, err)
	}
	if crc32.Checksum(data, castagnoli) != sum {
		damage.Length, damage.Reason = recordHeaderSize+length, "record fails its checksum"
		return nil, &DamageError{damage}
	}
	return data, nil
}
