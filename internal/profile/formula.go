package profile

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

// maxExponent bounds scale factors and decimals; the SunSpec bound.
const maxExponent = 10

// Formula says how the raw bytes of a reading stand for its value:
//
//	value = sum of (part × weight) × scale × 10^exponent × chosen scale × factors + offset
//
// The raw bytes are those of the operands one behind the other, each as read:
// parts, exponent register, select register, factors. A definition carries
// the formula as text, so whoever has definition and raw bytes has the value.
type Formula struct {
	parts    []term
	exponent int8 // 0: none; 1: value × 10^n; -1: value × 10^-n
	choice   *choice
	factors  []term
	scale    Scale
	offset   Decimal
}

type term struct {
	operand
	weight Decimal
}

type choice struct {
	operand
	scales  map[string]Decimal
	natural string // what a simulated device chooses
}

var errNotChosen = errors.New("the unit register names no known unit")

// exponentOperand is the register of a scale factor: s16, or u16 for decimals.
func (f *Formula) exponentOperand() operand {
	o := operand{typ: S16, size: 2, order: f.parts[0].order & BADC}
	if f.exponent < 0 {
		o.typ = U16
	}
	return o
}

// operands returns every operand in the order of the raw bytes.
func (f *Formula) operands() []operand {
	var ops []operand
	for _, t := range f.parts {
		ops = append(ops, t.operand)
	}
	if f.exponent != 0 {
		ops = append(ops, f.exponentOperand())
	}
	if f.choice != nil {
		ops = append(ops, f.choice.operand)
	}
	for _, t := range f.factors {
		ops = append(ops, t.operand)
	}
	return ops
}

// RawSize returns how many raw bytes a reading has.
func (f *Formula) RawSize() int {
	n := 0
	for i := range f.parts {
		n += f.parts[i].size
	}
	if f.exponent != 0 {
		n += 2
	}
	if f.choice != nil {
		n += f.choice.size
	}
	for i := range f.factors {
		n += f.factors[i].size
	}
	return n
}

// Exact returns the exact value of a reading with these raw bytes. A fraction
// as scale has no exact decimal value; counters never have one.
func (f *Formula) Exact(raw []byte) (Decimal, error) {
	if !f.scale.Exact() {
		return Decimal{}, errors.New("compute exact value: the scale is a fraction")
	}
	return f.numerator(raw)
}

// numerator returns the value before the division by the scale's denominator.
func (f *Formula) numerator(raw []byte) (Decimal, error) {
	if len(raw) != f.RawSize() {
		return Decimal{}, fmt.Errorf("decode value: %d raw bytes, want %d", len(raw), f.RawSize())
	}
	sum, raw, err := f.sum(raw)
	if err != nil {
		return Decimal{}, err
	}
	v := sum.Mul(f.scale.Num)
	if f.exponent != 0 {
		n, err := f.exponentOf(raw[:2])
		if err != nil {
			return Decimal{}, err
		}
		v, raw = v.Shift(n), raw[2:]
	}
	if c := f.choice; c != nil {
		s, err := c.scaleOf(raw[:c.size])
		if err != nil {
			return Decimal{}, err
		}
		v, raw = v.Mul(s), raw[c.size:]
	}
	for _, t := range f.factors {
		x, err := t.number(raw[:t.size])
		if err != nil {
			return Decimal{}, err
		}
		v, raw = v.Mul(x).Mul(t.weight), raw[t.size:]
	}
	return v.Add(f.offset), nil
}

// sum adds up the parts and returns what is left of raw behind them.
func (f *Formula) sum(raw []byte) (Decimal, []byte, error) {
	var sum Decimal
	for _, t := range f.parts {
		x, err := t.number(raw[:t.size])
		if err != nil {
			return Decimal{}, nil, err
		}
		if !t.weight.IsOne() {
			x = x.Mul(t.weight)
		}
		sum, raw = sum.Add(x), raw[t.size:]
	}
	return sum, raw, nil
}

