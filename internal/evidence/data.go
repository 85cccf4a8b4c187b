package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Definitions, events and records are rare, so fxamacker/cbor encodes them:
// maps with text keys, deterministic after RFC 8949, section 4.2.1.

// maxShortText bounds names, versions and serial numbers, in bytes.
const maxShortText = 128

var dataEncoding = mustMode(cbor.CoreDetEncOptions().EncMode())

var dataDecoding = mustMode(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	MaxNestedLevels:   8,
	MaxArrayElements:  MaxPoints,
	MaxMapPairs:       64,
}.DecMode())

// mustMode is for options that are constants: a test of any kind meets it.
func mustMode[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

func encodeData(v any) ([]byte, error) {
	b, err := dataEncoding.Marshal(v)
	if err != nil {
		return nil, err
	}
	return b, checkDataSize(b)
}

func checkDataSize(b []byte) error {
	if len(b) > MaxEntry-2*sign1Overhead-MaxText {
		return fmt.Errorf("%d bytes, too many for an entry of at most %d", len(b), MaxEntry)
	}
	return nil
}

// decodeData decodes b into v and refuses every form but the one that
// encodeData makes.
func decodeData(b []byte, v any) error {
	if err := checkDataSize(b); err != nil {
		return err
	}
	if err := dataDecoding.Unmarshal(b, v); err != nil {
		return err
	}
	again, err := dataEncoding.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return errors.New("not the deterministic encoding")
	}
	return nil
}

// MarshalCBOR encodes a hash as a byte string, "none" as null.
func (h Hash) MarshalCBOR() ([]byte, error) { return appendHash(nil, h), nil }

func appendHash(b []byte, h Hash) []byte {
	if h.IsZero() {
		return append(b, simpleNull)
	}
	return appendBytes(b, h[:])
}

// UnmarshalCBOR is the inverse of MarshalCBOR.
func (h *Hash) UnmarshalCBOR(b []byte) error {
	r := reader{b: b}
	*h = Hash{}
	if !r.null() {
		r.fixed(h[:])
	}
	return r.end()
}

// checkText reports a text that is too long or holds what cannot be printed.
func checkText(name, s string, limit int) error {
	if len(s) > limit || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%s: at most %d bytes of printable UTF-8 are signed", name, limit)
	}
	return nil
}

// checkNeeded is checkText for what may not be empty.
func checkNeeded(name, s string, limit int) error {
	if s == "" {
		return fmt.Errorf("%s: missing", name)
	}
	return checkText(name, s, limit)
}
