package ingest

import (
	"time"

	"yunhe/collector/internal/intake"
)

// samplesPerHour bounds the samples kept of one node; names of nodes are free,
// so there is a limit for all, too.
const (
	samplesPerHour    = 32
	allSamplesPerHour = 1000
)

// quarantine keeps what is refused and notes answers and alarms. What cannot
// be kept is not answered, so that it comes again.
func (p *Pipeline) quarantine(pl *plan) {
	var refused []*arrival
	var items []intake.Item
	for _, a := range pl.batch {
		if p.keeps(pl, a) {
			refused, items = append(refused, a), append(items, a.item())
		}
	}
	if len(items) == 0 {
		return
	}
	fresh, err := p.Quarantine.Put(items)
	if err != nil {
		p.metrics.unkept.Add(float64(len(items)))
		p.Logger.Error("refused messages cannot be kept; they are not answered", "messages", len(items), "error", err)
		return
	}
	for i, a := range refused {
		if a.signed {
			p.held(pl, a)
		}
		if !fresh[i] {
			continue
		}
		p.warnRefused(pl, a)
		if a.signed {
			pl.event(a, string(a.outcome), a.reason, true)
		}
	}
}

// warnRefused says why a message is refused, once a minute for a gateway and
// an outcome: a gateway that nobody has enrolled sends hundreds.
func (p *Pipeline) warnRefused(pl *plan, a *arrival) {
	if !p.state.allow("warn "+string(a.outcome)+" "+a.node.String(), pl.now, time.Minute, 1) {
		return
	}
	p.Logger.Warn("messages are refused and kept in quarantine; this is one of them", "outcome", string(a.outcome), "gateway", a.of().String(),
		"jid", a.entry.Content.JID, "jseq", a.entry.Content.JSeq, "reason", a.reason)
}

// keeps reports whether a message goes into quarantine: all refused ones with
// a valid signature, of the others a sample.
func (p *Pipeline) keeps(pl *plan, a *arrival) bool {
	switch a.outcome {
	case Held, Equivocation:
	case UnknownKey, Invalid:
	default:
		return false
	}
	if st := p.seen(pl, a); st != nil {
		st.Error = a.reason
	}
	return a.signed || p.state.allow("sample "+a.node.String(), pl.now, time.Hour, samplesPerHour) && p.state.samples(pl.now)
}

// held notes the answer to an entry that is in quarantine now. One that came on
// the topic of another gateway may be a copy that someone sent there: it does
// not count as accounted for, so its gateway is still asked for it.
func (p *Pipeline) held(pl *plan, a *arrival) {
	c := &a.entry.Content
	pl.reply(a.node).reject.Add(c.JID, c.JSeq)
	if e := a.epoch; a.outcome == Held && p.sameGateway(a.node.Site, a.node.Gateway, a.key.Of) && !e.Held.Contains(c.JID, c.JSeq) && e.spans <= maxSpans {
		e.Held.Add(c.JID, c.JSeq)
		pl.touched[e] = true
	}
}
