package profile

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"yunhe/internal/telemetry"
)

// Encode is the inverse of decoding, for simulators: physical values by point
// name become registers. No value (the zero Value) becomes the point's first
// "not available" content. Scale-factor and unit registers are chosen: scale
// factors start at 0 for counters and at -2 otherwise and grow until every
// value fits. Numbers are rounded to what the register can hold. A value that
// does not fit, has the wrong type or belongs to no point is an error.
func (p *Profile) Encode(values map[string]telemetry.Value) (Image, error) {
	im := Image{}
	return im, p.EncodeInto(im, values)
}

// EncodeInto writes values into an image that may hold others already.
func (p *Profile) EncodeInto(im Image, values map[string]telemetry.Value) error {
	e := encoder{p: p, im: im, values: values, exponents: map[Range]int{}}
	return e.all()
}

// all writes every value.
func (e *encoder) all() error {
	e.chooseExponents()
	p, values := e.p, e.values
	var errs []error
	known := 0
	for _, factors := range []bool{true, false} { // factors of others first
		for i := range p.Points {
			pt := &p.Points[i]
			if (len(pt.Times) == 0) != factors {
				continue
			}
			v, ok := values[pt.Name]
			if !ok {
				continue
			}
			known++
			if err := e.point(pt, v); err != nil {
				errs = append(errs, fmt.Errorf("encode %s: %s: %w", p.ID, pt.Name, err))
			}
		}
	}
	if known < len(values) {
		errs = append(errs, p.unknown(values))
	}
	return errors.Join(errs...)
}

// unknown names the values that belong to no point.
func (p *Profile) unknown(values map[string]telemetry.Value) error {
	var errs []error
	for _, name := range sortedKeys(values) {
		if _, ok := p.Point(name); !ok {
			errs = append(errs, fmt.Errorf("encode %s: there is no point %q", p.ID, name))
		}
	}
	return errors.Join(errs...)
}

// encoder writes the values of one device into an image.
type encoder struct {
	p         *Profile
	im        Image
	values    map[string]telemetry.Value
	exponents map[Range]int // content of scale-factor registers, by register
	exact     bool          // big numbers only; tests compare
}

func (p *Point) exponentRange() Range { return Range{p.Table, p.Exponent.Address, 1} }

// chooseExponents picks for each scale-factor register the finest power of
// ten at which all its values fit.
func (e *encoder) chooseExponents() {
	for i := range e.p.Points {
		p := &e.p.Points[i]
		if p.Exponent == nil {
			continue
		}
		v, given := e.values[p.Name]
		if !given {
			continue
		}
		n, seen := e.exponents[p.exponentRange()]
		if start := e.firstExponent(p); !seen || start > n {
			n = start
		}
		x, number := v.Number()
		for ; number && n < maxExponent; n++ {
			if e.fits(p, x, n) {
				break
			}
		}
		e.exponents[p.exponentRange()] = n
	}
}

// fits reports whether x fits the register of p at a scale factor, or no
// scale factor can help.
func (e *encoder) fits(p *Point, x float64, exponent int) bool {
	o := p.formula.parts[0].operand
	if a, ok := e.near(p, x, exponent); ok {
		if fits, sure := o.nearFits(a); sure {
			return fits
		}
	}
	t, err := e.target(p, x, exponent)
	return err != nil || o.fits(t)
}

func (e *encoder) firstExponent(p *Point) int {
	switch {
	case p.Exponent.Negate:
		return -3
	case p.Class() == telemetry.Counter:
		return 0
	default:
		return -2
	}
}

// point writes one value.
func (e *encoder) point(p *Point, v telemetry.Value) error {
	if v.IsZero() {
		return e.absent(p)
	}
	if v.Type() != p.Type() {
		return fmt.Errorf("the value is a %s, the point a %s", v.Type(), p.Type())
	}
	if s, ok := v.AsString(); ok {
		return e.text(p.formula.parts[0].operand, p.own[0], s)
	}
	x, _ := v.Number()
	if b, ok := v.AsBool(); ok && b {
		x = 1
	}
	n := 0
	if p.Exponent != nil {
		n = e.exponents[p.exponentRange()]
		stored := uint64(int64(n * int(p.formula.exponent)))
		e.word(p.formula.exponentOperand(), []Range{p.exponentRange()}, stored)
	}
	if err := e.choose(p); err != nil {
		return err
	}
	u, whole := v.AsUint()
	if (!whole || u < 1<<53) && e.quick(p, x, n) {
		return nil
	}
	t, err := e.target(p, x, n)
	if whole { // a float64 would lose digits above 2^53
		t, err = e.targetRat(p, new(big.Rat).SetInt(new(big.Int).SetUint64(u)), n)
	}
	if err != nil {
		return err
	}
	return e.parts(p, t)
}

