package seglog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The format on disk; docs/formats/journal.md draws it byte by byte. All
// numbers are little endian.
const (
	// Version is raised when a reader of the old format could misread the new.
	Version = 1
	// MaxRecord bounds the data of one record, in bytes.
	MaxRecord = 4 << 20

	segmentHeaderSize = 32
	recordHeaderSize  = 16

	// RecordOverhead is what a record takes on disk beside its data, in bytes.
	RecordOverhead = recordHeaderSize

	flagPreallocated = 1 // the file is longer than its records; the rest is zeros

	segmentSuffix = ".seg"
	damagedSuffix = ".damaged"
	tempSuffix    = ".tmp"
	// reserveName is as long as a segment's name, so that renaming it needs
	// no new directory block on a full disk.
	reserveName = "reserve-segment.free"
)

var (
	segmentMagic = []byte("YUNHELOG")
	recordMagic  = []byte{0xF7, 'Y', 'N', 'H'}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// frame computes checksums that bind a record to one log, segment and
// offset: a record copied elsewhere, or left over from an earlier use of
// the same blocks, does not pass.
type frame struct {
	seed    uint32 // CRC-32C of name, a zero byte, segment
	segment uint64
	name    string
}

func newFrame(name string, segment uint64) frame {
	seed := crc32.Checksum(append([]byte(name), 0), castagnoli)
	seed = crc32.Update(seed, castagnoli, binary.LittleEndian.AppendUint64(nil, segment))
	return frame{seed: seed, segment: segment, name: name}
}

// appendSegmentHeader appends the 32 bytes that open a segment.
func (f frame) appendSegmentHeader(b []byte, flags uint16) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint16(b, Version)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, f.segment)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Update(f.seed, castagnoli, b[start:]))
}

// checkSegmentHeader returns the flags, or why b opens no segment of f.
func (f frame) checkSegmentHeader(b []byte) (flags uint16, err error) {
	switch {
	case len(b) < segmentHeaderSize:
		return 0, fmt.Errorf("segment header is cut after %d of %d bytes", len(b), segmentHeaderSize)
	case !bytes.Equal(b[:8], segmentMagic):
		return 0, fmt.Errorf("segment header does not begin with %s", segmentMagic)
	case binary.LittleEndian.Uint16(b[8:]) != Version:
		return 0, fmt.Errorf("segment header has version %d, this program reads %d", binary.LittleEndian.Uint16(b[8:]), Version)
	case binary.LittleEndian.Uint64(b[16:]) != f.segment:
		return 0, fmt.Errorf("segment header names segment %016x", binary.LittleEndian.Uint64(b[16:]))
	case binary.LittleEndian.Uint32(b[28:]) != crc32.Update(f.seed, castagnoli, b[:28]):
		return 0, fmt.Errorf("segment header fails its checksum (or belongs to a log not named %q)", f.name)
	}
	return binary.LittleEndian.Uint16(b[10:]), nil
}

// appendRecord appends data as the record that stands at offset.
func (f frame) appendRecord(b []byte, offset int64, data []byte) []byte {
	b = append(b, recordMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(data, castagnoli))
	b = binary.LittleEndian.AppendUint32(b, f.headerSum(offset, b[len(b)-8:]))
	return append(b, data...)
}

// headerSum covers name, segment, offset, length and data checksum.
func (f frame) headerSum(offset int64, lengthAndSum []byte) uint32 {
	sum := crc32.Update(f.seed, castagnoli, binary.LittleEndian.AppendUint64(nil, uint64(offset)))
	return crc32.Update(sum, castagnoli, lengthAndSum)
}

// checkRecordHeader returns the length and checksum of the data that follow
// the 16 bytes of b, which stand at offset.
func (f frame) checkRecordHeader(b []byte, offset int64) (length int64, sum uint32, ok bool) {
	if len(b) < recordHeaderSize || !bytes.Equal(b[:4], recordMagic) {
		return 0, 0, false
	}
	length = int64(binary.LittleEndian.Uint32(b[4:]))
	if length == 0 || length > MaxRecord || binary.LittleEndian.Uint32(b[12:]) != f.headerSum(offset, b[4:12]) {
		return 0, 0, false
	}
	return length, binary.LittleEndian.Uint32(b[8:]), true
}

func segmentName(id uint64) string { return fmt.Sprintf("%016x%s", id, segmentSuffix) }

func parseSegmentName(name string) (id uint64, ok bool) {
	hex, found := strings.CutSuffix(name, segmentSuffix)
	if !found || len(hex) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil && id != 0 && segmentName(id) == name
}
