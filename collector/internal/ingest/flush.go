package ingest

import (
	"context"
	"slices"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
)

const (
	// writeTimeout bounds one try of the series store.
	writeTimeout = time.Minute
	// saveRangesEvery is how often the ranges of a quiet epoch are written;
	// what they lack is read from the numbers when they are loaded.
	saveRangesEvery = time.Minute
)

// flush stores a batch of arrivals and acknowledges it, in this order and no
// other: decide, evidence on disk, series accepted, refused ones in
// quarantine, one records transaction, answers. A store that fails is tried
// until it works; an error is the end of ctx.
func (p *Pipeline) flush(ctx context.Context, batch []*arrival) error {
	start := time.Now()              // for the metric alone
	bound(p.state.epochs, maxEpochs) // here alone: a flush holds on to its epochs
	pl := newPlan(p.Now(), batch)
	for _, a := range batch {
		if err := p.decide(ctx, pl, a); err != nil {
			return err
		}
	}
	pl.lighten()
	if err := p.planRetimes(ctx, pl); err != nil {
		return err
	}
	if len(batch) == 0 && len(pl.flush.Retimed) == 0 {
		return nil
	}
	at, err := p.storeEvidence(ctx, pl.accepted)
	if err != nil {
		return err
	}
	if err := p.storeSeries(ctx, pl); err != nil {
		return err
	}
	pl.lighten()
	p.quarantine(pl)
	p.finish(pl, at)
	if !pl.flush.Empty() {
		if err := p.retry(ctx, "records", func() error { return p.Records.Commit(ctx, &pl.flush) }); err != nil {
			return err
		}
	}
	for hash, d := range pl.definitions {
		bound(p.state.definitions, maxDefinitions)
		p.state.definitions[hash] = d
	}
	p.answer(pl)
	p.count(pl)
	p.metrics.flushes.Observe(time.Since(start).Seconds())
	return nil
}

// storeEvidence appends the signed bytes of every accepted entry and syncs
// each log once. After a failure all are appended again: the log may then hold an entry
// twice, the records index one of them.
func (p *Pipeline) storeEvidence(ctx context.Context, accepted []*arrival) (map[*arrival]intake.Place, error) {
	at := make(map[*arrival]intake.Place, len(accepted))
	if len(accepted) == 0 {
		return at, nil
	}
	return at, p.retry(ctx, "evidence", func() error {
		for _, a := range accepted {
			pos, err := p.Evidence.Append(logOf(a), a.entry.Bytes)
			if err != nil {
				_ = p.Evidence.Commit() // clears the failure for the next try
				return err
			}
			at[a] = pos
		}
		if err := p.Evidence.Commit(); err != nil {
			return err
		}
		for _, a := range accepted {
			a.entry.Bytes = nil // on disk
		}
		return nil
	})
}

