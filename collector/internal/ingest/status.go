package ingest

import (
	"context"
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// replayEvery is how often one gateway is asked to send what is missing.
const replayEvery = time.Minute

// maxStatusEpochs bounds the epochs of one status that are looked at.
const maxStatusEpochs = 256

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
	if a.rebirth {
		pl.reply(a.node).rebirth = true
	}
	return nil
}

// border says up to where an epoch must be stored.
type border struct {
	jid   uint64
	first uint64 // that need not be stored yet
}

// borders returns where each epoch of a gateway stands: at its oldest un-acked
// entry; where none waits, at the next number of an epoch that goes on, and at
// the end of one that another follows. So an acknowledgement that was forged for
// everything, or for an epoch that is over, shows too.
func (p *Pipeline) borders(ctx context.Context, of intake.Gateway, s *sparkplug.Status) ([]border, error) {
	oldest, err1 := evidence.ParseRanges(s.OldestUnacked)
	next, err2 := evidence.ParseRanges(s.NextSeq)
	if err1 != nil || err2 != nil {
		return nil, nil // not ours to repair
	}
	var out []border
	known := map[uint64]bool{}
	add := func(jid, first uint64) {
		if !known[jid] && len(out) < maxStatusEpochs {
			known[jid] = true
			out = append(out, border{jid, first})
		}
	}
	for _, r := range []evidence.Ranges{oldest, next} {
		for span := range r.Spans() {
			add(span.JID, span.Lo)
		}
	}
	for i := 0; i < len(out); i++ { // grows: each epoch names the one before
		e, err := p.epochOf(ctx, of, out[i].jid)
		if err != nil {
			return nil, err
		}
		if e.PrevJID != 0 {
			add(e.PrevJID, e.PrevJSeq+1)
		}
	}
	return out, nil
}

// findGaps compares what a gateway holds to be acknowledged with what is
// stored. A number below the border of its epoch that is neither stored, held
// nor declared lost is a chain gap: it is noted once and asked for again, which
// heals a forged acknowledgement and a collector that lost its volume.
func (p *Pipeline) findGaps(ctx context.Context, pl *plan, a *arrival, of intake.Gateway) error {
	borders, err := p.borders(ctx, of, a.status)
	if err != nil {
		return err
	}
	var missing evidence.Ranges
	for _, b := range borders {
		e, err := p.epochOf(ctx, of, b.jid)
		if err != nil {
			return err
		}
		if e.spans > maxSpans {
			continue
		}
		gaps := holes(e.Epoch, b.first)
		if gaps.Empty() {
			continue
		}
		missing.Union(gaps)
		if fresh := without(gaps, e.Missing); !fresh.Empty() {
			e.Missing.Union(fresh)
			pl.touched[e] = true
			text := fmt.Sprintf("entries %.200s are acknowledged in the gateway's journal and not stored here; they are asked for again", fresh)
			pl.flush.Events = append(pl.flush.Events, intake.Event{Of: of, At: a.At, Type: "chain_gap", Text: text, Alarm: true})
			pl.status(of).Error = text
		}
	}
	if !missing.Empty() && p.state.allow("replay "+of.String(), pl.now, replayEvery, 1) {
		pl.reply(a.node).replay.Union(missing)
	}
	return nil
}

// holes returns the numbers below end that are neither stored nor accounted for.
func holes(e *intake.Epoch, end uint64) evidence.Ranges {
	var known evidence.Ranges
	for _, r := range []evidence.Ranges{e.Seen, e.Held, e.Lost} {
		known.Union(r)
	}
	var all evidence.Ranges
	if end > 1 {
		all.AddSpan(evidence.Span{JID: e.JID, Lo: 1, Hi: end - 1})
	}
	return without(all, known)
}

// without returns the numbers of a that are not in b.
func without(a, b evidence.Ranges) evidence.Ranges {
	var out evidence.Ranges
	for s := range a.Spans() {
		lo := s.Lo
		for o := range b.Spans() {
			if o.JID != s.JID || o.Hi < lo || o.Lo > s.Hi {
				continue
			}
			if o.Lo > lo {
				out.AddSpan(evidence.Span{JID: s.JID, Lo: lo, Hi: o.Lo - 1})
			}
			lo = o.Hi + 1
		}
		if lo <= s.Hi {
			out.AddSpan(evidence.Span{JID: s.JID, Lo: lo, Hi: s.Hi})
		}
	}
	return out
}
