package profile

import (
	"fmt"
	"slices"
	"strings"

	"yunhe/internal/telemetry"
)

// head checks what stands at the top of a profile.
func (r *resolver) head() {
	p := r.p
	if err := telemetry.CheckID(p.ID); err != nil {
		r.bad("profile", "%v", err)
	}
	if p.Version < 1 {
		r.bad("version", "the version is missing: start with 1 and count up with every change")
	}
	if !slices.Contains(kinds, p.Kind) {
		r.bad("kind", "unknown kind %q: use one of %s", clip(p.Kind), strings.Join(kinds, ", "))
	}
	if p.Vendor == "" {
		r.bad("vendor", "the vendor is missing: a definition names it")
	}
	if p.Model == "" {
		r.bad("model", "the model is missing: a definition names it")
	}
	if p.Confidence == "" {
		r.bad("confidence", "the confidence is missing: say high, medium or low")
	}
	if len(p.Sources) == 0 {
		r.bad("sources", "the sources are missing: say where the map comes from")
	}
	if n := len(p.Points); n == 0 || n > 2000 {
		r.bad("points", "there are %d points: a profile has 1 to 2000", n)
	}
}

// link checks the limits of the bus.
func (r *resolver) link() {
	l := &r.p.Link
	switch {
	case l.Protocol == "":
		r.bad("link.protocol", "the protocol is missing: say modbus or i2c")
	case l.Protocol == I2C && (l.Serial != nil || l.UnitID != 0):
		r.bad("link.protocol", "serial and unit_id belong to modbus, this is i2c")
	case l.Protocol == I2C && l.I2CAddress == 0:
		r.bad("link.i2c_address", "the I2C address is missing")
	case l.Protocol == Modbus && l.I2CAddress != 0:
		r.bad("link.i2c_address", "an I2C address does not go with modbus")
	}
	top := uint16(125) // Modbus application protocol 6.3
	if l.Protocol == I2C {
		top = 256
	}
	if l.MaxRegisters < 1 || l.MaxRegisters > top {
		r.bad("link.max_registers", "say how many registers one read may have, 1 to %d; 125 where no limit is known", top)
	}
	if l.Even && l.MaxRegisters < 2 {
		r.bad("link.even", "even counts need max_registers of 2 or more")
	}
}

// areas checks that areas are ranges and do not overlap.
func (r *resolver) areas() {
	for i, a := range r.p.Areas {
		key := fmt.Sprintf("areas[%d]", i)
		if a.To < a.From {
			r.bad(key+".to", "the area ends at %d before it starts at %d", a.To, a.From)
			continue
		}
		if a.Table < Coil || a.Table > Bytes {
			r.bad(key+".table", "the table is missing")
		}
		for _, b := range r.p.Areas[:i] {
			if a.Table == b.Table && a.From <= b.To && b.From <= a.To {
				r.bad(key, "the area overlaps the one from %d to %d", b.From, b.To)
			}
		}
	}
}

// relations checks a point against the rest of the profile.
func (r *resolver) relations(p *Point) {
	for i, w := range p.words {
		if w.Table != p.span.Table {
			r.say("", "its registers stand in two tables: one response cannot hold word %d", i)
		}
	}
	r.reach(r.key, p.span)
	for i := range r.p.Points {
		q := &r.p.Points[i]
		if q.Destructive && q != p && q.span.Overlaps(p.span) {
			r.say("", "its registers overlap %s, which must not be read along", q.Name)
		}
	}
	for i, name := range p.Times {
		r.factor(p, fmt.Sprintf("times[%d]", i), name)
	}
	if p.Restart != "" {
		q, ok := r.p.Point(p.Restart)
		if !ok || q == p || q.Class() != telemetry.Counter {
			r.say("restart", "%q is no other counter of this profile", p.Restart)
		}
	}
}

