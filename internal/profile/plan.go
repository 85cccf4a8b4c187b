package profile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"yunhe/internal/telemetry"
)

// CounterFilter says what a plan does with counters.
type CounterFilter uint8

const (
	WithCounters CounterFilter = iota // counters and everything else
	OnlyCounters                      // the reads of a boundary batch
	NoCounters                        // the rest of a poll that read its counters first
)

// Options choose what a plan reads.
type Options struct {
	Groups   Groups // 0: all groups
	Counters CounterFilter
	Enable   []string // points to read though the profile leaves them out
	Disable  []string // points not to read
	// Refused are ranges the device has refused; a point that touches one is
	// not read, its reading is bad.
	Refused []Range
}

// Block is one read.
type Block = Range

// Plan is the reads that fetch a set of points, those with counters first.
// It is never changed after it was made.
type Plan struct {
	Blocks []Block

	profile *Profile
	entries []entry
	units   []unit
}

// entry is a point of a plan.
type entry struct {
	point   *Point
	unit    Range // registers that must come from one response, the point's among them
	refused bool
}

// Result is what one block read gave.
type Result struct {
	Block Block
	Raw   []byte    // as in Table.ByteCount
	At    time.Time // when the answer (or the failure) arrived
	Err   error
}

// Plan returns the fewest block reads that fetch the chosen points within the
// limits of the link. It fails on names in Enable and Disable that are no
// points of the profile.
func (p *Profile) Plan(o Options) (*Plan, error) {
	if err := p.checkNames(o); err != nil {
		return nil, fmt.Errorf("plan %s: %w", p.ID, err)
	}
	pl := &Plan{profile: p}
	for i := range p.Points {
		if pt := &p.Points[i]; o.wants(pt) {
			pl.entries = append(pl.entries, entry{point: pt, unit: pt.span})
		}
	}
	pl.bindAtomic()
	pl.makeUnits(o.Refused)
	barriers := slices.Clone(o.Refused)
	for i := range p.Points {
		if p.Points[i].Destructive {
			barriers = append(barriers, p.Points[i].span)
		}
	}
	pl.cover(barriers)
	return pl, nil
}

func (p *Profile) checkNames(o Options) error {
	var errs []error
	for _, n := range append(slices.Clone(o.Enable), o.Disable...) {
		if _, ok := p.Point(n); !ok {
			errs = append(errs, fmt.Errorf("there is no point %q: see the profile for its names", n))
		}
	}
	return errors.Join(errs...)
}

// wants reports whether the options choose a point.
func (o Options) wants(p *Point) bool {
	if slices.Contains(o.Disable, p.Name) || !(p.Enabled || slices.Contains(o.Enable, p.Name)) {
		return false
	}
	if o.Groups != 0 && o.Groups&p.Group == 0 {
		return false
	}
	counter := p.Class() == telemetry.Counter
	return o.Counters == WithCounters || counter == (o.Counters == OnlyCounters)
}

// cover fills Blocks. The leftmost range that is not covered yet must be the
// start of some block; taking along every other range that fits is never
// worse, so this is the fewest possible.
func (pl *Plan) cover(barriers []Range) {
	done := make([]bool, len(pl.units))
	var first, rest []Block
	for i := range pl.units {
		if done[i] {
			continue
		}
		b, members := pl.grow(i, done, barriers)
		counter := false
		for _, m := range members {
			done[m], counter = true, counter || pl.units[m].counter
		}
		if counter {
			first = append(first, b)
		} else {
			rest = append(rest, b)
		}
	}
	pl.Blocks = append(first, rest...)
}

// grow returns the block that starts with unit i and the units it covers.
func (pl *Plan) grow(i int, done []bool, barriers []Range) (Block, []int) {
	b, members := pl.units[i].Range, []int{i}
	if !pl.units[i].alone {
		for j := i + 1; j < len(pl.units) && pl.units[j].Table == b.Table; j++ {
			u := pl.units[j]
			if done[j] || u.alone {
				continue
			}
			wide := hull(b, u.Range)
			if int(u.Address) > b.End()+pl.gap(b.Table) {
				break
			}
			if _, ok := pl.fit(wide, barriers); ok {
				b, members = wide, append(members, j)
			}
		}
	}
	b, _ = pl.fit(b, barriers)
	return b, members
}

// gap returns how many addresses may be read in vain between two ranges.
func (pl *Plan) gap(t Table) int {
	if t.IsBits() {
		return 16 * int(pl.profile.Link.GapFill)
	}
	return int(pl.profile.Link.GapFill)
}

// fit makes b a count that the device accepts; ok is false if there is none.
func (pl *Plan) fit(b Block, barriers []Range) (Block, bool) {
	if pl.allowed(b, barriers) && (!pl.odd(b)) {
		return b, true
	}
	if pl.odd(b) {
		longer := Block{b.Table, b.Address, b.Count + 1}
		if pl.allowed(longer, barriers) {
			return longer, true
		}
		if b.Address > 0 {
			earlier := Block{b.Table, b.Address - 1, b.Count + 1}
			if pl.allowed(earlier, barriers) {
				return earlier, true
			}
		}
	}
	return b, false
}

func (pl *Plan) odd(b Block) bool {
	return pl.profile.Link.Even && b.Count%2 == 1 && (b.Table == Holding || b.Table == Input)
}

// allowed reports whether a block keeps limits and areas and leaves out what
// must not be read.
func (pl *Plan) allowed(b Block, barriers []Range) bool {
	if int(b.Count) > pl.profile.Link.limit(b.Table) || b.End() > 65536 {
		return false
	}
	if a, listed := pl.profile.area(b); listed && a < 0 {
		return false
	}
	return !slices.ContainsFunc(barriers, b.Overlaps)
}

// Points returns the points the plan reads, in the order of the profile.
func (pl *Plan) Points() []*Point {
	out := make([]*Point, len(pl.entries))
	for i, e := range pl.entries {
		out[i] = e.point
	}
	return out
}
