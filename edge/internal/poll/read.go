package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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

// fetch reads the blocks of a plan. A refused block is halved until one value
// is left; that value's registers are left alone from then on, and where the
// halves answer and the whole does not, no read crosses that border again. All
// this provided that the device answered anything at all, because one that
// refuses everything is ill as a whole. answered reports whether it did.
func (d *Device) fetch(ctx context.Context, pl *profile.Plan) (results []profile.Result, answered bool) {
	var learnt []profile.Range
	extra, silent := maxExtra, 0
	for _, whole := range pl.Blocks {
		rs, more := pl.Bisect(whole, func(b profile.Block) profile.Result {
			switch {
			case silent >= enough || ctx.Err() != nil:
				return profile.Result{Block: b, At: d.cfg.Clock.Now(), Err: errLeftOut}
			case b != whole && extra == 0:
				return profile.Result{Block: b, At: d.cfg.Clock.Now(), Err: errSearching}
			case b != whole:
				extra--
			}
			raw, at, err := d.cfg.Reader.Read(ctx, b.Table, b.Address, b.Count)
			switch {
			case err == nil:
				answered, silent = true, 0
				return profile.Result{Block: b, Raw: raw, At: at}
			case refusal(err):
				silent = 0
			default:
				silent++
			}
			return profile.Result{Block: b, At: d.cfg.Clock.Now(), Err: err}
		}, refusal)
		for _, r := range rs {
			if r.Err != nil && !errors.Is(r.Err, errLeftOut) {
				d.fail(fmt.Errorf("%s: %w", r.Block, r.Err))
			}
		}
		results, learnt = append(results, rs...), append(learnt, more...)
	}
	if answered && len(learnt) > 0 {
		d.refuse(append(slices.Clone(d.refused), learnt...))
	}
	return results, answered
}

// Why a block was not read in this poll; neither says anything about it.
var (
	errLeftOut   = errors.New("left out: the device is not there")
	errSearching = errors.New("left out: looking for refused registers goes on in the next poll")
)

// isCut reports whether a range is a border that no read may cross.
func isCut(r profile.Range) bool { return r.Count == 0 }

// refuse replaces the ranges that are left alone.
func (d *Device) refuse(ranges []profile.Range) {
	d.refused = ranges
	clear(d.plans)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Refused = 0
	for _, r := range ranges {
		if !isCut(r) {
			d.status.Refused++
		}
	}
}

// retryRefused tries one refused range again, in turn: a firmware update or a
// device that was starting may have brought it back. Borders are forgotten at
// midnight: learning them anew costs a few reads and no reading.
func (d *Device) retryRefused(ctx context.Context, tick time.Time) {
	rest := slices.Clone(d.refused)
	if onGrid(tick, 24*time.Hour) {
		rest = slices.DeleteFunc(rest, isCut)
	}
	if i := slices.IndexFunc(rest, func(r profile.Range) bool { return !isCut(r) }); i >= 0 {
		r := rest[i]
		rest = slices.Delete(rest, i, i+1)
		if _, _, err := d.cfg.Reader.Read(ctx, r.Table, r.Address, r.Count); err != nil {
			rest = append(rest, r)
		}
	}
	if !slices.Equal(rest, d.refused) {
		d.refuse(rest)
	}
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
		clear(d.told)
	}
}