// storeSeries writes the rows of accepted and unsigned messages. An entry with
// a row that can never be stored is held whole.
func (p *Pipeline) storeSeries(ctx context.Context, pl *plan) error {
	rows := pl.flush.Rows // of re-timed entries
	owner := make([]*arrival, len(rows), len(rows)+len(pl.batch))
	add := func(a *arrival) {
		rows = append(rows, a.rows...)
		for range a.rows {
			owner = append(owner, a)
		}
	}
	for _, a := range pl.accepted {
		add(a)
	}
	for _, a := range pl.batch {
		if a.outcome == Unsigned {
			add(a)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	var rejected []series.Rejected
	err := p.retry(ctx, "series", func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		rejected, err = p.Series.Write(ctx, rows)
		return err
	})
	if err != nil {
		return err
	}
	p.reject(pl, rejected, owner)
	for _, a := range pl.batch {
		a.rows = nil // the flush has them
	}
	pl.flush.Rows = rows
	if len(rejected) > 0 {
		pl.flush.Rows = keepRows(rows, owner, rejected)
	}
	return nil
}

// reject holds the entries of rejected rows.
func (p *Pipeline) reject(pl *plan, rejected []series.Rejected, owner []*arrival) {
	for _, r := range rejected {
		if r.Row < 0 || r.Row >= len(owner) || owner[r.Row] == nil {
			p.Logger.Warn("the series store rejects a row", "reason", r.Reason)
			continue
		}
		a := owner[r.Row]
		switch a.outcome {
		case Stored:
			a.refuse(Held, "the series store rejects it: "+r.Reason)
		case Unsigned:
			p.metrics.unstorable.Inc()
		}
	}
	pl.accepted = slices.DeleteFunc(pl.accepted, func(a *arrival) bool { return a.outcome != Stored })
}

// keepRows leaves out rejected rows and those of held entries.
func keepRows(rows []series.Row, owner []*arrival, rejected []series.Rejected) []series.Row {
	bad := make(map[int]bool, len(rejected))
	for _, r := range rejected {
		bad[r.Row] = true
	}
	kept := make([]series.Row, 0, len(rows))
	for i, row := range rows {
		if !bad[i] && (owner[i] == nil || owner[i].outcome != Held) {
			kept = append(kept, row)
		}
	}
	return kept
}

// finish turns the plan into what the records transaction writes.
func (p *Pipeline) finish(pl *plan, at map[*arrival]intake.Place) {
	slots := map[intake.Slot]bool{}
	pl.flush.Entries = make([]intake.Entry, 0, len(pl.accepted))
	for _, a := range pl.accepted {
		c := &a.entry.Content
		e := a.epoch
		if !e.follows(c, a.entry.Hash) {
			pl.event(a, "chain_break", "the entry names another one before it than the one that is stored", true)
		}
		pl.flush.Entries = append(pl.flush.Entries, intake.Entry{
			Epoch: e.Epoch, JSeq: c.JSeq, Hash: a.entry.Hash, At: at[a], ClockFailed: a.boot, Boot: c.Clock.BootID,
		})
		e.add(c.JSeq)
		if pl.now.Sub(e.saved) >= saveRangesEvery {
			pl.touched[e] = true
		}
		for _, s := range a.slots {
			slots[s] = true
		}
		if st := p.seen(pl, a); st != nil {
			clockNews(st, a)
		}
		pl.reply(a.node).ack.Add(c.JID, c.JSeq)
	}
	if len(pl.flush.Anchors) > 0 {
		p.state.retime = true // from the next flush on, when they are stored
	}
	for _, s := range pl.flush.Slots { // of re-timed entries
		slots[s] = true
	}
	pl.flush.Slots = pl.flush.Slots[:0]
	for s := range slots {
		pl.flush.Slots = append(pl.flush.Slots, s)
	}
	pl.retimeEvents()
	for e := range pl.touched {
		e.saved = pl.now
		pl.flush.Epochs = append(pl.flush.Epochs, e.Epoch)
	}
	for _, st := range pl.statuses {
		pl.flush.Statuses = append(pl.flush.Statuses, *st)
	}
	p.answerOthers(pl)
}

// answerOthers notes the answers to what is not stored by this flush.
func (p *Pipeline) answerOthers(pl *plan) {
	for _, a := range pl.batch {
		c := &a.entry.Content
		switch a.outcome {
		case Duplicate:
			pl.reply(a.node).ack.Add(c.JID, c.JSeq)
		case Undefined:
			if p.state.allow("define "+a.node.String()+c.DefHash.String(), pl.now, defineEvery, 1) {
				pl.reply(a.node).define = append(pl.reply(a.node).define, c.DefHash)
			}
		}
	}
}

// answer sends one command a node, and tells replays what became of them.
func (p *Pipeline) answer(pl *plan) {
	for node, r := range pl.replies {
		for _, c := range r.commands() {
			m := sparkplug.NewCommand(node.Site, node.Gateway, c, pl.now)
			p.Send(m.Topic.String(), m.Payload)
		}
	}
	for _, a := range pl.batch {
		if a.done != nil {
			a.done <- Result{a.outcome, a.reason} // holds one
		}
	}
}

// count brings the metrics up to date.
func (p *Pipeline) count(pl *plan) {
	for _, a := range pl.batch {
		p.metrics.outcomes.WithLabelValues(string(a.outcome)).Inc()
	}
	values := 0
	for i := range pl.flush.Rows {
		values += len(pl.flush.Rows[i].Fields)
	}
	p.metrics.values.Add(float64(values))
	for _, a := range pl.accepted {
		if !a.boot {
			p.metrics.lag.WithLabelValues(a.key.Of.Site, a.key.Of.Gateway).Set(a.At.Sub(a.entry.Content.Recorded).Seconds())
		}
	}
}
