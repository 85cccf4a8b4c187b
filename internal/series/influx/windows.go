package influx

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// serverWindow is the shortest window that is left to the server. It takes
// 1.8 some 30 µs a window and some 4 µs to send a reading, so short windows
// are computed faster from the readings.
const serverWindow = time.Hour

// Windows lets the server compute windows of an hour and more, one page of a
// device after the other. A page in which the server cannot know which values
// count (a value was written over by a bad reading, or a clock had failed) is
// computed here, as short windows are.
func (s *Store) Windows(ctx context.Context, q series.WindowQuery) iter.Seq2[series.Window, error] {
	return func(yield func(series.Window, error) bool) {
		fail := func(err error) { yield(series.Window{}, fmt.Errorf("read windows of %s: %w", q.Site, err)) }
		if err := q.Check(); err != nil {
			fail(err)
			return
		}
		if len(q.Borders) == 0 && q.Every < serverWindow {
			series.Aggregate(s.Range(ctx, q.Span()), q)(yield)
			return
		}
		devices, fields, err := s.names(ctx, q.Span())
		if err != nil {
			fail(err)
			return
		}
		for _, d := range devices {
			f := fields[d.Measurement()]
			for span := range spans(q, len(f.points)) {
				found, err := s.windows(ctx, d, f, q, span)
				if err != nil {
					fail(err)
					return
				}
				for _, w := range found {
					if !yield(w, nil) {
						return
					}
				}
			}
		}
	}
}

// pageCells bounds windows × points of one page, borderWindows the windows of
// one page when each needs statements of its own.
const (
	pageCells     = 20_000
	borderWindows = 20
)

// span is a page of windows: with q.Every all windows in [from, to), else
// those between the borders.
type span struct {
	from, to int64
	borders  []time.Time
}

// spans cuts q into pages of whole windows.
func spans(q series.WindowQuery, points int) iter.Seq[span] {
	return func(yield func(span) bool) {
		n := max(1, pageCells/max(1, points))
		if len(q.Borders) > 0 {
			n = min(n, borderWindows)
			for i := 0; i < len(q.Borders)-1; i += n {
				b := q.Borders[i:min(i+n+1, len(q.Borders))]
				part := q
				part.Borders = b
				from, to := part.Span().Bounds()
				if !yield(span{from, to, b}) {
					return
				}
			}
			return
		}
		from, to := q.Bounds()
		for from < to {
			_, end := q.Edges(from)
			if every := q.Every.Milliseconds(); int64(n-1) < (to-end)/every {
				end += int64(n-1) * every
			} else {
				end = to
			}
			if !yield(span{from: from, to: end}) {
				return
			}
			from = end
		}
	}
}

// cell is one window of one point: its start and the point's place.
type cell struct {
	from  int64
	point int
}

// windowBatch is the statements for one page and what they found.
type windowBatch struct {
	device series.Device
	fields *columns
	query  series.WindowQuery
	q      strings.Builder
	take   []func(c *cursor, from int64) // one a statement
	found  map[cell]*series.Window
	local  bool // the server's numbers cannot be used
}

