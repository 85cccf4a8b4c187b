package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Major types of CBOR (RFC 8949, section 3.1) and the simple values in use.
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5

	simpleFalse = 0xf4
	simpleTrue  = 0xf5
	simpleNull  = 0xf6
	headFloat64 = 0xfb
)

// The signed content is one fixed array, so its encoding is written out here.
// It is the core deterministic encoding of RFC 8949, section 4.2.1, with one
// difference: floats always take 64 bits. Tests hold it against fxamacker/cbor.

func appendHead(b []byte, major byte, n uint64) []byte {
	m := major << 5
	switch {
	case n < 24:
		return append(b, m|byte(n))
	case n <= math.MaxUint8:
		return append(b, m|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, m|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, m|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, m|27), n)
	}
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNeg, uint64(-(n + 1)))
	}
	return appendHead(b, majorUint, uint64(n))
}

func appendBytes(b, s []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(s))), s...)
}

// appendOptional appends null for an empty s.
func appendOptional(b, s []byte) []byte {
	if len(s) == 0 {
		return append(b, simpleNull)
	}
	return appendBytes(b, s)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}

func appendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, headFloat64), math.Float64bits(f))
}

// reader takes canonical CBOR apart. After the first fault it stays at it:
// every method returns zero and err names the fault.
type reader struct {
	b   []byte
	pos int
	err error
}

var errShort = errors.New("it ends too early")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.pos, err)
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.b)-r.pos {
		r.fail(errShort)
		return nil
	}
	s := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return s
}

// peek returns the next byte without taking it, 0xff at the end.
func (r *reader) peek() byte {
	if r.err != nil || r.pos == len(r.b) {
		return 0xff
	}
	return r.b[r.pos]
}

// head takes the head of an item of one major type, in its shortest form.
func (r *reader) head(major byte) uint64 {
	if got := r.peek() >> 5; r.err == nil && got != major {
		r.fail(fmt.Errorf("found major type %d instead of %d", got, major))
	}
	first := r.take(1)
	if first == nil {
		return 0
	}
	var n, least uint64
	switch info := first[0] & 31; info {
	case 24:
		n, least = bigEndian(r.take(1)), 24
	case 25:
		n, least = bigEndian(r.take(2)), math.MaxUint8+1
	case 26:
		n, least = bigEndian(r.take(4)), math.MaxUint16+1
	case 27:
		n, least = bigEndian(r.take(8)), math.MaxUint32+1
	case 28, 29, 30, 31:
		r.fail(errors.New("a length that is not definite"))
	default:
		n = uint64(info)
	}
	if n < least {
		r.fail(errors.New("a number not in its shortest form"))
		return 0
	}
	return n
}

func bigEndian(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// uint takes an unsigned integer of at most limit.
func (r *reader) uint(limit uint64) uint64 {
	n := r.head(majorUint)
	if n > limit {
		r.fail(fmt.Errorf("%d is more than %d", n, limit))
		return 0
	}
	return n
}

// int takes an integer between -limit and limit.
func (r *reader) int(limit int64) int64 {
	if r.peek()>>5 == majorNeg {
		n := r.head(majorNeg)
		if n >= uint64(limit) {
			r.fail(fmt.Errorf("-1-%d is less than -%d", n, limit))
			return 0
		}
		return -1 - int64(n)
	}
	return int64(r.uint(uint64(limit)))
}

// array takes the head of an array of lo to hi items.
func (r *reader) array(lo, hi int) int {
	n := r.head(majorArray)
	if r.err == nil && (n < uint64(lo) || n > uint64(hi)) {
		r.fail(fmt.Errorf("an array of %d items instead of %d to %d", n, lo, hi))
		return 0
	}
	return int(n)
}

// bytes takes a byte string of at most limit bytes; the result is part of the
// input.
func (r *reader) bytes(limit int) []byte { return r.str(majorBytes, limit) }

func (r *reader) str(major byte, limit int) []byte {
	n := r.head(major)
	if n > uint64(limit) {
		r.fail(fmt.Errorf("%d bytes, at most %d are accepted", n, limit))
		return nil
	}
	return r.take(int(n))
}

// fixed takes a byte string that fills dst exactly.
func (r *reader) fixed(dst []byte) {
	s := r.bytes(len(dst))
	if r.err == nil && len(s) != len(dst) {
		r.fail(fmt.Errorf("%d bytes instead of %d", len(s), len(dst)))
		return
	}
	copy(dst, s)
}

// text takes a text of at most limit bytes.
func (r *reader) text(limit int) string {
	s := r.str(majorText, limit)
	if !utf8.Valid(s) {
		r.fail(errors.New("a text that is not UTF-8"))
		return ""
	}
	return string(s)
}

// null takes a null if one is next.
func (r *reader) null() bool {
	if r.peek() != simpleNull {
		return false
	}
	r.take(1)
	return true
}

// literal takes exactly one byte.
func (r *reader) literal(want byte) {
	if got := r.take(1); got != nil && got[0] != want {
		r.pos--
		r.fail(fmt.Errorf("found 0x%02x instead of 0x%02x", got[0], want))
	}
}

func (r *reader) bool() bool {
	switch r.peek() {
	case simpleTrue:
		r.take(1)
		return true
	default:
		r.literal(simpleFalse)
		return false
	}
}

func (r *reader) float() float64 {
	r.literal(headFloat64)
	return math.Float64frombits(bigEndian(r.take(8)))
}

// end reports the first fault, or bytes left over.
func (r *reader) end() error {
	if r.err == nil && r.pos != len(r.b) {
		r.fail(fmt.Errorf("%d bytes too many", len(r.b)-r.pos))
	}
	return r.err
}
