package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// A page is what one short read transaction takes: no more rows or bytes than
// this, so that a slow caller never keeps the log from being checkpointed.
const (
	pageRows  = 2000
	pageBytes = 1 << 20
)

// Range reads page after page by key; between pages nothing is held.
func (s *Store) Range(ctx context.Context, q series.Query) iter.Seq2[series.Sample, error] {
	return func(yield func(series.Sample, error) bool) {
		fail := func(err error) { yield(series.Sample{}, fmt.Errorf("read range of %s: %w", q.Site, err)) }
		if err := q.Check(); err != nil {
			fail(err)
			return
		}
		devices, err := s.devices(ctx, q)
		if err != nil {
			fail(err)
			return
		}
		names, err := s.names(ctx, q.Points)
		if err != nil {
			fail(err)
			return
		}
		for _, d := range devices {
			from, to := q.Bounds()
			p := page{}
			for more := true; more; {
				if more, err = s.read(ctx, &p, d.id, from, to); err != nil {
					fail(err)
					return
				}
				for _, r := range p.rows {
					from = r.time + 1
					ok, err := yieldRow(d.Device, r, p.blobs[r.lo:r.hi], names, yield)
					if err != nil {
						fail(err)
					}
					if !ok || err != nil {
						return
					}
				}
			}
		}
	}
}

// Windows are computed here: reading a row costs SQLite more than adding up
// what is in it.
func (s *Store) Windows(ctx context.Context, q series.WindowQuery) iter.Seq2[series.Window, error] {
	if err := q.Check(); err != nil {
		return func(yield func(series.Window, error) bool) {
			yield(series.Window{}, fmt.Errorf("read windows of %s: %w", q.Site, err))
		}
	}
	return series.Aggregate(s.Range(ctx, q.Span()), q)
}

type storedDevice struct {
	series.Device
	id int64
}

// devices returns the devices q selects, in the order of answers.
func (s *Store) devices(ctx context.Context, q series.Query) ([]storedDevice, error) {
	var (
		all []storedDevice
		d   storedDevice
	)
	err := each(ctx, s.reader, "SELECT id, kind, site, gateway, device, unsigned FROM device WHERE site = ? AND unsigned = ?",
		[]any{q.Site, q.Unsigned},
		[]any{&d.id, &d.Kind, &d.Site, &d.Gateway, &d.ID, &d.Unsigned}, func() {
			if q.Matches(d.Device) {
				all = append(all, d)
			}
		})
	slices.SortFunc(all, func(a, b storedDevice) int { return a.Compare(b.Device) })
	return all, err
}

// names maps the ids of the wanted points to their names; no list wants all.
func (s *Store) names(ctx context.Context, wanted []string) (map[int64]string, error) {
	var (
		id   int64
		name string
	)
	names := map[int64]string{}
	err := each(ctx, s.reader, "SELECT id, name FROM point", nil, []any{&id, &name}, func() {
		if len(wanted) == 0 || slices.Contains(wanted, name) {
			names[id] = name
		}
	})
	return names, err
}

type storedRow struct {
	time        int64
	clockFailed bool
	lo, hi      int // of its blob in page.blobs
}

type page struct {
	rows  []storedRow
	blobs []byte
}

// read fills p with the rows of one device in [from, to); more says that it
// stopped before the end.
func (s *Store) read(ctx context.Context, p *page, device, from, to int64) (more bool, err error) {
	p.rows, p.blobs = p.rows[:0], p.blobs[:0]
	rows, err := s.reader.QueryContext(ctx,
		"SELECT time, clock_failed, fields FROM reading WHERE device = ? AND time >= ? AND time < ? ORDER BY time LIMIT ?", device, from, to, pageRows)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			r    storedRow
			blob sql.RawBytes
		)
		if err := rows.Scan(&r.time, &r.clockFailed, &blob); err != nil {
			return false, err
		}
		r.lo = len(p.blobs)
		p.blobs = append(p.blobs, blob...)
		r.hi = len(p.blobs)
		p.rows = append(p.rows, r)
		if len(p.blobs) >= pageBytes {
			return true, nil
		}
	}
	return len(p.rows) == pageRows, rows.Err()
}

// yieldRow yields the wanted readings of one row.
func yieldRow(d series.Device, r storedRow, blob []byte, names map[int64]string, yield func(series.Sample, error) bool) (bool, error) {
	s := series.Sample{Device: d, Time: telemetry.FromMillis(r.time), ClockFailed: r.clockFailed}
	for len(blob) > 0 {
		p, rest, err := nextField(blob)
		if err != nil {
			return false, fmt.Errorf("%s at %d ms: %w", d, r.time, err)
		}
		blob = rest
		name, wanted := names[p.id]
		if !wanted {
			continue
		}
		s.Point, s.Value, s.Quality = name, p.field.Value, p.field.Quality
		if !yield(s, nil) {
			return false, nil
		}
	}
	return true, nil
}
