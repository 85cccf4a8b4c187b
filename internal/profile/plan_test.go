package profile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"yunhe/internal/telemetry"
)

// madeUp returns a profile with one u16, u32 or text point a range.
func madeUp(t testing.TB, link Link, areas []Area, ranges ...Range) *Profile {
	t.Helper()
	link.Protocol = Modbus
	p := &Profile{ID: "made-up", Version: 1, Kind: "electricity_meter", Vendor: "v", Model: "m", Confidence: Low,
		Sources: []string{"made up"}, Link: link, Areas: areas}
	for i, r := range ranges {
		p.Points = append(p.Points, Point{
			Name: fmt.Sprintf("p%d", i), Quantity: "text", Group: Fast, Enabled: true, CounterBits: unsetBits,
			Scale:  Scale{Num: NewDecimal(1, 0)},
			Source: Source{Table: r.Table, Address: r.Address, Type: Text, Length: r.Count},
		})
	}
	if bad := p.resolve(); len(bad) > 0 {
		t.Fatal(bad)
	}
	return p
}

func TestPlanOfTypicalMeter(t *testing.T) {
	// 20 values of an SDM630 spread as they are: 72 energies apart, 342 far off.
	var ranges []Range
	for _, a := range []uint16{0, 2, 4, 6, 8, 10, 12, 14, 16, 52, 56, 60, 62, 70, 72, 74, 76, 78, 342, 344} {
		ranges = append(ranges, Range{Input, a, 2})
	}
	p := madeUp(t, Link{MaxRegisters: 60, Even: true, GapFill: 20}, nil, ranges...)
	pl, err := p.Plan(Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{{Input, 0, 18}, {Input, 52, 28}, {Input, 342, 4}}
	if !slices.Equal(pl.Blocks, want) {
		t.Errorf("%v, want %v", pl.Blocks, want)
	}
}

// TestPlanIsFewest compares the planner with every way to group the points.
func TestPlanIsFewest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 3000 {
		link := Link{MaxRegisters: uint16(6 + rnd.IntN(20)), GapFill: uint16(rnd.IntN(6))}
		var ranges []Range
		for range 1 + rnd.IntN(7) {
			ranges = append(ranges, Range{Holding, uint16(rnd.IntN(50)), uint16(1 + rnd.IntN(6))})
		}
		var refused []Range
		if rnd.IntN(3) == 0 {
			refused = append(refused, Range{Holding, uint16(rnd.IntN(50)), 1})
		}
		p := madeUp(t, link, nil, ranges...)
		pl, err := p.Plan(Options{Refused: refused})
		if err != nil {
			t.Fatal(err)
		}
		var units []Range
		for _, u := range pl.units {
			units = append(units, u.Range)
		}
		best := fewest(units, func(b Block, members []Range) bool {
			return pl.allowed(b, refused) && gapsFit(b, members, int(link.GapFill))
		})
		if len(pl.Blocks) != best {
			t.Fatalf("round %d: %d blocks %v for %v (refused %v, %+v), %d are enough", round, len(pl.Blocks), pl.Blocks, units, refused, link, best)
		}
		checkCover(t, pl, units, refused)
	}
}

func checkCover(t *testing.T, pl *Plan, units, refused []Range) {
	t.Helper()
	for _, u := range units {
		if !slices.ContainsFunc(pl.Blocks, func(b Block) bool { return b.Contains(u) }) {
			t.Fatalf("no block of %v holds %v", pl.Blocks, u)
		}
	}
	for _, b := range pl.Blocks {
		if !pl.allowed(b, refused) {
			t.Fatalf("block %v breaks a limit (refused %v)", b, refused)
		}
	}
}

// fewest tries every partition of the ranges into blocks.
func fewest(units []Range, ok func(Block, []Range) bool) int {
	best := len(units)
	var groups [][]Range
	var try func(i int)
	try = func(i int) {
		if len(groups) >= best+1 {
			return
		}
		if i == len(units) {
			for _, g := range groups {
				h := g[0]
				for _, r := range g {
					h = hull(h, r)
				}
				if !ok(h, g) {
					return
				}
			}
			best = min(best, len(groups))
			return
		}
		for k := range groups {
			groups[k] = append(groups[k], units[i])
			try(i + 1)
			groups[k] = groups[k][:len(groups[k])-1]
		}
		groups = append(groups, []Range{units[i]})
		try(i + 1)
		groups = groups[:len(groups)-1]
	}
	try(0)
	return best
}

