package ingest

import (
	"context"
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

// defineEvery is how often a missing definition is asked for.
const defineEvery = 10 * time.Second

// decide settles the outcome of one arrival and notes in the plan what the
// flush must write for it. It changes nothing but memory that can be
// forgotten; an error is the end of ctx.
func (p *Pipeline) decide(ctx context.Context, pl *plan, a *arrival) error {
	switch a.outcome {
	case "":
	case Status:
		return p.takeStatus(ctx, pl, a)
	case Unsigned:
		return p.takeUnsigned(pl, a)
	case Held:
		return p.decideHeld(ctx, pl, a)
	default:
		return nil
	}
	return p.decideSigned(ctx, pl, a)
}

// decideHeld settles an entry that a worker holds: a duplicate of what is
// stored is still a duplicate.
func (p *Pipeline) decideHeld(ctx context.Context, pl *plan, a *arrival) error {
	e, err := p.epochOf(ctx, a.key.Of, a.entry.Content.JID)
	if err != nil {
		return err
	}
	a.epoch = e
	_, err = p.number(ctx, pl, a, e)
	return err
}

// number settles duplicates and equivocations; done is true for both.
func (p *Pipeline) number(ctx context.Context, pl *plan, a *arrival, e *epoch) (done bool, err error) {
	c := &a.entry.Content
	have, seen := pl.numbers[numberKey{e, c.JSeq}]
	if !seen {
		if have, seen, err = p.seenHash(ctx, e, c.JSeq); err != nil {
			return false, err
		}
	}
	switch {
	case !seen:
		return false, nil
	case have == a.entry.Hash:
		a.refuse(Duplicate, "")
	default:
		a.refuse(Equivocation, fmt.Sprintf("entry %d:%d was signed twice with different content: %s is stored, %s came; the gateway's disk was cloned or its key is used elsewhere", c.JID, c.JSeq, have, a.entry.Hash))
	}
	return true, nil
}

// decideSigned settles an entry with a valid signature of a key in force.
func (p *Pipeline) decideSigned(ctx context.Context, pl *plan, a *arrival) error {
	c := &a.entry.Content
	e, err := p.epochOf(ctx, a.key.Of, c.JID)
	if err != nil {
		return err
	}
	a.epoch = e
	if done, err := p.number(ctx, pl, a, e); done || err != nil {
		return err
	}
	if !p.sameGateway(a.node.Site, a.node.Gateway, a.key.Of) {
		a.refuse(Held, fmt.Sprintf("it came on the topic of %s, its key is enrolled for %s: correct the enrolment, or name the old id as an alias in the catalog", a.node, a.key.Of))
		return nil
	}
	switch c.Kind {
	case evidence.KindDefinition:
		p.decideDefinition(pl, a)
	case evidence.KindBatch:
		err = p.decideBatch(ctx, pl, a)
	case evidence.KindEvent:
		err = p.decideEvent(ctx, pl, a, e)
	case evidence.KindRecord:
		p.decideRecord(pl, a)
	default:
		a.refuse(Held, c.Kind.String())
	}
	if err != nil || a.outcome != "" {
		return err
	}
	if err := p.noteClock(ctx, pl, a); err != nil {
		return err
	}
	a.outcome = Stored
	pl.numbers[numberKey{e, c.JSeq}] = a.entry.Hash
	pl.accepted = append(pl.accepted, a)
	return nil
}

// sameGateway reports whether site and gateway name the gateway of a key,
// with former ids resolved on both sides.
func (p *Pipeline) sameGateway(site, gateway string, of intake.Gateway) bool {
	if site == of.Site && gateway == of.Gateway {
		return true
	}
	s1, g1, _ := p.Alias(site, gateway, "")
	s2, g2, _ := p.Alias(of.Site, of.Gateway, "")
	return s1 == s2 && g1 == g2
}

func (p *Pipeline) decideDefinition(pl *plan, a *arrival) {
	data := a.entry.Content.Data
	hash := evidence.HashOf(data)
	d, err := evidence.DecodeDefinition(data)
	def := newDefinition(d)
	if err == nil {
		err = def.explains()
	}
	switch {
	case err != nil:
		a.refuse(Held, err.Error())
	case !p.sameGateway(d.Site, d.Gateway, a.key.Of):
		a.refuse(Held, fmt.Sprintf("the definition names %s/%s, its key is enrolled for %s: correct the enrolment, or name the old id as an alias in the catalog", d.Site, d.Gateway, a.key.Of))
	}
	if a.outcome == Held {
		bound(p.state.refused, maxDefinitions)
		p.state.refused[refusedKey{a.key.Of, hash}] = a.reason
		return
	}
	delete(p.state.refused, refusedKey{a.key.Of, hash})
	pl.definitions[hash] = def
	pl.flush.Definitions = append(pl.flush.Definitions, intake.Definition{Hash: hash, Data: data, Recorded: a.entry.Content.Recorded, Definition: d})
}

func (p *Pipeline) decideBatch(ctx context.Context, pl *plan, a *arrival) error {
	c := &a.entry.Content
	def, err := p.batchDefinition(ctx, pl, c.DefHash)
	if err != nil {
		return err
	}
	if def == nil {
		if reason, ok := p.state.refused[refusedKey{a.key.Of, c.DefHash}]; ok {
			a.refuse(Held, "its definition is held: "+reason)
			return nil
		}
		a.refuse(Undefined, fmt.Sprintf("the definition %s is not stored", c.DefHash))
		return nil
	}
	switch {
	case !p.sameGateway(def.Site, def.Gateway, a.key.Of):
		a.refuse(Held, fmt.Sprintf("it cites a definition of %s/%s, its key is enrolled for %s", def.Site, def.Gateway, a.key.Of))
		return nil
	case !p.sameDevice(a, def):
		a.refuse(Held, fmt.Sprintf("it came on the topic of device %s, its definition names %s: name the old id as an alias in the catalog", a.topic.Device, def.Device))
		return nil
	}
	if err := def.check(c.Readings); err != nil {
		a.refuse(Held, err.Error())
		return nil
	}
	failed := clockFailed(c, a.At)
	var shift time.Duration
	if failed && c.Clock.BootID != ([16]byte{}) {
		anchor, ok, err := p.anchorOf(ctx, bootKey{a.key.Of, c.Clock.BootID})
		if err != nil {
			return err
		}
		if ok {
			shift, failed = shiftOf(anchor, c), false
			a.retimed = true
		}
		a.boot = !ok
	}
	a.rows, a.slots = rowsOfBatch(&a.entry, def, a.At, failed, shift)
	a.shift, c.Readings = shift, nil // the rows say the same
	return nil
}

// batchDefinition finds the definition that a batch cites: in this flush, in
// memory, in the records.
func (p *Pipeline) batchDefinition(ctx context.Context, pl *plan, hash evidence.Hash) (*definition, error) {
	if d := pl.definitions[hash]; d != nil {
		return d, nil
	}
	return p.definitionOf(ctx, hash)
}

func (p *Pipeline) sameDevice(a *arrival, def *definition) bool {
	if a.topic.Device == def.Device {
		return true
	}
	_, _, d1 := p.Alias(a.node.Site, a.node.Gateway, a.topic.Device)
	_, _, d2 := p.Alias(def.Site, def.Gateway, def.Device)
	return d1 == d2
}

// clockFailed reports whether the time of an entry is not to be trusted.
func clockFailed(c *evidence.Content, at time.Time) bool {
	return c.Clock.State == telemetry.Unsynchronised || absurd(c.Recorded, at)
}

// decideEvent takes up what a gateway declares about itself.
func (p *Pipeline) decideEvent(ctx context.Context, pl *plan, a *arrival, e *epoch) error {
	event, err := evidence.DecodeEvent(a.entry.Content.Data)
	if err != nil {
		a.refuse(Held, err.Error())
		return nil
	}
	switch ev := event.(type) {
	case evidence.Epoch:
		return p.takeEpoch(ctx, pl, a, e, ev)
	case evidence.Loss:
		lost, err := p.epochOf(ctx, a.key.Of, ev.JID)
		if err != nil {
			return err
		}
		lost.Lost.AddSpan(evidence.Span{JID: ev.JID, Lo: ev.Lo, Hi: ev.Hi})
		pl.touched[lost] = true
		pl.event(a, "loss", fmt.Sprintf("entries %d:%d-%d are lost: %s", ev.JID, ev.Lo, ev.Hi, ev.Reason), true)
	case evidence.CounterFall:
		pl.event(a, "counter_fall", fmt.Sprintf("%s.%s fell from %x to %x", ev.Device, ev.Point, ev.From, ev.To), true)
	case evidence.ClockStep:
		pl.event(a, "clock_step", fmt.Sprintf("the clock was set from %s to %s: %s",
			stamp(ev.FromMs), stamp(ev.ToMs), ev.Reason), false)
	}
	return nil
}

func stamp(ms int64) string { return telemetry.FromMillis(ms).Format(time.RFC3339) }

// takeEpoch notes the start of a journal. Two starts that follow the same
// epoch mean that two machines share one disk image.
func (p *Pipeline) takeEpoch(ctx context.Context, pl *plan, a *arrival, e *epoch, ev evidence.Epoch) error {
	if !p.sameGateway(ev.Site, ev.Gateway, a.key.Of) {
		a.refuse(Held, fmt.Sprintf("the epoch names %s/%s, its key is enrolled for %s: correct the enrolment, or name the old id as an alias in the catalog", ev.Site, ev.Gateway, a.key.Of))
		return nil
	}
	var other uint64
	err := p.retry(ctx, "records", func() (err error) {
		other, err = p.Clocks.Successor(ctx, a.key.Of, ev.PrevJID, e.JID)
		return err
	})
	if err != nil {
		return err
	}
	if other == 0 {
		other = pl.follower(a.key.Of, ev.PrevJID, e)
	}
	if other != 0 {
		text := fmt.Sprintf("epochs %d and %d both follow epoch %d: two machines run from one disk image; give one of them a new key", other, e.JID, ev.PrevJID)
		pl.event(a, "fork", text, true)
		pl.status(a.key.Of).Error = text
	}
	e.Journal, e.PrevJID, e.PrevJSeq = ev.Journal, ev.PrevJID, ev.PrevJSeq
	pl.touched[e] = true
	pl.event(a, "epoch", fmt.Sprintf("journal %s starts epoch %d after %d:%d, agent %s", ev.Journal, e.JID, ev.PrevJID, ev.PrevJSeq, ev.Agent), false)
	return nil
}

// follower returns another epoch of this flush that follows prev.
func (pl *plan) follower(of intake.Gateway, prev uint64, e *epoch) uint64 {
	if prev == 0 {
		return 0
	}
	for o := range pl.touched {
		if o != e && o.Of == of && o.PrevJID == prev {
			return o.JID
		}
	}
	return 0
}

func (p *Pipeline) decideRecord(pl *plan, a *arrival) {
	r, err := evidence.DecodeRecord(a.entry.Content.Data)
	switch {
	case err != nil:
		a.refuse(Held, err.Error())
	case !p.sameGateway(r.Site, r.Gateway, a.key.Of):
		a.refuse(Held, fmt.Sprintf("the record names %s/%s, its key is enrolled for %s", r.Site, r.Gateway, a.key.Of))
	default:
		pl.event(a, "record", fmt.Sprintf("%s of %s", r.Type, r.Device), false)
	}
}
