package records

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	contract "yunhe/internal/records"
	"yunhe/internal/series"
)

// Commit writes one flush in one transaction: on disk as a whole when it
// returns nil, and not at all otherwise; it may then be called again with the
// same flush. Rows then go to the live stream.
func (s *Store) Commit(ctx context.Context, f *intake.Flush) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin records transaction: %w", err)
	}
	w := &flush{Store: s, ctx: ctx, tx: tx, now: s.now()}
	err = w.write(f)
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		tx.Rollback() // the first error says why
		for _, undo := range slices.Backward(w.undo) {
			undo()
		}
		return fmt.Errorf("write records: %w", err)
	}
	s.ring.publish(w.live)
	return nil
}

// flush is one transaction under way. The caller holds mu.
type flush struct {
	*Store
	ctx  context.Context
	tx   *sql.Tx
	now  time.Time
	undo []func() // takes back what memory must not know if the tx fails
	live []series.Row
}

func (w *flush) exec(st *sql.Stmt, args ...any) error {
	_, err := w.tx.StmtContext(w.ctx, st).ExecContext(w.ctx, args...)
	return err
}

func (w *flush) write(f *intake.Flush) error {
	for _, step := range []func(*intake.Flush) error{
		w.statuses, w.definitions, w.epochs, w.entries, w.rows, w.slots, w.events, w.clocks,
	} {
		if err := step(f); err != nil {
			return err
		}
	}
	return nil
}

// gateway returns the row of a gateway, new if need be.
func (w *flush) gateway(of intake.Gateway, unsigned bool) (*gateway, error) {
	if g := w.Store.gateways[of]; g != nil {
		return g, nil
	}
	g := &gateway{state: contract.Gateway{Site: of.Site, Gateway: of.Gateway, Unsigned: unsigned}}
	row := w.tx.StmtContext(w.ctx, w.stmts.addGateway).QueryRowContext(w.ctx, of.Site, of.Gateway, unsigned)
	if err := row.Scan(&g.id); err != nil {
		return nil, fmt.Errorf("add gateway %s: %w", of, err)
	}
	w.Store.gateways[of] = g
	w.undo = append(w.undo, func() { delete(w.Store.gateways, of) })
	return g, nil
}

func (w *flush) statuses(f *intake.Flush) error {
	for _, st := range f.Statuses {
		g, err := w.gateway(st.Of, st.Unsigned)
		if err != nil {
			return err
		}
		changed := g.apply(st, w.now)
		if !changed && w.now.Sub(g.saved) < saveEvery {
			continue
		}
		s := &g.state
		if err := w.exec(w.stmts.saveGateway, s.Unsigned, s.Online, millis(s.LastSeen), s.Version, s.ClockState,
			s.ClockOffset, int64(s.Backlog), s.LastError, millis(s.LastErrorAt), g.id); err != nil {
			return fmt.Errorf("save gateway %s: %w", st.Of, err)
		}
		old := g.saved
		w.undo = append(w.undo, func() { g.saved = old })
		g.saved = w.now
	}
	return nil
}

// apply takes up news and reports whether more than the freshness changed. It
// is idempotent, so a flush may be written again.
func (g *gateway) apply(n intake.Status, now time.Time) bool {
	before := g.state
	s := &g.state
	if n.Seen.After(s.LastSeen) {
		s.LastSeen = n.Seen
	}
	if !n.Seen.IsZero() {
		s.Online, s.Unsigned = !n.Death, n.Unsigned
	}
	if n.Told {
		s.Backlog = min(n.Backlog, 1<<53)
		if n.Version != "" {
			s.Version = n.Version
		}
	}
	if n.ClockState != "" && !n.ClockAt.Before(g.clockAt) {
		g.clockAt = n.ClockAt
		s.ClockState, s.ClockOffset = n.ClockState, nil
		if n.Offset != nil {
			ms := n.Offset.Milliseconds()
			s.ClockOffset = &ms
		}
	}
	if n.Error != "" && n.Error != s.LastError {
		s.LastError, s.LastErrorAt = n.Error, now
	}
	return s.Online != before.Online || s.Unsigned != before.Unsigned || s.Version != before.Version ||
		s.ClockState != before.ClockState || s.LastError != before.LastError
}

