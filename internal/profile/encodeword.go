package profile

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// spread returns the order in which a value is spread over parts: the
// heaviest first, floats behind integers.
func spread(parts []term) []int {
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := parts[a], parts[b]
		if c := y.weight.Rat().Cmp(x.weight.Rat()); c != 0 {
			return c
		}
		return map[bool]int{true: 1}[x.typ.float()] - map[bool]int{true: 1}[y.typ.float()]
	})
	return order
}

// parts spreads t over the operands, exactly.
func (e *encoder) parts(p *Point, t *big.Rat) error {
	for k, i := range p.spread {
		part := p.formula.parts[i]
		x := new(big.Rat).Quo(t, part.weight.Rat())
		if k < len(p.spread)-1 { // leave the fraction to lighter parts
			x.SetInt(floor(x))
		}
		if err := e.number(part.operand, p.own[i], x); err != nil {
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
	o.order.swap(b[8-o.size:])
	e.im.write(at, b[8-o.size:])
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
