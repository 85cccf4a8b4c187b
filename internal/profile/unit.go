package profile

import (
	"cmp"
	"slices"

	"yunhe/internal/telemetry"
)

// unit is a range that must come from one response.
type unit struct {
	Range
	counter bool // fetched first
	alone   bool // shares its read with nothing
}

// bindAtomic widens the units of points that belong together.
func (pl *Plan) bindAtomic() {
	for again := true; again; { // groups may share points: repeat until nothing grows
		again = false
		for _, names := range pl.profile.Atomic {
			var all Range
			for _, e := range pl.entries {
				if !slices.Contains(names, e.point.Name) {
					continue
				}
				if all.Count == 0 {
					all = e.unit
				}
				all = hull(all, e.unit)
			}
			for i := range pl.entries {
				e := &pl.entries[i]
				if slices.Contains(names, e.point.Name) && e.unit != all {
					e.unit, again = all, true
				}
			}
		}
	}
}

// makeUnits collects what must be read, without what the device refuses.
func (pl *Plan) makeUnits(refused []Range) {
	bad := func(r Range) bool {
		return slices.ContainsFunc(refused, func(x Range) bool { return x.Overlaps(r) })
	}
	for i := range pl.entries {
		e := &pl.entries[i]
		if bad(e.unit) && !bad(e.point.span) {
			e.unit = e.point.span // a refused companion costs only its own reading
		}
		need := []unit{{e.unit, e.point.Class() == telemetry.Counter, pl.alone(e.point)}}
		for _, name := range e.point.Times {
			q, _ := pl.profile.Point(name) // resolve has checked the name
			need = append(need, unit{q.span, need[0].counter, pl.alone(q)})
		}
		for _, u := range need {
			e.refused = e.refused || bad(u.Range)
		}
		if !e.refused {
			pl.units = append(pl.units, need...)
		}
	}
	pl.units = mergeUnits(pl.units)
}

// mergeUnits sorts units and joins equal ones.
func mergeUnits(units []unit) []unit {
	slices.SortFunc(units, func(a, b unit) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Count, b.Count))
	})
	var out []unit
	for _, u := range units {
		if n := len(out); n > 0 && out[n-1].Range == u.Range {
			out[n-1].counter = out[n-1].counter || u.counter
			out[n-1].alone = out[n-1].alone || u.alone
			continue
		}
		out = append(out, u)
	}
	return out
}

// alone reports whether a point shares its read with no other.
func (pl *Plan) alone(p *Point) bool {
	a, _ := pl.profile.area(p.span)
	return p.Destructive || (a >= 0 && pl.profile.Areas[a].Single)
}
