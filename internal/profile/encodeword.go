package profile

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// parts spreads t over the operands, the heaviest first.
func (e *encoder) parts(p *Point, own [][]Range, t *big.Rat) error {
	order := make([]int, len(p.formula.parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := p.formula.parts[a], p.formula.parts[b]
		if c := y.weight.Rat().Cmp(x.weight.Rat()); c != 0 {
			return c
		}
		return map[bool]int{true: 1}[x.typ.float()] - map[bool]int{true: 1}[y.typ.float()]
	})
	for k, i := range order {
		part := p.formula.parts[i]
		x := new(big.Rat).Quo(t, part.weight.Rat())
		if k < len(order)-1 { // leave the fraction to lighter parts
			x.SetInt(floor(x))
		}
		if err := e.number(part.operand, own[i], x); err != nil {
			return err
		}
		t = new(big.Rat).Sub(t, new(big.Rat).Mul(x, part.weight.Rat()))
	}
	return nil
}

func floor(x *big.Rat) *big.Int { return new(big.Int).Div(x.Num(), x.Denom()) }

// round returns the nearest integer, halves up.
func round(x *big.Rat) *big.Int { return floor(new(big.Rat).Add(x, big.NewRat(1, 2))) }

// fits reports whether the operand can hold x after rounding.
func (o operand) fits(x *big.Rat) bool {
	_, err := o.content(x)
	return err == nil
}

// content returns the word that stands for x.
func (o operand) content(x *big.Rat) (uint64, error) {
	if o.typ.float() {
		v, _ := x.Float64()
		if o.typ == F64 {
			return math.Float64bits(v), nil
		}
		if math.Abs(v) > math.MaxFloat32 {
			return 0, fmt.Errorf("%g does not fit an f32", v)
		}
		v32, _ := x.Float32()
		return uint64(math.Float32bits(v32)), nil
	}
	n, w := round(x), o.width()
	lo, hi := new(big.Int), new(big.Int).SetUint64(mask(w))
	switch {
	case o.typ.signed():
		hi.SetUint64(mask(w) >> 1)
		lo.Sub(lo.Neg(hi), big.NewInt(1))
	case o.typ.bcd():
		hi = new(big.Int).Sub(pow10(w/4), big.NewInt(1))
	case o.typ == Binary:
		hi.SetUint64(1)
	}
	if n.Cmp(lo) < 0 || n.Cmp(hi) > 0 {
		return 0, fmt.Errorf("%s does not fit %s, which holds %s to %s", n, o, lo, hi)
	}
	if o.typ.bcd() {
		u, _ := new(big.Int).SetString(n.String(), 16) // the decimal digits, packed
		return u.Uint64(), nil
	}
	if n.Sign() < 0 {
		return uint64(n.Int64()), nil
	}
	return n.Uint64(), nil
}

func (e *encoder) number(o operand, at []Range, x *big.Rat) error {
	w, err := o.content(x)
	if err == nil {
		e.word(o, at, w)
	}
	return err
}

// word writes a number, beside what else stands in the same register.
func (e *encoder) word(o operand, at []Range, w uint64) {
	if o.bits != nil {
		m := mask(int(o.bits.Count)) << o.bits.From
		w = o.word(e.im.bytes(at))&^m | w<<o.bits.From&m
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], w)
	e.im.write(at, o.order.reorder(b[8-o.size:]))
}

// text writes a string or hex digits.
func (e *encoder) text(o operand, at []Range, s string) error {
	b := []byte(s)
	if o.typ == Hex {
		var err error
		if b, err = hex.DecodeString(s); err != nil || len(b) != o.size {
			return fmt.Errorf("%q is not %d hex digits", s, 2*o.size)
		}
		e.im.write(at, o.order.reorder(b))
		return nil
	}
	if len(b) > o.size {
		return fmt.Errorf("%q is longer than %d bytes", s, o.size)
	}
	raw := make([]byte, o.size)
	copy(raw, b)
	e.im.write(at, (o.order & BADC).reorder(raw))
	return nil
}

// quick writes the value of a single register with a small decimal scale
// without big numbers: a month of simulated history has millions of them. It
// leaves alone whatever it might round the other way, or refuse.
func (e *encoder) quick(p *Point, at []Range, x float64) bool {
	f := &p.formula
	if len(f.parts) != 1 || f.exponent != 0 || f.choice != nil || len(f.factors) != 0 || f.offset.coef != nil || !f.scale.Exact() {
		return false
	}
	o, scale := f.parts[0].operand, f.scale.Num
	switch {
	case o.typ == F64 && scale.IsOne():
		e.word(o, at, math.Float64bits(x))
		return true
	case o.typ == F32 && scale.IsOne() && math.Abs(x) < math.MaxFloat32:
		e.word(o, at, uint64(math.Float32bits(float32(x))))
		return true
	case !o.typ.integer() || o.typ.bcd() || o.width() > 48 || scale.exp > 0 || scale.exp < -22 || !scale.int().IsInt64():
		return false
	}
	v := x * tens[-scale.exp] / float64(scale.int().Int64())
	n := math.Round(v)
	lo, hi := 0.0, float64(mask(o.width()))
	if o.typ.signed() {
		lo, hi = -math.Ldexp(1, o.width()-1), math.Ldexp(1, o.width()-1)-1
	}
	if n < lo || n > hi || math.Abs(math.Abs(v-n)-0.5) < 1e-3 {
		return false
	}
	e.word(o, at, uint64(int64(n)))
	return true
}
