package ingest

import (
	"context"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/telemetry"
)

// takeStatus takes up a birth, a death, or what a gateway tells about itself.
// None of it is signed: it is shown, and it may cause a request, no more.
func (p *Pipeline) takeStatus(ctx context.Context, pl *plan, a *arrival) error {
	st := p.seen(pl, a)
	if st == nil {
		return nil
	}
	st.Death = a.death && !a.At.Before(st.Seen)
	if a.status == nil {
		return nil
	}
	s := a.status
	st.Told, st.Version, st.Backlog = true, s.Version, s.Backlog
	noteState(st, s.ClockState, s.ClockOffset, a.At)
	if s.LastError != "" {
		st.Error = s.LastError
	}
	of, enrolled := p.gatewayOf(a.node)
	if !enrolled {
		return nil
	}
	return p.findGaps(ctx, pl, a, of)
}

// liveWithin is how long after it was recorded an entry still says how the
// gateway is now; an older one is history.
const liveWithin = time.Minute

// clockNews takes the state of a gateway's clock from an entry that was
// recorded just now. One whose clock is not set cannot be told from history;
// its gateway says in its status how it is.
func clockNews(st *intake.Status, a *arrival) {
	c := &a.entry.Content
	if a.At.Sub(c.Recorded).Abs() > liveWithin {
		return
	}
	at := c.Recorded
	if at.After(a.At) {
		at = a.At // a clock that is ahead wins nothing
	}
	noteState(st, c.Clock.State, c.Clock.Offset, at)
}

// noteState keeps the newest state of a clock.
func noteState(st *intake.Status, state telemetry.ClockState, offset *time.Duration, at time.Time) {
	if state.Valid() && !at.Before(st.ClockAt) {
		st.ClockState, st.Offset, st.ClockAt = state.String(), offset, at
	}
}

// seen notes that a node was heard of, which a replay from the quarantine does
// not say; nil if it is one too many.
func (p *Pipeline) seen(pl *plan, a *arrival) *intake.Status {
	of, enrolled := a.key.Of, true
	if !a.signed {
		of, enrolled = p.gatewayOf(a.node)
	}
	if !enrolled && !p.state.nodes[of] {
		if len(p.state.nodes) >= maxNodes {
			return nil
		}
		p.state.nodes[of] = true
	}
	st := pl.status(of)
	if a.done == nil && a.At.After(st.Seen) {
		st.Seen, st.Unsigned, st.Death = a.At, !enrolled, false
	}
	return st
}

func (p *Pipeline) takeUnsigned(pl *plan, a *arrival) error {
	if p.seen(pl, a) == nil {
		a.refuse(Ignored, "too many nodes without an enrolled key")
		return nil
	}
	for i := range a.rows {
		d := a.rows[i].Device
		if !p.state.unsigned[d] && len(p.state.unsigned) >= maxUnsigned {
			a.refuse(Ignored, "too many devices of nodes without an enrolled key")
			return nil
		}
		p.state.unsigned[d] = true
	}
	if a.rebirth {
		pl.reply(a.node).rebirth = true
	}
	return nil
}