func (s *Store) windows(ctx context.Context, d series.Device, f *columns, q series.WindowQuery, page span) ([]series.Window, error) {
	b := &windowBatch{device: d, fields: f, query: q, found: map[cell]*series.Window{}}
	edges := []time.Time{telemetry.FromMillis(page.from), telemetry.FromMillis(page.to)}
	if len(page.borders) > 0 {
		edges = page.borders
	}
	for i := range len(edges) - 1 {
		part := series.Query{From: edges[i], To: edges[i+1]}
		from, to := part.Bounds()
		if f.clock {
			b.clock(from, to)
		}
		for p := range f.points {
			if q.Function.Numeric() && !f.numeric[f.points[p]] {
				if _, valued := f.numeric[f.points[p]]; valued {
					continue
				}
			}
			b.point(p, from, to)
			if len(b.take) >= statements {
				if err := b.send(ctx, s); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := b.send(ctx, s); err != nil {
		return nil, err
	}
	if b.local {
		return s.windowsHere(ctx, d, q, page)
	}
	return b.sorted(), nil
}

// windowsHere computes a page from its readings.
func (s *Store) windowsHere(ctx context.Context, d series.Device, q series.WindowQuery, page span) ([]series.Window, error) {
	q.Gateways, q.Devices = []string{d.Gateway}, []string{d.ID}
	if q.Borders = page.borders; len(q.Borders) == 0 {
		q.From, q.To = telemetry.FromMillis(page.from), telemetry.FromMillis(page.to)
	}
	var found []series.Window
	for w, err := range series.Aggregate(s.Range(ctx, q.Span()), q) {
		if err != nil {
			return nil, err
		}
		if w.Device == d {
			found = append(found, w)
		}
	}
	return found, nil
}

// add appends one statement; take gets each row with the start of its window.
func (b *windowBatch) add(selected, where string, from, to int64, take func(c *cursor, from int64)) {
	group := ""
	if b.query.Every > 0 {
		group = fmt.Sprintf(" GROUP BY time(%s) fill(none)", millis(b.query.Every.Milliseconds()))
	}
	fmt.Fprintf(&b.q, "SELECT %s FROM %s WHERE %s AND time >= %s AND time < %s%s%s;\n",
		selected, ident(b.device.Measurement()), deviceIs(b.device), millis(from), millis(to), where, group)
	b.take = append(b.take, func(c *cursor, at int64) { take(c, max(at, from)) })
}

// clock looks for readings with a failed clock.
func (b *windowBatch) clock(from, to int64) {
	name := ident(series.ClockField)
	b.add("count("+name+") AS n", " AND "+name+" = true", from, to, func(c *cursor, _ int64) {
		b.local = b.local || c.number("n") > 0
	})
}

// point asks for the function, the count, and the uncertain and bad readings.
func (b *windowBatch) point(p int, from, to int64) {
	name := b.fields.points[p]
	if _, valued := b.fields.numeric[name]; valued {
		b.add(b.function(name)+" AS v, count("+ident(name)+") AS n", "", from, to, func(c *cursor, at int64) {
			if n := c.number("n"); n > 0 {
				w := b.window(at, p)
				w.Count = int64(n)
				w.Value, _, _ = reading(c.column("v"), value{})
			}
		})
	}
	if !b.fields.qualities[name] {
		return
	}
	quality := ident(name + series.QualitySuffix)
	b.add("count("+quality+") AS n", " AND "+quality+" = 1", from, to, func(c *cursor, at int64) {
		if n := c.number("n"); n > 0 {
			b.window(at, p).Uncertain = int64(n)
		}
	})
	selected := "count(" + quality + ") AS n"
	if _, valued := b.fields.numeric[name]; valued {
		selected += ", count(" + ident(name) + ") AS v"
	}
	b.add(selected, " AND "+quality+" = 2", from, to, func(c *cursor, at int64) {
		b.local = b.local || c.number("v") > 0
		if n := c.number("n"); n > 0 {
			b.window(at, p).Bad = int64(n)
		}
	})
}

// function writes the call for one point.
func (b *windowBatch) function(point string) string {
	return string(b.query.Function) + "(" + ident(point) + ")"
}

// window returns the window of a point that starts at or holds the time at.
func (b *windowBatch) window(at int64, p int) *series.Window {
	from, to := b.query.Edges(at)
	w := b.found[cell{from, p}]
	if w == nil {
		w = &series.Window{Device: b.device, Point: b.fields.points[p], From: telemetry.FromMillis(from), To: telemetry.FromMillis(to)}
		b.found[cell{from, p}] = w
	}
	return w
}

// send asks the server and takes its answers.
func (b *windowBatch) send(ctx context.Context, s *Store) error {
	if len(b.take) == 0 {
		return nil
	}
	err := s.query(ctx, b.q.String(), func(c *cursor) error {
		if c.statement < 0 || c.statement >= len(b.take) {
			return fmt.Errorf("answer to statement %d of %d", c.statement, len(b.take))
		}
		for c.next() {
			ms, ok := c.time()
			if !ok {
				return fmt.Errorf("a window without a time")
			}
			b.take[c.statement](c, ms)
		}
		return c.err
	})
	b.q.Reset()
	b.take = b.take[:0]
	return err
}

// sorted returns the windows by start and point.
func (b *windowBatch) sorted() []series.Window {
	all := make([]series.Window, 0, len(b.found))
	for _, w := range b.found {
		all = append(all, *w)
	}
	slices.SortFunc(all, func(x, y series.Window) int {
		if c := x.From.Compare(y.From); c != 0 {
			return c
		}
		return strings.Compare(x.Point, y.Point)
	})
	return all
}
