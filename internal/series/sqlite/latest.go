package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// Latest looks for each point in the newest hour it was read in.
func (s *Store) Latest(ctx context.Context, q series.Query) ([]series.Sample, error) {
	found, err := s.latest(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read latest of %s: %w", q.Site, err)
	}
	return found, nil
}

func (s *Store) latest(ctx context.Context, q series.Query) ([]series.Sample, error) {
	if err := q.CheckLatest(); err != nil {
		return nil, err
	}
	devices, err := s.devices(ctx, q)
	if err != nil {
		return nil, err
	}
	names, err := s.names(ctx, q.Points)
	if err != nil {
		return nil, err
	}
	var all []series.Sample
	for _, d := range devices {
		searches, err := s.searches(ctx, d, q, names)
		if err != nil {
			return nil, err
		}
		n := len(all)
		for _, search := range searches {
			if all, err = s.search(ctx, d, search, names, all); err != nil {
				return nil, err
			}
		}
		slices.SortFunc(all[n:], func(a, b series.Sample) int { return strings.Compare(a.Point, b.Point) })
	}
	return all, nil
}

// search is a walk back over the rows in [from, to) until every missing point
// is found.
type search struct {
	from, to int64
	missing  map[int64]bool
}

// searches groups the points of a device by their newest hour, newest first.
// Points whose newest hour ends after the query does are sought from the
// query's end back to its start.
func (s *Store) searches(ctx context.Context, d storedDevice, q series.Query, names map[int64]string) ([]*search, error) {
	from, to := q.Bounds()
	groups := map[int64]*search{}
	var id, hour int64
	err := each(ctx, s.reader, "SELECT point, hour FROM seen WHERE device = ?", []any{d.id}, []any{&id, &hour}, func() {
		lo, hi := hour*hourMillis, (hour+1)*hourMillis
		if hi > to {
			lo, hi = from, to
		}
		if _, wanted := names[id]; !wanted || hi <= from {
			return
		}
		if groups[lo] == nil {
			groups[lo] = &search{from: max(lo, from), to: hi, missing: map[int64]bool{}}
		}
		groups[lo].missing[id] = true
	})
	return slices.SortedFunc(maps.Values(groups), func(a, b *search) int { return cmp.Compare(b.to, a.to) }), err
}

func (s *Store) search(ctx context.Context, d storedDevice, w *search, names map[int64]string, found []series.Sample) ([]series.Sample, error) {
	rows, err := s.reader.QueryContext(ctx,
		"SELECT time, clock_failed, fields FROM reading WHERE device = ? AND time >= ? AND time < ? ORDER BY time DESC", d.id, w.from, w.to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for len(w.missing) > 0 && rows.Next() {
		var (
			ms          int64
			clockFailed bool
			blob        sql.RawBytes
		)
		if err := rows.Scan(&ms, &clockFailed, &blob); err != nil {
			return nil, err
		}
		for rest := []byte(blob); len(rest) > 0; {
			var p packed
			if p, rest, err = nextField(rest); err != nil {
				return nil, fmt.Errorf("%s at %d ms: %w", d, ms, err)
			}
			if w.missing[p.id] {
				delete(w.missing, p.id)
				found = append(found, series.Sample{Device: d.Device, Time: telemetry.FromMillis(ms), Point: names[p.id],
					Value: p.field.Value, Quality: p.field.Quality, ClockFailed: clockFailed})
			}
		}
	}
	return found, rows.Err()
}