func (w *flush) epochs(f *intake.Flush) error {
	for i := range f.Entries {
		if err := w.epoch(f.Entries[i].Epoch); err != nil {
			return err
		}
	}
	for _, e := range f.Epochs {
		if err := w.epoch(e); err != nil {
			return err
		}
		if err := w.exec(w.stmts.saveEpoch, e.Journal, int64(e.PrevJID), int64(e.PrevJSeq),
			rangesText(e.Seen), rangesText(e.Held), rangesText(e.Lost), rangesText(e.Missing), e.ID); err != nil {
			return fmt.Errorf("save epoch %d of %s: %w", e.JID, e.Of, err)
		}
	}
	return nil
}

// rangesText is the text form that can be read again: of a set with very many
// holes the beginning. Of the numbers seen the rest is read from their table.
func rangesText(r evidence.Ranges) string {
	if parts := r.Split(); len(parts) > 0 {
		return parts[0].String()
	}
	return ""
}

// epoch gives an epoch its row.
func (w *flush) epoch(e *intake.Epoch) error {
	if e.ID != 0 {
		return nil
	}
	g, err := w.gateway(e.Of, false)
	if err != nil {
		return err
	}
	if err := w.tx.StmtContext(w.ctx, w.stmts.addEpoch).QueryRowContext(w.ctx, g.id, int64(e.JID)).Scan(&e.ID); err != nil {
		return fmt.Errorf("add epoch %d of %s: %w", e.JID, e.Of, err)
	}
	w.undo = append(w.undo, func() { e.ID = 0 })
	return nil
}

func (w *flush) entries(f *intake.Flush) error {
	add := w.tx.StmtContext(w.ctx, w.stmts.addSeen)
	if err := w.rawSegments(f); err != nil {
		return err
	}
	for i := range f.Entries {
		e := &f.Entries[i]
		if _, err := add.ExecContext(w.ctx, e.Epoch.ID, int64(e.JSeq), e.Hash[:], int64(e.At.Segment), e.At.Offset, e.At.Log); err != nil {
			return fmt.Errorf("index entry %d:%d of %s: %w", e.Epoch.JID, e.JSeq, e.Epoch.Of, err)
		}
		if !e.ClockFailed {
			continue
		}
		g, err := w.gateway(e.Epoch.Of, false)
		if err != nil {
			return err
		}
		if err := w.exec(w.stmts.addUntimed, g.id, e.Boot[:], int64(e.Epoch.JID), int64(e.JSeq), int64(e.At.Segment), e.At.Offset, e.At.Log); err != nil {
			return fmt.Errorf("note untimed entry: %w", err)
		}
	}
	return nil
}

func (w *flush) slots(f *intake.Flush) error {
	for _, s := range f.Slots {
		d, err := w.device(s.Device)
		if err != nil {
			return err
		}
		if err := w.exec(w.stmts.addDirty, d.id, s.Start); err != nil {
			return fmt.Errorf("mark slot: %w", err)
		}
	}
	return nil
}

func (w *flush) events(f *intake.Flush) error {
	for _, e := range f.Events {
		g, err := w.gateway(e.Of, false)
		if err != nil {
			return err
		}
		if err := w.exec(w.stmts.addEvent, g.id, millis(e.At), e.Type, int64(e.JID), int64(e.JSeq), e.Text, e.Alarm); err != nil {
			return fmt.Errorf("add event: %w", err)
		}
	}
	return nil
}

// clocks writes the anchors of boots and ends what was re-timed.
func (w *flush) clocks(f *intake.Flush) error {
	for _, a := range f.Anchors {
		g, err := w.gateway(a.Of, false)
		if err != nil {
			return err
		}
		if err := w.exec(w.stmts.addBoot, g.id, a.Boot[:], a.Mono.Milliseconds(), a.Wall.UnixMilli()); err != nil {
			return fmt.Errorf("add boot: %w", err)
		}
	}
	for _, r := range f.Retimed {
		g, err := w.gateway(r.Of, false)
		if err != nil {
			return err
		}
		if err := w.exec(w.stmts.dropUntimed, g.id, r.Boot[:], int64(r.JID), int64(r.JSeq)); err != nil {
			return fmt.Errorf("end untimed entry: %w", err)
		}
	}
	return nil
}
