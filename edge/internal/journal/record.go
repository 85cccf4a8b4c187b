package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"yunhe/internal/evidence"
)

// The data of a segment record; docs/formats/journal.md draws them. Numbers
// are little endian.
const (
	recordVersion  = 1
	fixedSize      = 60
	lossSize       = 56
	flagHistorical = 1
	flagLoss       = 2
)

// record is what stands in the journal for one entry.
type record struct {
	ref   Ref
	hash  evidence.Hash
	loss  *evidence.Loss // of a loss event
	entry []byte
}

func (r record) encode() ([]byte, error) {
	if len(r.ref.Device) > 255 {
		return nil, fmt.Errorf("device name has %d bytes, at most 255 are possible", len(r.ref.Device))
	}
	var flags byte
	if r.ref.Historical {
		flags |= flagHistorical
	}
	if r.loss != nil {
		flags |= flagLoss
	}
	b := make([]byte, 0, fixedSize+lossSize+len(r.ref.Device)+len(r.entry))
	b = append(b, recordVersion, byte(r.ref.Kind), flags, byte(len(r.ref.Device)))
	b = binary.LittleEndian.AppendUint64(b, r.ref.JID)
	b = binary.LittleEndian.AppendUint64(b, r.ref.JSeq)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.ref.Recorded.UnixMilli()))
	b = append(b, r.hash[:]...)
	b = append(b, r.ref.Device...)
	if r.loss != nil {
		b = binary.LittleEndian.AppendUint64(b, r.loss.JID)
		b = binary.LittleEndian.AppendUint64(b, r.loss.Lo)
		b = binary.LittleEndian.AppendUint64(b, r.loss.Hi)
		b = append(b, r.loss.LastHash[:]...)
	}
	return append(b, r.entry...), nil
}

// decodeRecord is the inverse of encode; the entry is part of b.
func decodeRecord(b []byte) (record, error) {
	if len(b) < fixedSize {
		return record{}, fmt.Errorf("journal record has %d bytes, at least %d are needed", len(b), fixedSize)
	}
	if b[0] != recordVersion {
		return record{}, fmt.Errorf("journal record has version %d, this program reads %d", b[0], recordVersion)
	}
	flags, device := b[2], int(b[3])
	r := record{ref: Ref{
		Kind:       evidence.Kind(b[1]),
		Historical: flags&flagHistorical != 0,
		JID:        binary.LittleEndian.Uint64(b[4:]),
		JSeq:       binary.LittleEndian.Uint64(b[12:]),
		Recorded:   time.UnixMilli(int64(binary.LittleEndian.Uint64(b[20:]))).UTC(),
	}}
	copy(r.hash[:], b[28:60])
	b = b[fixedSize:]
	if len(b) < device {
		return record{}, errors.New("journal record ends within its device name")
	}
	r.ref.Device, b = string(b[:device]), b[device:]
	if flags&flagLoss != 0 {
		if len(b) < lossSize {
			return record{}, errors.New("journal record ends within its loss")
		}
		r.loss = &evidence.Loss{
			JID: binary.LittleEndian.Uint64(b),
			Lo:  binary.LittleEndian.Uint64(b[8:]),
			Hi:  binary.LittleEndian.Uint64(b[16:]),
		}
		copy(r.loss.LastHash[:], b[24:56])
		b = b[lossSize:]
	}
	if r.ref.JID == 0 || r.ref.JID > evidence.MaxNumber || r.ref.JSeq == 0 || r.ref.JSeq > evidence.MaxNumber {
		return record{}, fmt.Errorf("journal record has number %d:%d, which cannot be", r.ref.JID, r.ref.JSeq)
	}
	r.entry, r.ref.Bytes = b, len(b)
	return r, nil
}
