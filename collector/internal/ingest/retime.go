package ingest

import (
	"context"
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

const (
	// retimeEvery is how often waiting entries are looked for without traffic.
	retimeEvery = time.Second
	// retimeChunk bounds the entries that one flush writes again.
	retimeChunk = 200
)

// retimed is an entry whose rows are written again at corrected times.
type retimed struct {
	intake.Retime
	rows  int
	shift time.Duration
}

// noteClock makes the first entry of a boot with a synchronised clock the
// anchor of that boot.
func (p *Pipeline) noteClock(ctx context.Context, pl *plan, a *arrival) error {
	c := &a.entry.Content
	if c.Clock.State != telemetry.Synchronised || clockFailed(c, a.At) || c.Clock.BootID == ([16]byte{}) {
		return nil
	}
	key := bootKey{a.key.Of, c.Clock.BootID}
	_, ok, err := p.anchorOf(ctx, key)
	if err != nil || ok {
		return err
	}
	anchor := intake.Anchor{Of: key.of, Boot: key.boot, Mono: c.Clock.Mono, Wall: c.Recorded}
	pl.flush.Anchors = append(pl.flush.Anchors, anchor)
	delete(p.state.noAnchor, key)
	bound(p.state.anchors, maxAnchors)
	p.state.anchors[key] = anchor
	p.state.retime = true
	return nil
}

// shiftOf returns what must be added to the times of an entry: the anchor says
// what the wall clock was when the monotonic clock stood where the entry says.
func shiftOf(a intake.Anchor, c *evidence.Content) time.Duration {
	right := a.Wall.Add(c.Clock.Mono - a.Mono)
	return right.Sub(c.Recorded).Truncate(time.Millisecond)
}

// planRetimes adds to a flush the rows of entries that waited for their boot's
// time. The rows at the signed times stay, flagged; the corrected ones come
// beside them, and the signed bytes keep the signed time.
func (p *Pipeline) planRetimes(ctx context.Context, pl *plan) error {
	if !p.state.retime {
		return nil
	}
	var waiting []intake.Retime
	err := p.retry(ctx, "records", func() (err error) {
		waiting, err = p.Clocks.Untimed(ctx, retimeChunk)
		return err
	})
	if err != nil {
		return err
	}
	p.state.retime = len(waiting) == retimeChunk
	for _, w := range waiting {
		if err := p.planRetime(ctx, pl, w); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) planRetime(ctx context.Context, pl *plan, w intake.Retime) error {
	pl.flush.Retimed = append(pl.flush.Retimed, w)
	anchor, ok, err := p.anchorOf(ctx, bootKey{w.Of, w.Boot})
	if err != nil || !ok {
		return err
	}
	b, err := p.Evidence.ReadAt(w.At)
	var entry evidence.Entry
	if err == nil {
		entry, err = evidence.Parse(b)
	}
	var def *definition
	if err == nil {
		if def, err = p.definitionOf(ctx, entry.Content.DefHash); ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && def == nil {
			err = fmt.Errorf("its definition %s is not stored", entry.Content.DefHash)
		}
	}
	if err != nil {
		p.Logger.Error("an entry cannot be re-timed; its readings keep their flag", "gateway", w.Of, "jid", w.JID, "jseq", w.JSeq, "error", err)
		return nil
	}
	shift := shiftOf(anchor, &entry.Content)
	rows, slots := rowsOfBatch(&entry, def, pl.now, false, shift)
	pl.flush.Rows = append(pl.flush.Rows, rows...)
	pl.flush.Slots = append(pl.flush.Slots, slots...)
	pl.retimed = append(pl.retimed, retimed{w, len(rows), shift})
	return nil
}

// retimeEvents tells, once a gateway and flush, what was re-timed.
func (pl *plan) retimeEvents() {
	type sum struct {
		n     int
		shift time.Duration
	}
	sums := map[intake.Gateway]sum{}
	count := func(of intake.Gateway, shift time.Duration) {
		s := sums[of]
		sums[of] = sum{s.n + 1, shift}
	}
	for _, r := range pl.retimed {
		count(r.Of, r.shift)
	}
	for _, a := range pl.accepted {
		if a.retimed {
			count(a.key.Of, a.shift)
		}
	}
	for of, s := range sums {
		pl.flush.Events = append(pl.flush.Events, intake.Event{
			Of: of, At: pl.now, Type: "retimed",
			Text: fmt.Sprintf("%d entries recorded before the clock was set were given corrected times, the last one moved by %s", s.n, s.shift),
		})
	}
}
