package influx

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// A page is one query's answer, held in memory while the caller works: no
// more values or bytes of text than about this. The first is small, so that a
// caller who wants little does not wait for much.
const (
	firstValues = 2_000
	pageRows    = 8 // at least, for very wide rows
	pageValues  = 50_000
	pageBytes   = 4 << 20
)

// Range reads each device page after page by time. Between pages the server
// is not asked for anything.
func (s *Store) Range(ctx context.Context, q series.Query) iter.Seq2[series.Sample, error] {
	return func(yield func(series.Sample, error) bool) {
		fail := func(err error) { yield(series.Sample{}, fmt.Errorf("read range of %s: %w", q.Site, err)) }
		if err := q.Check(); err != nil {
			fail(err)
			return
		}
		devices, fields, err := s.names(ctx, q)
		if err != nil {
			fail(err)
			return
		}
		for _, d := range devices {
			p := newPage(fields[d.Measurement()])
			size := firstValues
			from, to := q.Bounds()
			for more := true; more; {
				if more, err = s.read(ctx, p, d, from, to, max(pageRows, size/p.width)); err != nil {
					fail(err)
					return
				}
				size = min(4*size, pageValues)
				for i := range p.rows() {
					from = p.times[i] + 1
					if !p.yieldRow(d, i, yield) {
						return
					}
				}
			}
		}
	}
}

// page holds rows of one device.
type page struct {
	of     *columns
	list   string // the columns of a SELECT
	width  int
	column []place // by point
	clock  int     // column of the clock field, -1 if there is none
	times  []int64
	values []value // width of them a row
}

// place says in which columns a point's value and quality are; -1 is nowhere.
type place struct{ value, quality int }

func newPage(of *columns) *page {
	p := &page{of: of, clock: -1, column: make([]place, len(of.points))}
	var list strings.Builder
	add := func(name string) int {
		if p.width > 0 {
			list.WriteString(", ")
		}
		list.WriteString(ident(name))
		p.width++
		return p.width - 1
	}
	for i, point := range of.points {
		p.column[i] = place{-1, -1}
		if _, valued := of.numeric[point]; valued {
			p.column[i].value = add(point)
		}
		if of.qualities[point] {
			p.column[i].quality = add(point + series.QualitySuffix)
		}
	}
	if of.clock {
		p.clock = add(series.ClockField)
	}
	p.list = list.String()
	return p
}

func (p *page) rows() int { return len(p.times) }

// read fills p with at most limit rows of d in [from, to), oldest first; more
// says that it stopped before the end.
func (s *Store) read(ctx context.Context, p *page, d series.Device, from, to int64, limit int) (more bool, err error) {
	p.times, p.values = p.times[:0], p.values[:0]
	q := fmt.Sprintf("SELECT %s FROM %s WHERE %s AND time >= %s AND time < %s ORDER BY time LIMIT %d",
		p.list, ident(d.Measurement()), deviceIs(d), millis(from), millis(to), limit)
	size := 0
	err = s.query(ctx, q, func(c *cursor) error {
		for c.next() {
			ms, ok := c.time()
			if !ok || len(c.values) != p.width+1 || (len(p.times) > 0 && ms <= p.times[len(p.times)-1]) {
				return errors.New("a row is not as it was asked for")
			}
			p.times = append(p.times, ms)
			for _, v := range c.values[1:] {
				size += len(v.text)
				p.values = append(p.values, v)
			}
			if size >= pageBytes {
				return errStop
			}
		}
		return c.err
	})
	return len(p.times) == limit || size >= pageBytes, err
}

// deviceIs is the condition that holds for one device.
func deviceIs(d series.Device) string {
	return `"site" = ` + text(d.Site) + ` AND "gateway" = ` + text(d.Gateway) + ` AND "device" = ` + text(d.ID)
}

// yieldRow yields the readings of row i.
func (p *page) yieldRow(d series.Device, i int, yield func(series.Sample, error) bool) bool {
	row := p.values[i*p.width : (i+1)*p.width]
	at := func(column int) value {
		if column < 0 {
			return value{}
		}
		return row[column]
	}
	s := series.Sample{Device: d, Time: telemetry.FromMillis(p.times[i]), ClockFailed: at(p.clock).on}
	for n, c := range p.column {
		var ok bool
		if s.Value, s.Quality, ok = reading(at(c.value), at(c.quality)); !ok {
			continue
		}
		s.Point = p.of.points[n]
		if !yield(s, nil) {
			return false
		}
	}
	return true
}

// reading joins a value and its quality; ok is false if there is neither. A
// value beside quality bad was there before: it was written over.
func reading(v, q value) (telemetry.Value, telemetry.Quality, bool) {
	quality := telemetry.Quality(q.number)
	if q.kind == isNumber && quality == telemetry.Bad {
		return telemetry.Value{}, telemetry.Bad, true
	}
	switch v.kind {
	case isNumber:
		return telemetry.Float(v.number), quality, true
	case isBool:
		return telemetry.Bool(v.on), quality, true
	case isText:
		return telemetry.String(v.text), quality, true
	default:
		return telemetry.Value{}, 0, false
	}
}
