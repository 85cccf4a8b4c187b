package profile

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// RegisterType is how bytes stand for a number or a text.
type RegisterType string

const (
	U8     RegisterType = "u8" // on Modbus the low byte of a register
	S8     RegisterType = "s8"
	U16    RegisterType = "u16"
	S16    RegisterType = "s16"
	U32    RegisterType = "u32"
	S32    RegisterType = "s32"
	U64    RegisterType = "u64"
	S64    RegisterType = "s64"
	F32    RegisterType = "f32"
	F64    RegisterType = "f64"
	BCD16  RegisterType = "bcd16" // 4 decimal digits
	BCD32  RegisterType = "bcd32"
	BCD64  RegisterType = "bcd64"
	Text   RegisterType = "string" // NULs and spaces at the end are cut
	Hex    RegisterType = "hex"    // digits of a version or an id
	Binary RegisterType = "bool"   // one bit of a coil or discrete input
)

// typeSizes holds the width in bytes; 0: by length.
var typeSizes = map[RegisterType]int{
	U8: 1, S8: 1, U16: 2, S16: 2, U32: 4, S32: 4, U64: 8, S64: 8, F32: 4, F64: 8,
	BCD16: 2, BCD32: 4, BCD64: 8, Text: 0, Hex: 0, Binary: 1,
}

func (t RegisterType) valid() bool   { _, ok := typeSizes[t]; return ok }
func (t RegisterType) signed() bool  { return strings.HasPrefix(string(t), "s") && t != Text }
func (t RegisterType) float() bool   { return t == F32 || t == F64 }
func (t RegisterType) bcd() bool     { return strings.HasPrefix(string(t), "bcd") }
func (t RegisterType) text() bool    { return t == Text || t == Hex }
func (t RegisterType) integer() bool { return t.valid() && !t.float() && !t.text() && t != Binary }

// Order is the order of bytes within a number, as the letters that vendors
// and other tools use: A is the most significant byte.
type Order uint8

const (
	ABCD Order = 0 // most significant word first, big-endian words: the Modbus way
	CDAB Order = 1 // least significant word first
	BADC Order = 2 // bytes swapped in each word
	DCBA Order = 3 // little-endian throughout: I2C, DL/T 645
)

// NewOrder puts together the order of words and of the bytes in a word.
func NewOrder(leastWordFirst, littleBytes bool) Order {
	var o Order
	if leastWordFirst {
		o |= CDAB
	}
	if littleBytes {
		o |= BADC
	}
	return o
}

// String returns ABCD, CDAB, BADC or DCBA.
func (o Order) String() string { return [...]string{"ABCD", "CDAB", "BADC", "DCBA"}[o&3] }

// ParseOrder is the inverse of Order.String.
func ParseOrder(s string) (Order, error) {
	for o := ABCD; o <= DCBA; o++ {
		if s == o.String() {
			return o, nil
		}
	}
	return 0, fmt.Errorf("unknown word order %q: use ABCD, CDAB, BADC or DCBA", s)
}

// reorder returns raw as big-endian bytes. It is its own inverse.
func (o Order) reorder(raw []byte) []byte {
	out := append([]byte(nil), raw...)
	o.swap(out)
	return out
}

// swap reorders b in place.
func (o Order) swap(b []byte) {
	if o&BADC != 0 {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	if o&CDAB != 0 && len(b)%2 == 0 {
		for i, j := 0, len(b)-2; i < j; i, j = i+2, j-2 {
			b[i], b[i+1], b[j], b[j+1] = b[j], b[j+1], b[i], b[i+1]
		}
	}
}

// operand is one number or text within the raw bytes of a reading.
type operand struct {
	typ   RegisterType
	size  int // bytes
	order Order
	bits  *Bits
}

// word returns the unsigned integer that the bytes stand for, without regard
// to sign, bit field or BCD. The operand is at most 8 bytes long.
func (o operand) word(raw []byte) uint64 {
	var b [8]byte
	in := b[8-len(raw):]
	copy(in, raw)
	o.order.swap(in)
	return binary.BigEndian.Uint64(b[:])
}

// width returns how many bits of the number are used.
func (o operand) width() int {
	if o.bits != nil {
		return int(o.bits.Count)
	}
	return 8 * o.size
}

// field returns the used bits of a word.
func (o operand) field(word uint64) uint64 {
	if o.bits != nil {
		word >>= o.bits.From
	}
	return word & mask(o.width())
}

func mask(bits int) uint64 { return math.MaxUint64 >> (64 - bits) }

// number decodes a numeric operand.
func (o operand) number(raw []byte) (Decimal, error) {
	if len(raw) != o.size {
		return Decimal{}, fmt.Errorf("decode %s: %d bytes, want %d", o.typ, len(raw), o.size)
	}
	switch {
	case o.typ.float():
		d, ok := DecimalFromFloat(o.binary(raw))
		if !ok {
			return Decimal{}, fmt.Errorf("decode %s: % x is no number", o.typ, raw)
		}
		return d, nil
	case o.typ.bcd():
		return bcd(o.field(o.word(raw)), o.width()/4)
	case o.typ.integer() || o.typ == Binary:
		return o.whole(o.field(o.word(raw))), nil
	default:
		return Decimal{}, fmt.Errorf("decode: unknown type %q", o.typ)
	}
}

// whole returns the integer a field stands for.
func (o operand) whole(field uint64) Decimal {
	if w := o.width(); o.typ.signed() && field>>(w-1) == 1 {
		return NewDecimal(int64(field|^mask(w)), 0)
	}
	return Decimal{new(big.Int).SetUint64(field), 0}.normal()
}

// signedField returns the integer of a word; wrong for u64 above 2^63, which
// is negative here.
func (o operand) signedField(word uint64) int64 {
	field := o.field(word)
	if w := o.width(); o.typ.signed() && field>>(w-1) == 1 {
		field |= ^mask(w)
	}
	return int64(field)
}

// binary returns the float that the bytes stand for.
func (o operand) binary(raw []byte) float64 {
	if o.typ == F32 {
		return float64(math.Float32frombits(uint32(o.word(raw))))
	}
	return math.Float64frombits(o.word(raw))
}

// bcd decodes packed decimal digits.
func bcd(field uint64, digits int) (Decimal, error) {
	var n uint64
	for i := digits - 1; i >= 0; i-- {
		d := field >> (4 * i) & 0xF
		if d > 9 {
			return Decimal{}, fmt.Errorf("decode bcd: %x has a digit above 9", field)
		}
		n = 10*n + d
	}
	return Decimal{new(big.Int).SetUint64(n), 0}.normal(), nil
}