// factor checks a point named in times and adds it to the formula.
func (r *resolver) factor(p *Point, key, name string) {
	q, ok := r.p.Point(name)
	switch {
	case !ok || q == p:
		r.say(key, "%q is no other point of this profile", clip(name))
	case q.Quantity == "ct_ratio" || q.Quantity == "vt_ratio":
		r.say(key, "a transformer ratio is never applied here: the meter's own register is signed, and the catalog's ratio of that day is applied once")
	case len(q.formula.parts) != 1 || q.formula.exponent != 0 || q.formula.choice != nil || len(q.Times) > 0 ||
		!q.formula.parts[0].typ.integer() && !q.formula.parts[0].typ.float() || !q.Scale.Exact() || q.Offset.Sign() != 0:
		r.say(key, "%s is no plain number register: it cannot be a factor", name)
	case q.formula.parts[0].order != p.formula.parts[0].order || q.Destructive:
		r.say(key, "%s has another word order or must not be read: it cannot be a factor", name)
	default:
		p.formula.factors = append(p.formula.factors, term{q.formula.parts[0].operand, q.Scale.Num})
	}
}

// reach checks that one response can hold a range.
func (r *resolver) reach(key string, s Range) {
	l := r.p.Link.limit(s.Table)
	if int(s.Count) > l {
		r.bad(key, "%s must come from one response, which holds at most %d", s, l)
		return
	}
	a, listed := r.p.area(s)
	if listed && a < 0 {
		r.bad(key, "%s is not inside one area: correct the address or the areas", s)
	}
}

// limit returns how many addresses of a table one read may have.
func (l Link) limit(t Table) int {
	switch {
	case t.IsBits():
		return int(l.MaxBits)
	case l.Even:
		return int(l.MaxRegisters) &^ 1
	default:
		return int(l.MaxRegisters)
	}
}

// area returns the index of the area that holds s, -1 for none; listed says
// whether the table has areas at all.
func (p *Profile) area(s Range) (index int, listed bool) {
	for i, a := range p.Areas {
		if a.Table != s.Table {
			continue
		}
		listed = true
		if s.Address >= a.From && s.End()-1 <= int(a.To) {
			return i, true
		}
	}
	return -1, listed
}

// atomic checks the groups that must come from one response.
func (r *resolver) atomic() {
	for i, names := range r.p.Atomic {
		key := fmt.Sprintf("atomic[%d]", i)
		if len(names) < 2 {
			r.bad(key, "a group has two points or more")
			continue
		}
		var span Range
		for _, n := range names {
			q, ok := r.p.Point(n)
			switch {
			case !ok:
				r.bad(key, "%q is no point of this profile", clip(n))
				continue
			case q.Destructive:
				r.bad(key, "%s is read alone: it cannot be in a group", n)
			case span.Count == 0:
				span = q.span
			case span.Table != q.span.Table:
				r.bad(key, "%s stands in another table", n)
			default:
				span = hull(span, q.span)
			}
		}
		if span.Count > 0 {
			r.reach(key, span)
		}
	}
}

// steps checks match steps and identity fields.
func (r *resolver) steps() {
	for i, s := range r.p.Match {
		key := fmt.Sprintf("match[%d]", i)
		o, _, f := s.Source.operand(r.p.Link.Protocol)
		switch {
		case f != nil:
			r.bad(join(key, f.key), "%s", f.text)
		case (len(s.Equals) > 0) == (len(s.Between) > 0):
			r.bad(key, "say either equals or between")
		case len(s.Between) > 0 && (len(s.Between) != 2 || o.typ.text() || s.Between[1].Rat().Cmp(s.Between[0].Rat()) < 0):
			r.bad(key+".between", "between has a lower and an upper bound, for a number")
		case s.Mask != 0 && !o.typ.integer():
			r.bad(key+".mask", "a mask goes with integers only")
		}
		for _, e := range s.Equals {
			if _, err := ParseSentinel(e); err != nil && !o.typ.text() {
				r.bad(key+".equals", "%q is no whole number", clip(e))
			}
		}
	}
	for _, f := range r.p.Identity {
		key := join("identity", string(f.Name))
		o, _, bad := f.Source.operand(r.p.Link.Protocol)
		if bad != nil {
			r.bad(join(key, bad.key), "%s", bad.text)
		} else if o.typ.float() {
			r.bad(key+".type", "an identity is a text or a whole number")
		}
	}
}