// gapsFit reports whether no run of registers that nobody wants is too long.
func gapsFit(b Block, members []Range, limit int) bool {
	gap := 0
	for a := int(b.Address); a < b.End(); a++ {
		at := Range{b.Table, uint16(a), 1}
		if slices.ContainsFunc(members, at.Overlaps) {
			gap = 0
		} else if gap++; gap > limit {
			return false
		}
	}
	return true
}

func TestPlanKeepsAreas(t *testing.T) {
	areas := []Area{{Holding, 0, 22, false}, {Holding, 23, 40, true}, {Holding, 41, 60, false}}
	p := madeUp(t, Link{MaxRegisters: 100, GapFill: 100}, areas,
		Range{Holding, 20, 2}, Range{Holding, 22, 1}, Range{Holding, 23, 1}, Range{Holding, 24, 1}, Range{Holding, 41, 1}, Range{Holding, 60, 1})
	pl, _ := p.Plan(Options{})
	want := []Block{{Holding, 20, 3}, {Holding, 23, 1}, {Holding, 24, 1}, {Holding, 41, 20}}
	if !slices.Equal(pl.Blocks, want) {
		t.Errorf("%v, want %v", pl.Blocks, want)
	}
}

func TestPlanNeverReadsWhatReadingDestroys(t *testing.T) {
	p := madeUp(t, Link{MaxRegisters: 100, GapFill: 100}, nil, Range{Holding, 0, 1}, Range{Holding, 3, 1}, Range{Holding, 1, 1})
	p.Points[2].Destructive, p.Points[2].Enabled = true, false
	pl, _ := p.Plan(Options{})
	if want := []Block{{Holding, 0, 1}, {Holding, 3, 1}}; !slices.Equal(pl.Blocks, want) {
		t.Errorf("%v, want %v", pl.Blocks, want)
	}
	pl, _ = p.Plan(Options{Enable: []string{"p2"}})
	if want := []Block{{Holding, 0, 1}, {Holding, 1, 1}, {Holding, 3, 1}}; !slices.Equal(pl.Blocks, want) {
		t.Errorf("switched on: %v, want %v", pl.Blocks, want)
	}
}

func TestPlanMakesCountsEven(t *testing.T) {
	areas := []Area{{Holding, 0, 4, false}, {Holding, 10, 13, false}}
	p := madeUp(t, Link{MaxRegisters: 60, Even: true}, areas, Range{Holding, 0, 1}, Range{Holding, 4, 1}, Range{Holding, 13, 1})
	pl, _ := p.Plan(Options{})
	if want := []Block{{Holding, 0, 2}, {Holding, 3, 2}, {Holding, 12, 2}}; !slices.Equal(pl.Blocks, want) {
		t.Errorf("%v, want %v", pl.Blocks, want)
	}
}

func TestPlanOfAtomicGroupAndCounters(t *testing.T) {
	p := madeUp(t, Link{MaxRegisters: 10}, nil, Range{Holding, 0, 2}, Range{Holding, 4, 2}, Range{Holding, 20, 2}, Range{Holding, 3, 1})
	p.Atomic = [][]string{{"p0", "p1"}}
	for _, i := range []int{2} {
		p.Points[i].info.Class = telemetry.Counter
	}
	pl, _ := p.Plan(Options{})
	want := []Block{{Holding, 20, 2}, {Holding, 0, 6}} // counters first; the group is one read though gaps are not filled
	if !slices.Equal(pl.Blocks, want) {
		t.Errorf("%v, want %v", pl.Blocks, want)
	}
	only, _ := p.Plan(Options{Counters: OnlyCounters})
	rest, _ := p.Plan(Options{Counters: NoCounters})
	if len(only.Blocks) != 1 || only.Blocks[0] != want[0] || len(rest.Blocks) != 1 || rest.Blocks[0] != want[1] {
		t.Errorf("only counters %v, the rest %v", only.Blocks, rest.Blocks)
	}
}

func TestPlanRefusesUnknownNames(t *testing.T) {
	p := madeUp(t, Link{MaxRegisters: 10}, nil, Range{Holding, 0, 2})
	if _, err := p.Plan(Options{Enable: []string{"typo"}, Disable: []string{"other"}}); err == nil {
		t.Error("a name that is no point went through")
	}
}

var errRefused = errors.New("exception 2")