// operandRanges returns the registers of each operand of the point's own.
func (p *Point) operandRanges() [][]Range {
	rest := p.words
	var out [][]Range
	ops := p.formula.operands()
	for _, o := range ops[:len(ops)-len(p.formula.factors)] {
		n, size := 0, 0
		for size < o.size {
			w := rest[n]
			if w.Table.IsBits() {
				size += int(w.Count)
			} else {
				size += w.Table.ByteCount(int(w.Count))
			}
			n++
		}
		out, rest = append(out, rest[:n]), rest[n:]
	}
	return out
}

// absent writes "not available".
func (e *encoder) absent(p *Point) error {
	for i, t := range p.formula.parts {
		list := p.NA
		if i < len(p.Parts) {
			list = slices.Concat(p.NA, p.Parts[i].NA)
		}
		k := slices.IndexFunc(list, func(s Sentinel) bool { return s.fits(t.operand) })
		switch {
		case k < 0 && i > 0:
			e.word(t.operand, p.own[i], 0)
		case k < 0:
			return errors.New("no value, and the point has no way to say \"not available\"")
		case list[k].kind == sentinelEmpty:
			e.im.write(p.own[i], make([]byte, t.size))
		case list[k].kind == sentinelNaN && t.typ == F32:
			e.word(t.operand, p.own[i], 0x7FC00000)
		case list[k].kind == sentinelNaN:
			e.word(t.operand, p.own[i], math.Float64bits(math.NaN()))
		case t.bits != nil && list[k].kind == sentinelWord && list[k].word > mask(t.width()):
			full := t.operand
			full.bits = nil
			e.word(full, p.own[i], list[k].word)
		default:
			e.word(t.operand, p.own[i], list[k].word)
		}
	}
	return nil
}

// choose writes the register that selects a scale, unless another point has.
func (e *encoder) choose(p *Point) error {
	if p.Select == nil {
		return nil
	}
	at, c := p.choiceRange(), p.formula.choice
	if _, there := e.im[at[0].Table][at[0].Address]; there {
		if _, err := c.scaleOf(e.im.bytes(at)); err != nil {
			return fmt.Errorf("another point has set the unit register: %w", err)
		}
		return nil
	}
	key := c.natural
	if c.typ.text() {
		return e.text(c.operand, at, key)
	}
	d, err := ParseDecimal(key)
	if err != nil {
		return err
	}
	return e.number(c.operand, at, d.Rat())
}

// choiceRange returns where the register that selects a scale stands.
func (p *Point) choiceRange() []Range {
	i := len(p.formula.parts)
	if p.Exponent != nil {
		i++
	}
	return p.own[i]
}

// chosen returns the scale that is selected, or will be by choose.
func (e *encoder) chosen(p *Point) Decimal {
	c := p.formula.choice
	s, err := c.scaleOf(e.im.bytes(p.choiceRange()))
	if err != nil {
		s = c.scales[c.natural] // not written yet: choose takes this one
	}
	return s
}

// nearestToOne returns the content whose scale is nearest to 1.
func (c *choice) nearestToOne() string {
	best, least := "", math.Inf(1)
	for _, k := range sortedKeys(c.scales) {
		if d := math.Abs(math.Log10(math.Abs(c.scales[k].Float64()))); d < least {
			best, least = k, d
		}
	}
	return best
}

// target returns what the sum of the parts must be for value x.
func (e *encoder) target(p *Point, x float64, exponent int) (*big.Rat, error) {
	d, ok := DecimalFromFloat(x)
	if !ok {
		return nil, errors.New("the value is no number")
	}
	return e.targetRat(p, d.Rat(), exponent)
}

func (e *encoder) targetRat(p *Point, x *big.Rat, exponent int) (*big.Rat, error) {
	f := &p.formula
	unit := new(big.Rat).Mul(f.scale.Num.Rat(), NewDecimal(1, exponent).Rat())
	if !f.scale.Exact() {
		unit.Quo(unit, new(big.Rat).SetInt64(int64(f.scale.Den)))
	}
	if f.choice != nil {
		unit.Mul(unit, e.chosen(p).Rat())
	}
	for i, name := range p.Times {
		q, _ := e.p.Point(name)
		d, err := f.factors[i].number(e.im.bytes(q.words))
		if err != nil || d.Sign() == 0 {
			return nil, fmt.Errorf("its factor %s has no value: encode it as well", name)
		}
		unit.Mul(unit, d.Mul(f.factors[i].weight).Rat())
	}
	return new(big.Rat).Quo(new(big.Rat).Sub(x, f.offset.Rat()), unit), nil
}
