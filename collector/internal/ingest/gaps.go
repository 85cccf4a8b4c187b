package ingest

import (
	"context"
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
)

const (
	// replayEvery is how often one gateway is asked to send what is missing.
	replayEvery = time.Minute
	// maxStatusEpochs bounds the epochs of one status that are looked at.
	maxStatusEpochs = 256
	// gapsMost statuses of one gateway are compared in gapsEvery; it sends one
	// a minute.
	gapsMost, gapsEvery = 4, 10 * time.Second
	// gapEventsPerHour bounds what is told of one gateway's gaps.
	gapEventsPerHour = 8
	// window is how many entries a gateway sends ahead of an acknowledgement.
	window = 4096
)

// border says up to where an epoch must be stored.
type border struct {
	jid    uint64
	first  uint64 // that need not be stored yet
	signed bool   // the entry that begins the next epoch says so
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
	add := func(b border) {
		if !known[b.jid] && len(out) < maxStatusEpochs {
			known[b.jid] = true
			out = append(out, b)
		}
	}
	for _, r := range []evidence.Ranges{oldest, next} {
		for span := range r.Spans() {
			add(border{jid: span.JID, first: span.Lo})
		}
	}
	for i := 0; i < len(out); i++ { // grows: each epoch names the one before
		e, err := p.epochAt(ctx, of, out[i])
		if err != nil {
			return nil, err
		}
		if e.PrevJID != 0 {
			add(border{e.PrevJID, e.PrevJSeq + 1, true})
		}
	}
	return out, nil
}

// epochAt returns the epoch of a border. Numbers that only a status names, which
// nobody signed, leave nothing behind.
func (p *Pipeline) epochAt(ctx context.Context, of intake.Gateway, b border) (*epoch, error) {
	if b.signed {
		return p.epochOf(ctx, of, b.jid)
	}
	return p.peekEpoch(ctx, of, b.jid)
}

// findGaps compares what a gateway holds to be acknowledged with what is
// stored. A number below the border of its epoch that is neither stored, held
// nor declared lost is a chain gap: it is noted once and asked for again, which
// heals a forged acknowledgement and a collector that lost its volume.
func (p *Pipeline) findGaps(ctx context.Context, pl *plan, a *arrival, of intake.Gateway) error {
	if !p.state.allow("gaps "+of.String(), pl.now, gapsEvery, gapsMost) {
		return nil
	}
	borders, err := p.borders(ctx, of, a.status)
	if err != nil {
		return err
	}
	var missing evidence.Ranges
	for _, b := range borders {
		e, err := p.epochAt(ctx, of, b)
		if err != nil {
			return err
		}
		if e.spans > maxSpans {
			continue
		}
		gaps := holes(e.Epoch, b)
		if gaps.Empty() {
			continue
		}
		missing.Union(gaps)
		p.noteGaps(pl, a, e, b, gaps)
	}
	if !missing.Empty() && p.state.allow("replay "+of.String(), pl.now, replayEvery, 1) {
		pl.reply(a.node).replay.Union(missing)
	}
	return nil
}

// noteGaps tells of gaps that are new. Of an epoch of which nothing signed is
// known they are told and not written down: anyone at the broker can name one.
func (p *Pipeline) noteGaps(pl *plan, a *arrival, e *epoch, b border, gaps evidence.Ranges) {
	fresh := without(gaps, e.Missing)
	if fresh.Empty() {
		return
	}
	most, kind := gapEventsPerHour, "gap event "
	known := e.ID != 0 || b.signed
	if !known {
		most, kind = 1, "unknown gap event "
	}
	if !p.state.allow(kind+e.Of.String(), pl.now, time.Hour, most) {
		return // told when it is seen the next time
	}
	if known {
		e.Missing.Union(fresh)
		pl.touched[e] = true
	}
	text := fmt.Sprintf("entries %.200s are acknowledged in the gateway's journal and not stored here; they are asked for again", fresh)
	pl.flush.Events = append(pl.flush.Events, intake.Event{Of: e.Of, At: a.At, Type: "chain_gap", Text: text, Alarm: true})
	pl.status(e.Of).Error = text
}

// holes returns the numbers below a border that are neither stored nor
// accounted for. A border that nobody signed reaches no further than a window
// beyond what is known, so that no number makes real gaps look old.
func holes(e *intake.Epoch, b border) evidence.Ranges {
	var known evidence.Ranges
	for _, r := range []evidence.Ranges{e.Seen, e.Held, e.Lost} {
		known.Union(r)
	}
	end, top := b.first, uint64(0)
	for s := range known.Spans() {
		top = max(top, s.Hi)
	}
	if !b.signed {
		end = min(end, top+1+window)
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
