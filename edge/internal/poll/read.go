package poll

import (
	"context"
	"fmt"
	"slices"

	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

const (
	// maxExtra bounds the reads that a poll spends on finding bad registers;
	// the next poll goes on.
	maxExtra = 32
	// enough unanswered reads in a row end a poll: the device is not there.
	enough = 2
)

// plan returns the plan for key, made anew after the refused ranges changed.
func (d *Device) plan(key planKey) (*profile.Plan, error) {
	if pl, ok := d.plans[key]; ok {
		return pl, nil
	}
	o := Selection(d.profile, d.cfg.Points)
	o.Groups, o.Counters, o.Refused = key.groups, key.counters, d.refused
	pl, err := d.profile.Plan(o)
	if err != nil {
		return nil, err
	}
	d.plans[key] = pl
	return pl, nil
}

// read fetches one plan and decodes it.
func (d *Device) read(ctx context.Context, key planKey) ([]telemetry.Reading, error) {
	pl, err := d.plan(key)
	if err != nil {
		return nil, err
	}
	var rs []telemetry.Reading
	if d.stranger {
		rs = pl.Decode(d.cfg.Clock.Now(), nil)
		d.note(rs, OtherModel)
		return rs, nil
	}
	results, answered := d.fetch(ctx, pl)
	if ctx.Err() != nil {
		return nil, ctx.Err() // stopping is no fault of the device
	}
	rs = pl.Decode(d.cfg.Clock.Now(), results)
	state := Dead
	switch {
	case answered && slices.ContainsFunc(rs, isBad):
		state = PartlyBad
	case answered || len(pl.Blocks) == 0:
		state = Good
	}
	d.note(rs, state)
	return rs, nil
}

func isBad(r telemetry.Reading) bool { return r.Quality == telemetry.Bad }

// fetch reads the blocks of a plan. A refused block is halved until one point
// is left; that point's registers are left alone from then on, provided that
// the device answered anything at all, because one that refuses everything is
// ill as a whole. answered reports whether it did.
func (d *Device) fetch(ctx context.Context, pl *profile.Plan) (results []profile.Result, answered bool) {
	queue := slices.Clone(pl.Blocks)
	var refused []profile.Range
	extra, silent := maxExtra, 0
	for len(queue) > 0 && silent < enough && ctx.Err() == nil {
		b := queue[0]
		queue = queue[1:]
		raw, at, err := d.cfg.Reader.Read(ctx, b.Table, b.Address, b.Count)
		if err != nil {
			at = d.cfg.Clock.Now()
		}
		switch {
		case err == nil:
			answered, silent = true, 0
		case refusal(err):
			silent = 0
			if parts := pl.Split(b); len(parts) > 0 && extra > 0 {
				extra -= len(parts)
				queue = append(parts, queue...)
				continue
			} else if len(parts) == 0 {
				refused = append(refused, pointRanges(pl, b)...)
			}
			d.fail(fmt.Errorf("%s: %w", b, err))
		default:
			silent++
			d.fail(err)
		}
		results = append(results, profile.Result{Block: b, Raw: raw, At: at, Err: err})
	}
	if answered && len(refused) > 0 {
		d.refuse(append(slices.Clone(d.refused), refused...))
	}
	return results, answered
}

// pointRanges returns the registers of the points in a block that cannot be
// halved: the block itself may be padded with registers of other points.
func pointRanges(pl *profile.Plan, b profile.Block) []profile.Range {
	var out []profile.Range
	for _, p := range pl.Points() {
		if b.Contains(p.Range()) {
			out = append(out, p.Range())
		}
	}
	return out
}

// refuse replaces the ranges that are left alone.
func (d *Device) refuse(ranges []profile.Range) {
	d.refused = ranges
	clear(d.plans)
	d.mu.Lock()
	d.status.Refused = len(ranges)
	d.mu.Unlock()
}

// retryRefused tries one refused range again, in turn: a firmware update or a
// device that was starting may have brought it back.
func (d *Device) retryRefused(ctx context.Context) {
	if len(d.refused) == 0 {
		return
	}
	r := d.refused[0]
	rest := slices.Clone(d.refused[1:])
	if _, _, err := d.cfg.Reader.Read(ctx, r.Table, r.Address, r.Count); err != nil {
		rest = append(rest, r)
	}
	d.refuse(rest)
}

// note keeps the newest readings for births and status.
func (d *Device) note(rs []telemetry.Reading, state State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.State = state
	for _, r := range rs {
		d.last[r.Point] = r
		if r.Quality != telemetry.Bad && r.Time.After(d.status.LastGood) {
			d.status.LastGood = r.Time
		}
	}
	if state == Good {
		d.status.LastError = ""
	}
}
