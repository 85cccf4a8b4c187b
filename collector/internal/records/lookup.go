package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
)

// Epoch returns what is known of an epoch, a new one with ID 0 if nothing is.
func (s *Store) Epoch(ctx context.Context, of intake.Gateway, jid uint64) (*intake.Epoch, error) {
	e := &intake.Epoch{Of: of, JID: jid}
	id, ok := s.gatewayID(of)
	if !ok {
		return e, nil
	}
	var seen, held, lost, missing string
	err := s.reader.QueryRowContext(ctx, `SELECT id, journal, prev_jid, prev_jseq, seen, held, lost, missing
		FROM epochs WHERE gateway = ? AND jid = ?`, id, int64(jid)).
		Scan(&e.ID, &e.Journal, &e.PrevJID, &e.PrevJSeq, &seen, &held, &lost, &missing)
	if errors.Is(err, sql.ErrNoRows) {
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up epoch %d of %s: %w", jid, of, err)
	}
	for _, r := range []struct {
		to   *evidence.Ranges
		text string
	}{{&e.Seen, seen}, {&e.Held, held}, {&e.Lost, lost}, {&e.Missing, missing}} {
		if *r.to, err = evidence.ParseRanges(r.text); err != nil {
			return nil, fmt.Errorf("look up epoch %d of %s: %w", jid, of, err)
		}
	}
	if err := s.complete(ctx, e); err != nil {
		return nil, fmt.Errorf("look up epoch %d of %s: %w", jid, of, err)
	}
	return e, nil
}

// complete adds to the range set, which is written now and then, the numbers
// that table seen has in its holes and above it.
func (s *Store) complete(ctx context.Context, e *intake.Epoch) error {
	lo := uint64(1)
	var holes []evidence.Span
	for sp := range e.Seen.Spans() {
		if sp.Lo > lo {
			holes = append(holes, evidence.Span{JID: e.JID, Lo: lo, Hi: sp.Lo - 1})
		}
		lo = sp.Hi + 1
	}
	holes = append(holes, evidence.Span{JID: e.JID, Lo: lo, Hi: evidence.MaxNumber})
	for _, h := range holes {
		rows, err := s.reader.QueryContext(ctx, `SELECT jseq FROM seen WHERE epoch = ? AND jseq BETWEEN ? AND ? ORDER BY jseq`,
			e.ID, int64(h.Lo), int64(h.Hi))
		if err != nil {
			return err
		}
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				rows.Close()
				return err
			}
			e.Seen.Add(e.JID, uint64(n))
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	return nil
}

// SeenHash returns the hash stored under a number.
func (s *Store) SeenHash(ctx context.Context, epoch int64, jseq uint64) (h evidence.Hash, ok bool, err error) {
	var b []byte
	err = s.reader.QueryRowContext(ctx, `SELECT hash FROM seen WHERE epoch = ? AND jseq = ?`, epoch, int64(jseq)).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return h, false, nil
	}
	if err != nil || len(b) != len(h) {
		return h, false, fmt.Errorf("look up entry %d: %d bytes of hash: %w", jseq, len(b), err)
	}
	return evidence.Hash(b), true, nil
}

// Definition returns the signed bytes of a stored definition.
func (s *Store) Definition(ctx context.Context, hash evidence.Hash) (data []byte, ok bool, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT data FROM definitions WHERE hash = ?`, hash[:]).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look up definition %s: %w", hash, err)
	}
	return data, true, nil
}

// Successor returns the jid of an epoch of the gateway, other than jid, that
// names prev as the epoch before it; 0 if there is none.
func (s *Store) Successor(ctx context.Context, of intake.Gateway, prev, jid uint64) (uint64, error) {
	id, ok := s.gatewayID(of)
	if !ok || prev == 0 {
		return 0, nil
	}
	var other int64
	err := s.reader.QueryRowContext(ctx, `SELECT jid FROM epochs WHERE gateway = ? AND prev_jid = ? AND jid <> ? LIMIT 1`,
		id, int64(prev), int64(jid)).Scan(&other)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look up epochs of %s: %w", of, err)
	}
	return uint64(other), nil
}

// Anchor returns what ties a boot to the wall clock.
func (s *Store) Anchor(ctx context.Context, of intake.Gateway, boot [16]byte) (a intake.Anchor, ok bool, err error) {
	id, known := s.gatewayID(of)
	if !known {
		return a, false, nil
	}
	var mono, wall int64
	err = s.reader.QueryRowContext(ctx, `SELECT mono_ms, wall_ms FROM boots WHERE gateway = ? AND boot = ?`, id, boot[:]).Scan(&mono, &wall)
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, nil
	}
	if err != nil {
		return a, false, fmt.Errorf("look up boot of %s: %w", of, err)
	}
	return intake.Anchor{Of: of, Boot: boot, Mono: durationOf(mono), Wall: time.UnixMilli(wall).UTC()}, true, nil
}

// Untimed returns up to limit entries that wait to be re-timed and whose boot
// has an anchor.
func (s *Store) Untimed(ctx context.Context, limit int) ([]intake.Retime, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT g.site, g.gateway, u.boot, u.jid, u.jseq, u.segment, u.offset, u.log
		FROM boots b JOIN untimed u ON u.gateway = b.gateway AND u.boot = b.boot
		JOIN gateways g ON g.id = u.gateway LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("look up untimed entries: %w", err)
	}
	defer rows.Close()
	var out []intake.Retime
	for rows.Next() {
		var r intake.Retime
		var boot []byte
		var jid, jseq, segment int64
		if err := rows.Scan(&r.Of.Site, &r.Of.Gateway, &boot, &jid, &jseq, &segment, &r.At.Offset, &r.At.Log); err != nil {
			return nil, fmt.Errorf("look up untimed entries: %w", err)
		}
		copy(r.Boot[:], boot)
		r.JID, r.JSeq, r.At.Segment = uint64(jid), uint64(jseq), uint64(segment)
		out = append(out, r)
	}
	return out, rows.Err()
}

func (s *Store) gatewayID(of intake.Gateway) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gateways[of]
	if g == nil {
		return 0, false
	}
	return g.id, true
}

// Events returns the newest events of a site, oldest first.
func (s *Store) Events(ctx context.Context, site string, limit int) ([]intake.Event, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT * FROM (SELECT e.id, g.site, g.gateway, e.at, e.type, e.jid, e.jseq, e.text, e.alarm
		FROM events e JOIN gateways g ON g.id = e.gateway WHERE g.site = ? ORDER BY e.id DESC LIMIT ?) ORDER BY id`, site, limit)
	if err != nil {
		return nil, fmt.Errorf("look up events of %s: %w", site, err)
	}
	defer rows.Close()
	var out []intake.Event
	for rows.Next() {
		var id, at int64
		var e intake.Event
		if err := rows.Scan(&id, &e.Of.Site, &e.Of.Gateway, &at, &e.Type, &e.JID, &e.JSeq, &e.Text, &e.Alarm); err != nil {
			return nil, fmt.Errorf("look up events of %s: %w", site, err)
		}
		e.At = timeOf(at)
		out = append(out, e)
	}
	return out, rows.Err()
}