// exponentOf returns the power of ten in an exponent register.
func (f *Formula) exponentOf(raw []byte) (int, error) {
	o := f.exponentOperand()
	n := int(int16(o.word(raw)))
	if n < -maxExponent || n > maxExponent || (f.exponent < 0 && n < 0) {
		return 0, fmt.Errorf("decode scale factor: % x is not between -%d and %d", raw, maxExponent, maxExponent)
	}
	return n * int(f.exponent), nil
}

// scaleOf returns the scale that the content of a select register chooses.
func (c *choice) scaleOf(raw []byte) (Decimal, error) {
	key, err := c.key(raw)
	if err != nil {
		return Decimal{}, err
	}
	s, ok := c.scales[key]
	if !ok {
		return Decimal{}, fmt.Errorf("%w: %q", errNotChosen, key)
	}
	return s, nil
}

func (c *choice) key(raw []byte) (string, error) {
	if c.typ.text() {
		s, err := c.operand.text(raw)
		return strings.TrimSpace(s), err
	}
	d, err := c.number(raw)
	return d.String(), err
}

// Float returns the float64 nearest to the exact value of a reading with these
// raw bytes, which is what a gateway puts on the wire; an error where Exact has
// one, and for a value beyond every float64.
func (f *Formula) Float(raw []byte) (float64, error) {
	if !f.scale.Exact() {
		return 0, errors.New("compute exact value: the scale is a fraction")
	}
	return f.float(raw)
}

// float returns the float64 nearest to the value.
func (f *Formula) float(raw []byte) (float64, error) {
	if v, ok := f.quick(raw); ok {
		return v, nil
	}
	d, err := f.numerator(raw)
	if err != nil {
		return 0, err
	}
	v := d.Float64()
	if !f.scale.Exact() {
		v, _ = new(big.Rat).Quo(d.Rat(), new(big.Rat).SetInt64(int64(f.scale.Den))).Float64()
	}
	if math.IsInf(v, 0) {
		return 0, errors.New("decode value: too large for a float")
	}
	return v, nil
}

// quick returns the value of a single register with a small decimal scale,
// which nearly all are, without big numbers. Up to 2^53 and 10^22 integer and
// power of ten are exact floats, so one division rounds once: the result is
// the same.
func (f *Formula) quick(raw []byte) (float64, bool) {
	if len(f.parts) != 1 || f.exponent != 0 || f.choice != nil || len(f.factors) != 0 || f.offset.coef != nil ||
		!f.scale.Exact() || !f.parts[0].weight.IsOne() || len(raw) != f.parts[0].size {
		return 0, false
	}
	o, scale := f.parts[0].operand, f.scale.Num
	if o.typ.float() {
		v := o.binary(raw)
		return v, scale.IsOne() && !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	if !o.typ.integer() || o.typ.bcd() || scale.exp < -22 || scale.exp > 22 || !scale.int().IsInt64() {
		return 0, false
	}
	i, c := o.signedField(o.word(raw)), scale.int().Int64()
	const exact, limit = 1 << 53, 1 << 26
	if (i < 0 && !o.typ.signed()) || c == 0 || c <= -limit || c >= limit {
		return 0, false
	}
	if most := exact / max(c, -c); i < -most || i > most {
		return 0, false
	}
	if scale.exp < 0 {
		return float64(i*c) / tens[-scale.exp], true
	}
	return float64(i*c) * tens[scale.exp], true
}

// tens holds the powers of ten that are exact floats.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
	1e18, 1e19, 1e20, 1e21, 1e22}

// text decodes a string or hex operand.
func (o operand) text(raw []byte) (string, error) {
	if len(raw) != o.size {
		return "", fmt.Errorf("decode %s: %d bytes, want %d", o.typ, len(raw), o.size)
	}
	b := (o.order & BADC).reorder(raw) // text has no word order
	switch o.typ {
	case Hex:
		return fmt.Sprintf("%X", o.order.reorder(raw)), nil
	case Text:
		s := strings.TrimRight(string(b), "\x00 ")
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("decode string: % x is not UTF-8", raw)
		}
		for _, r := range s {
			if r < ' ' || r == 0x7F {
				return "", fmt.Errorf("decode string: % x holds a control character", raw)
			}
		}
		return s, nil
	default:
		return "", fmt.Errorf("decode: unknown type %q", o.typ)
	}
}
