package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
)

// rawSegments notes which segments of the raw log a flush has written to.
func (w *flush) rawSegments(f *intake.Flush) error {
	last := uint64(0)
	for i := range f.Entries {
		at := f.Entries[i].At
		if at.Log != intake.RawLog || at.Segment == last {
			continue
		}
		if err := w.exec(w.stmts.addRaw, int64(at.Segment), millis(w.now)); err != nil {
			return fmt.Errorf("note raw segment: %w", err)
		}
		last = at.Segment
	}
	return nil
}

// StaleRaw returns up to limit segments of the raw log, oldest first, that got
// no entry since a time. Those of which nothing is known are not among them.
func (s *Store) StaleRaw(ctx context.Context, since time.Time, limit int) ([]uint64, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT segment FROM raw_segments WHERE newest < ? ORDER BY segment LIMIT ?`, millis(since), limit)
	if err != nil {
		return nil, fmt.Errorf("look up raw segments: %w", err)
	}
	defer rows.Close()
	var out []uint64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("look up raw segments: %w", err)
		}
		out = append(out, uint64(n))
	}
	return out, rows.Err()
}

// ForgetRaw notes that segments of the raw log are deleted. The numbers of
// their entries stay known, so a re-send is still a duplicate and never stored
// again; entries that waited there for the time of their boot wait no longer.
func (s *Store) ForgetRaw(ctx context.Context, segments []uint64) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("forget raw segments: %w", err)
	}
	for _, id := range segments {
		_, err1 := tx.ExecContext(ctx, `DELETE FROM raw_segments WHERE segment = ?`, int64(id))
		_, err2 := tx.ExecContext(ctx, `DELETE FROM untimed WHERE log = ? AND segment = ?`, intake.RawLog, int64(id))
		if err := errors.Join(err1, err2); err != nil {
			tx.Rollback() // the first error says why
			return fmt.Errorf("forget raw segment %d: %w", id, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("forget raw segments: %w", err)
	}
	return nil
}
