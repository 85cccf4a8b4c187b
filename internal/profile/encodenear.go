package profile

import "math"

// Simulated history has millions of values, and nearly all of them can be
// encoded in floats with the same result as in big numbers: a float result is
// taken only where the value plus and minus its error bound give one and the
// same register content. What is left is worked out exactly.

// near is a number that is known up to an error.
type near struct{ v, err float64 }

// step bounds the relative error of one float operation, twice over.
const step = 0x1p-52

func (a near) times(c float64) near {
	if c == 1 {
		return a
	}
	v := a.v * c
	return near{v, a.err*math.Abs(c) + math.Abs(v)*step}
}

func (a near) by(c float64) near {
	if c == 1 {
		return a
	}
	v := a.v / c
	return near{v, a.err/math.Abs(c) + math.Abs(v)*step}
}

// minus returns a - b. The difference of exact numbers that a float holds
// exactly has no error.
func (a near) minus(b near) near {
	v := a.v - b.v
	if a.err == 0 && b.err == 0 && v+b.v == a.v && a.v-v == b.v {
		return near{v: v}
	}
	return near{v, a.err + b.err + (math.Abs(a.v)+math.Abs(b.v))*step}
}

// shift returns a × 10^n for n from -22 to 22, where powers of ten are exact.
func (a near) shift(n int) near {
	if n < 0 {
		return a.by(tens[-n])
	}
	return a.times(tens[n])
}

// floor returns the floor if there is no doubt about it.
func (a near) floor() (near, bool) {
	n := math.Floor(a.v - a.err)
	return near{v: n}, n == math.Floor(a.v+a.err) && math.Abs(n) < 1<<51
}

// small returns d as a float and a power of ten, both exact.
func (d Decimal) small() (coef float64, exp int, ok bool) {
	i := d.int()
	if !i.IsInt64() || d.exp < -22 || d.exp > 22 {
		return 0, 0, false
	}
	n := i.Int64()
	return float64(n), d.exp, n > -1<<53 && n < 1<<53
}

// near returns what the sum of the parts must be for value x; see target.
func (e *encoder) near(p *Point, x float64, exponent int) (near, bool) {
	if e.exact {
		return near{}, false
	}
	f := &p.formula
	a := near{v: x}
	if f.offset.coef != nil {
		c, n, ok := f.offset.small()
		if !ok {
			return near{}, false
		}
		a = a.minus(near{v: c}.shift(n))
	}
	if !f.scale.Exact() {
		a = a.times(float64(f.scale.Den))
	}
	power := exponent
	divide := func(d Decimal) bool {
		c, n, ok := d.small()
		power += n
		a = a.by(c)
		return ok && c != 0
	}
	if !divide(f.scale.Num) || (f.choice != nil && !divide(e.chosen(p))) {
		return near{}, false
	}
	for i, name := range p.Times {
		q, _ := e.p.Point(name)
		d, err := f.factors[i].number(e.im.bytes(q.words))
		if err != nil || !divide(d) || !divide(f.factors[i].weight) {
			return near{}, false
		}
	}
	if power < -22 || power > 22 {
		return near{}, false
	}
	return a.shift(-power), true
}

// quick writes value x of p if floats leave no doubt about its registers.
func (e *encoder) quick(p *Point, x float64, exponent int) bool {
	a, ok := e.near(p, x, exponent)
	if !ok {
		return false
	}
	var content [8]uint64 // a sum has at most 8 parts
	for k, i := range p.spread {
		part := &p.formula.parts[i]
		c, n, ok := part.weight.small()
		if !ok {
			return false
		}
		y := a.by(c).shift(-n)
		if k < len(p.spread)-1 { // leave the fraction to lighter parts
			if y, ok = y.floor(); !ok {
				return false
			}
			a = a.minus(y.times(c).shift(n))
		}
		if content[i], ok = part.nearContent(y); !ok {
			return false
		}
	}
	for _, i := range p.spread {
		e.word(p.formula.parts[i].operand, p.own[i], content[i])
	}
	return true
}

// nearContent returns the word that stands for a if there is no doubt about
// it; see content.
func (o operand) nearContent(a near) (uint64, bool) {
	if a.v == 0 {
		a.v = 0 // there is no -0 among numbers
	}
	lo, hi := a.v-a.err, a.v+a.err
	switch {
	case o.typ == F64:
		return math.Float64bits(a.v), a.err == 0
	case o.typ == F32:
		x, y := math.Float32bits(float32(lo)), math.Float32bits(float32(hi))
		return uint64(x), x == y && math.Abs(a.v)+a.err < math.MaxFloat32
	}
	n, m := halfUp(lo), halfUp(hi)
	if least, most := o.span(); n != m || n < least || n > most || math.Abs(a.v) > 1<<51 {
		return 0, false
	}
	if o.typ.bcd() {
		return packed(uint64(n)), true
	}
	return uint64(int64(n)), true
}

// nearFits reports whether the operand can hold a after rounding; sure is
// false where floats cannot tell.
func (o operand) nearFits(a near) (fits, sure bool) {
	if o.typ == F64 {
		return true, true
	}
	if o.typ == F32 || o.width() > 48 {
		return true, math.Abs(a.v)+a.err < 1<<46 && (o.typ.signed() || o.typ == F32 || a.v-a.err > 0)
	}
	least, most := o.span()
	lo, hi := halfUp(a.v-a.err), halfUp(a.v+a.err)
	switch {
	case lo >= least && hi <= most:
		return true, true
	default:
		return false, hi < least || lo > most
	}
}

// span returns the least and the greatest integer an operand holds; the
// latter rounded for 64 bits.
func (o operand) span() (lo, hi float64) {
	w := o.width()
	switch {
	case o.typ.signed():
		return -math.Ldexp(1, w-1), math.Ldexp(1, w-1) - 1
	case o.typ.bcd():
		return 0, tens[w/4] - 1
	case o.typ == Binary:
		return 0, 1
	default:
		return 0, float64(mask(w))
	}
}

// halfUp returns the nearest integer, halves up.
func halfUp(v float64) float64 {
	n := math.Floor(v)
	if v-n >= 0.5 {
		n++
	}
	return n
}

// packed returns n as packed decimal digits.
func packed(n uint64) (b uint64) {
	for i := 0; n > 0; i += 4 {
		b |= n % 10 << i
		n /= 10
	}
	return b
}
