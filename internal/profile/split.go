package profile

// Split halves a block that the device refused, at the border of a value. It
// returns nil when the block holds one value (or one atomic group): then its
// range belongs into Options.Refused.
func (pl *Plan) Split(b Block) []Block {
	var in []unit
	for _, u := range pl.units {
		if b.Contains(u.Range) && !u.alone {
			in = append(in, u)
		}
	}
	if len(in) < 2 {
		return nil
	}
	half := Plan{profile: pl.profile}
	var out []Block
	for _, units := range [][]unit{in[:len(in)/2], in[len(in)/2:]} {
		h := units[0].Range
		for _, u := range units[1:] {
			h = hull(h, u.Range)
		}
		h, _ = half.fit(h, nil)
		out = append(out, h)
	}
	if out[0] == b || out[1] == b { // values that overlap: halving gets nowhere
		return nil
	}
	return out
}

// Refusable returns the range to put into Options.Refused after Split(b)
// returned nil: the values in b without what was only read along.
func (pl *Plan) Refusable(b Block) Range {
	var r Range
	for _, u := range pl.units {
		if b.Contains(u.Range) {
			if r.Count == 0 {
				r = u.Range
			}
			r = hull(r, u.Range)
		}
	}
	if r.Count == 0 {
		return b
	}
	return r
}

// Bisect reads a block and, while the device refuses, its halves. It returns
// what was read and what belongs into Options.Refused from now on: the range
// of a value the device does not have, or an empty range, a cut that no read
// may cross, where the halves answer and the whole does not.
func (pl *Plan) Bisect(b Block, read func(Block) Result, refuses func(error) bool) (results []Result, refused []Range) {
	r := read(b)
	if r.Err == nil || !refuses(r.Err) {
		return []Result{r}, nil
	}
	halves := pl.Split(b)
	if halves == nil {
		return []Result{r}, []Range{pl.Refusable(b)}
	}
	clean := true
	for _, h := range halves {
		rs, bad := pl.Bisect(h, read, refuses)
		results, refused = append(results, rs...), append(refused, bad...)
		for _, x := range rs {
			clean = clean && x.Err == nil
		}
	}
	if clean && len(refused) == 0 {
		refused = append(refused, Cut(halves[1]))
	}
	return results, refused
}

// Cut returns the empty range in front of b. In Options.Refused it is a border
// that no read may cross: for a block that is refused while both its halves
// answer, because of a register in a gap or a border inside the device.
func Cut(b Block) Range { return Range{Table: b.Table, Address: b.Address} }
