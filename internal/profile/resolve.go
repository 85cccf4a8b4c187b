package profile

import (
	"fmt"
	"math/big"

	"yunhe/internal/telemetry"
)

// unsetBits marks a counter width that the profile does not state; it never
// leaves resolve.
const unsetBits = 0xFF

// finding is a fault of the model, by key.
type finding struct{ key, text string }

// resolver checks a model and works out what planning and decoding need.
type resolver struct {
	p     *Profile
	found []finding
	key   string // of the point at hand
}

func (r *resolver) bad(key, format string, args ...any) {
	r.found = append(r.found, finding{key, fmt.Sprintf(format, args...)})
}

// say notes a fault of one key of the point at hand.
func (r *resolver) say(key, format string, args ...any) { r.bad(join(r.key, key), format, args...) }

// resolve returns everything wrong with the model. Without findings the
// profile is ready for use.
func (p *Profile) resolve() []finding {
	r := &resolver{p: p}
	r.head()
	r.link()
	r.areas()
	names := map[string]bool{}
	for i := range p.Points {
		pt := &p.Points[i]
		r.key = fmt.Sprintf("points[%d]", i)
		if err := telemetry.CheckPoint(pt.Name); err != nil {
			r.say("name", "%v", err)
		} else if names[pt.Name] {
			r.say("name", "there are two points called %s: rename one", pt.Name)
		}
		names[pt.Name] = true
		r.point(pt)
	}
	if len(r.found) > 0 {
		return r.found // what follows would only repeat it
	}
	for i := range p.Points {
		r.key = fmt.Sprintf("points[%d]", i)
		r.relations(&p.Points[i])
	}
	r.atomic()
	r.steps()
	return r.found
}

// point checks one point by itself and builds its formula.
func (r *resolver) point(p *Point) {
	info, ok := telemetry.LookupQuantity(p.Quantity)
	if !ok {
		r.say("quantity", "unknown quantity %q: take one of the vocabulary in docs/formats/profile.md", clip(string(p.Quantity)))
		return
	}
	p.info = info
	f := Formula{scale: p.Scale, offset: p.Offset}
	p.words = nil
	if !r.parts(p, &f) {
		return
	}
	if e := p.Exponent; e != nil {
		f.exponent = 1
		if e.Negate {
			f.exponent = -1
		}
		r.words(p, Range{p.Table, e.Address, 1})
		if p.Table == Bytes || p.Table.IsBits() {
			r.say("scale_factor", "a scale factor is a 16-bit register: the point is in table %s", p.Table)
		}
	}
	if p.Select != nil {
		r.choice(p, &f)
	}
	p.formula = f
	p.own, p.spread = p.operandRanges(), spread(f.parts)
	p.span = p.words[0]
	for _, w := range p.words[1:] {
		p.span = hull(p.span, w)
	}
	r.numbers(p)
	r.kind(p)
	r.sentinels(p)
}

// parts adds the operands of the value itself.
func (r *resolver) parts(p *Point, f *Formula) bool {
	if len(p.Parts) == 0 {
		o, ok := r.operand(p, p.Source, r.key)
		f.parts = append(f.parts, term{o, NewDecimal(1, 0)})
		return ok
	}
	if len(p.Parts) < 2 || len(p.Parts) > 8 {
		r.say("parts", "a sum has 2 to 8 parts: use address for a single register")
	}
	if p.Bits != nil || p.Words != nil || p.Length != 0 {
		r.say("parts", "words, length and bits cannot stand beside parts: put them into the parts")
	}
	all := true
	for i, part := range p.Parts {
		key := fmt.Sprintf("%s.parts[%d]", r.key, i)
		o, ok := r.operand(p, part.Source, key)
		if ok && (o.typ.text() || o.typ == Binary) {
			r.bad(key+".type", "only numbers can be added up")
		}
		if part.Scale.Sign() == 0 {
			r.bad(key+".scale", "a part with scale 0 counts for nothing: remove it")
		}
		all = all && ok
		f.parts = append(f.parts, term{o, part.Scale})
	}
	return all
}

// operand checks a source and adds its registers to the point's.
func (r *resolver) operand(p *Point, s Source, key string) (operand, bool) {
	o, ranges, text := s.operand(r.p.Link.Protocol)
	if text != nil {
		r.bad(join(key, text.key), "%s", text.text)
		return o, false
	}
	p.words = append(p.words, ranges...)
	return o, true
}

func (r *resolver) words(p *Point, w Range) { p.words = append(p.words, w) }

