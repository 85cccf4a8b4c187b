package evidence

import (
	"cmp"
	"errors"
	"fmt"

	"yunhe/internal/telemetry"
)

// Record is what a person entered at the gateway: commissioning, a site visit.
type Record struct {
	Type    string `cbor:"type"`
	Site    string `cbor:"site"`
	Gateway string `cbor:"gateway"`
	Device  string `cbor:"device"` // empty if it concerns the gateway
	Body    []byte `cbor:"body"`
}

// Encode returns the one deterministic encoding of a valid record.
func (r Record) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if r.Body == nil {
		r.Body = []byte{} // an empty string, not null
	}
	b, err := encodeData(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}

// Check reports what makes r no record.
func (r Record) Check() error {
	err := cmp.Or(checkNeeded("type", r.Type, maxShortText), telemetry.CheckID(r.Site), telemetry.CheckID(r.Gateway))
	if r.Device != "" {
		err = cmp.Or(err, telemetry.CheckID(r.Device))
	}
	return err
}

// DecodeRecord is the strict inverse of Encode.
func DecodeRecord(data []byte) (Record, error) {
	var r Record
	if err := decodeData(data, &r); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	if r.Body == nil {
		return Record{}, errors.New("decode record: the body is null")
	}
	if err := r.Check(); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	return r, nil
}
