package influx

import (
	"context"
	"fmt"
	"strings"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// Latest asks for the newest value and the newest quality of each point, each
// with what stands beside it, and takes the newer.
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
	devices, fields, err := s.names(ctx, q)
	if err != nil {
		return nil, err
	}
	var all []series.Sample
	b := latestBatch{store: s, keep: func(found []series.Sample) { all = append(all, found...) }}
	for _, d := range devices {
		f := fields[d.Measurement()]
		for i := range f.points {
			if err := b.add(ctx, latestAsk{d, f, i}, q); err != nil {
				return nil, err
			}
		}
	}
	return all, b.flush(ctx)
}

// latestAsk asks for one point of one device.
type latestAsk struct {
	device series.Device
	fields *columns
	point  int // in fields.points
}

// latestBatch gathers statements into requests.
type latestBatch struct {
	store *Store
	keep  func([]series.Sample)
	q     strings.Builder
	asks  []latestAsk // one a statement
}

func (b *latestBatch) add(ctx context.Context, a latestAsk, q series.Query) error {
	point := a.fields.points[a.point]
	_, valued := a.fields.numeric[point]
	quality := a.fields.qualities[point]
	name := point + series.QualitySuffix
	switch {
	case valued && quality:
		b.ask(a, q, "last("+ident(point)+") AS v, "+ident(name)+" AS q")
		b.ask(a, q, "last("+ident(name)+") AS q, "+ident(point)+" AS v")
	case valued:
		b.ask(a, q, "last("+ident(point)+") AS v")
	default:
		b.ask(a, q, "last("+ident(name)+") AS q")
	}
	if len(b.asks) < statements {
		return nil
	}
	return b.flush(ctx)
}

func (b *latestBatch) ask(a latestAsk, q series.Query, selected string) {
	if a.fields.clock {
		selected += ", " + ident(series.ClockField) + " AS c"
	}
	from, to := q.Bounds()
	fmt.Fprintf(&b.q, "SELECT %s FROM %s WHERE %s AND time >= %s AND time < %s;\n",
		selected, ident(a.device.Measurement()), deviceIs(a.device), millis(from), millis(to))
	b.asks = append(b.asks, a)
}

// flush sends what is gathered and keeps the newest of each ask.
func (b *latestBatch) flush(ctx context.Context) error {
	if len(b.asks) == 0 {
		return nil
	}
	newest := map[latestAsk]series.Sample{}
	err := b.store.query(ctx, b.q.String(), func(c *cursor) error {
		if c.statement < 0 || c.statement >= len(b.asks) {
			return fmt.Errorf("answer to statement %d of %d", c.statement, len(b.asks))
		}
		a := b.asks[c.statement]
		for c.next() {
			if s, ok := a.sample(c); ok && !s.Time.Before(newest[a].Time) {
				newest[a] = s
			}
		}
		return c.err
	})
	if err != nil {
		return err
	}
	var found []series.Sample
	for i, a := range b.asks {
		if s, ok := newest[a]; ok && (i == 0 || b.asks[i-1] != a) {
			found = append(found, s)
		}
	}
	b.keep(found)
	b.q.Reset()
	b.asks = b.asks[:0]
	return nil
}

// sample reads one row of an answer.
func (a latestAsk) sample(c *cursor) (series.Sample, bool) {
	ms, ok := c.time()
	if !ok {
		return series.Sample{}, false
	}
	s := series.Sample{Device: a.device, Point: a.fields.points[a.point], Time: telemetry.FromMillis(ms)}
	var v, q value
	for i, name := range c.columns {
		switch name {
		case "v":
			v = c.values[i]
		case "q":
			q = c.values[i]
		case "c":
			s.ClockFailed = c.values[i].on
		}
	}
	s.Value, s.Quality, ok = reading(v, q)
	return s, ok
}