// choice adds the register that selects a scale.
func (r *resolver) choice(p *Point, f *Formula) {
	o, ok := r.operand(p, p.Select.Source, r.key+".select")
	if !ok {
		return
	}
	if len(p.Select.Scales) == 0 || len(p.Select.Scales) > 64 {
		r.say("select.scales", "give 1 to 64 scales by the content of the register")
	}
	f.choice = &choice{operand: o, scales: p.Select.Scales}
	f.choice.natural = f.choice.nearestToOne()
	for k, d := range p.Select.Scales {
		if !selectKey.MatchString(k) || d.Sign() == 0 {
			r.say("select.scales", "%q: %s is no choice of a scale: use a whole number or a word, and a scale other than 0", clip(k), d)
		}
	}
}

// numbers checks scale, offset and exponent against type and class.
func (r *resolver) numbers(p *Point) {
	f := &p.formula
	plain := f.scale.Exact() && f.scale.Num.IsOne() && p.Offset.Sign() == 0 && f.exponent == 0 && f.choice == nil && len(p.Times) == 0
	value := f.parts[0].typ
	if (value.text() || value == Binary) && !plain {
		r.say("scale", "a %s has no scale, offset or factors: remove them", value)
	}
	if p.Class() != telemetry.Counter {
		if p.CounterBits != unsetBits || p.Reset != NoReset {
			r.say("counter_bits", "%s is no counter: remove counter_bits and reset", p.Quantity)
		}
		p.CounterBits = 0
		return
	}
	if !f.scale.Exact() {
		r.say("scale", "a counter needs an exact decimal scale, not a fraction: what an accountant sums is exact")
	}
	if p.Offset.Sign() != 0 {
		r.say("offset", "a counter has no offset: its raw register is what is signed")
	}
	if f.scale.Num.Sign() < 0 {
		r.say("scale", "a counter has a positive scale")
	}
	r.counterBits(p)
}

// counterBits works out the width at which a counter wraps.
func (r *resolver) counterBits(p *Point) {
	o := p.formula.parts[0].operand
	switch {
	case p.CounterBits != unsetBits && o.typ.float() && p.CounterBits != 0:
		r.say("counter_bits", "a float register wraps nowhere: remove counter_bits")
	case p.CounterBits != unsetBits:
	case len(p.formula.parts) == 1 && o.typ.integer() && !o.typ.bcd():
		p.CounterBits = uint8(o.width())
	default:
		p.CounterBits = 0
	}
}

// kind checks that the register can hold values of the quantity's type.
func (r *resolver) kind(p *Point) {
	f, o := &p.formula, p.formula.parts[0].operand
	switch p.Type() {
	case telemetry.TypeString:
		if !o.typ.text() {
			r.say("type", "%s is a text: the register type is string or hex", p.Quantity)
		}
	case telemetry.TypeBool:
		if o.typ != Binary && (o.bits == nil || o.bits.Count != 1) {
			r.say("type", "%s is true or false: take a coil, a discrete input or one bit of a register", p.Quantity)
		}
	case telemetry.TypeUint:
		r.unsigned(p)
	default:
		if o.typ.text() || o.typ == Binary {
			r.say("type", "%s is a number: a %s cannot hold it", p.Quantity, o.typ)
		}
	}
	if len(p.Enum) > 0 && p.Type() != telemetry.TypeUint {
		r.say("enum", "only a state has names for its numbers: %s is a %s", p.Quantity, p.Type())
	}
	if p.Destructive && p.Enabled {
		r.say("enabled", "reading this point changes the device: it stays off in a profile and is switched on for one device at a time")
	}
	if p.Group != Fast && p.Group != Slow {
		r.say("group", "the group is fast or slow")
	}
	if f.exponent < 0 && p.Exponent == nil {
		r.say("decimals", "the register is missing")
	}
}

// unsigned checks that a whole-number quantity cannot meet a fraction or a sign.
func (r *resolver) unsigned(p *Point) {
	f := &p.formula
	whole := f.scale.Exact() && f.scale.Num.Rat().IsInt() && p.Offset.Rat().IsInt() && f.exponent == 0 && f.choice == nil
	for _, t := range f.parts {
		whole = whole && t.typ.integer() && !t.typ.signed() && t.weight.Rat().Cmp(new(big.Rat)) > 0 && t.weight.Rat().IsInt()
	}
	if !whole {
		r.say("type", "%s is a whole number from 0 up: use an unsigned integer register and a whole scale", p.Quantity)
	}
}

// sentinels checks that each "not available" value can occur.
func (r *resolver) sentinels(p *Point) {
	for i, s := range p.NA {
		fits := false
		for _, o := range p.formula.parts {
			fits = fits || s.fits(o.operand)
		}
		if !fits {
			r.say(fmt.Sprintf("na[%d]", i), "%s cannot occur in a %s", s, p.formula.parts[0].typ)
		}
	}
	for i, part := range p.Parts {
		for j, s := range part.NA {
			if !s.fits(p.formula.parts[i].operand) {
				r.say(fmt.Sprintf("parts[%d].na[%d]", i, j), "%s cannot occur in a %s", s, p.formula.parts[i].typ)
			}
		}
	}
}