// refusing is a device that refuses every read which touches bad, or which
// crosses the border at cut.
func refusing(bad map[uint16]bool, cut uint16) (func(Block) Result, *int) {
	reads := 0
	return func(b Block) Result {
		reads++
		for a := int(b.Address); a < b.End(); a++ {
			if bad[uint16(a)] || (cut > 0 && a == int(cut) && b.Address < cut) {
				return Result{Block: b, Err: errRefused}
			}
		}
		return Result{Block: b, Raw: make([]byte, 2*int(b.Count))}
	}, &reads
}

func TestBisectFindsTheOneBadValue(t *testing.T) {
	var ranges []Range
	for a := uint16(0); a < 32; a += 2 {
		ranges = append(ranges, Range{Holding, a, 2})
	}
	p := madeUp(t, Link{MaxRegisters: 60, Even: true}, nil, ranges...)
	pl, _ := p.Plan(Options{})
	read, reads := refusing(map[uint16]bool{13: true}, 0)
	results, refused := pl.Bisect(pl.Blocks[0], read, func(err error) bool { return errors.Is(err, errRefused) })
	if want := []Range{{Holding, 12, 2}}; !slices.Equal(refused, want) || *reads != 9 {
		t.Errorf("refused %v after %d reads, want %v after 9", refused, *reads, want)
	}
	bad := 0
	for _, r := range pl.Decode(wholeMillis(testTime), results) {
		if r.Quality == telemetry.Bad {
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("%d bad readings, want the refused one only", bad)
	}
	next, _ := p.Plan(Options{Refused: refused})
	for _, b := range next.Blocks {
		if r := read(b); r.Err != nil {
			t.Errorf("the next plan still reads %v", b)
		}
	}
	rs := next.Decode(testTime, nil)
	if len(rs) != 16 || rs[6].Quality != telemetry.Bad || rs[6].Check() != nil {
		t.Errorf("the refused point has no bad reading: %+v", rs)
	}
}

func TestBisectRemembersABorderThatNoReadMayCross(t *testing.T) {
	for name, c := range map[string]struct {
		bad map[uint16]bool
		cut uint16
	}{
		"a register in a gap": {bad: map[uint16]bool{4: true}},
		"a border":            {cut: 6},
	} {
		p := madeUp(t, Link{MaxRegisters: 60, GapFill: 10}, nil, Range{Holding, 0, 2}, Range{Holding, 2, 2}, Range{Holding, 6, 2}, Range{Holding, 8, 2})
		read, _ := refusing(c.bad, c.cut)
		var refused []Range
		for range 3 { // one cut is learnt at a time
			pl, _ := p.Plan(Options{Refused: refused})
			for _, b := range pl.Blocks {
				rs, more := pl.Bisect(b, read, func(err error) bool { return errors.Is(err, errRefused) })
				refused = append(refused, more...)
				for _, r := range pl.Decode(testTime, rs) {
					if pt, _ := p.Point(r.Point); b.Contains(pt.span) && r.Quality != telemetry.Good {
						t.Errorf("%s: every value can be read, %+v", name, r)
					}
				}
			}
		}
		pl, _ := p.Plan(Options{Refused: refused})
		if want := []Block{{Holding, 0, 4}, {Holding, 6, 4}}; !slices.Equal(pl.Blocks, want) {
			t.Errorf("%s: learnt %v, blocks %v, want %v", name, refused, pl.Blocks, want)
		}
	}
}

func TestPlanOfGroups(t *testing.T) {
	p := madeUp(t, Link{MaxRegisters: 10}, nil, Range{Holding, 0, 1}, Range{Holding, 20, 1})
	p.Points[1].Group = Slow
	for groups, want := range map[Groups]int{Fast: 0, Slow: 20} {
		pl, _ := p.Plan(Options{Groups: groups})
		if len(pl.Blocks) != 1 || int(pl.Blocks[0].Address) != want {
			t.Errorf("group %d reads %v", groups, pl.Blocks)
		}
	}
}

func TestRefusedCompanionCostsOnlyItself(t *testing.T) {
	p := madeUp(t, Link{MaxRegisters: 10}, nil, Range{Holding, 0, 2}, Range{Holding, 4, 2})
	p.Atomic = [][]string{{"p0", "p1"}}
	pl, _ := p.Plan(Options{Refused: []Range{{Holding, 5, 1}}})
	if want := []Block{{Holding, 0, 2}}; !slices.Equal(pl.Blocks, want) {
		t.Errorf("%v, want %v: the other value of the group can still be read", pl.Blocks, want)
	}
}
