package series

import (
	"iter"
	"maps"
	"slices"
	"sort"

	"yunhe/internal/telemetry"
)

// Aggregate computes the windows of q from samples, which must come in the
// order of Range over q.Span(). It is what Windows means; a store that lets
// its database compute must give the same. Memory is one accumulator a point
// of one device. The caller has checked q.
func Aggregate(samples iter.Seq2[Sample, error], q WindowQuery) iter.Seq2[Window, error] {
	return func(yield func(Window, error) bool) {
		grid := newGrid(q)
		a := aggregator{function: q.Function, points: map[string]*accumulator{}}
		for s, err := range samples {
			if err != nil {
				yield(Window{}, err)
				return
			}
			if s.ClockFailed {
				continue
			}
			ms := telemetry.Millis(s.Time)
			if len(a.points) == 0 || s.Device != a.device || ms < a.from || ms >= a.to {
				if !a.flush(yield) {
					return
				}
				a.device = s.Device
				a.from, a.to = grid.window(ms)
			}
			a.add(s)
		}
		a.flush(yield)
	}
}

// Edges returns the borders of the window of q that holds the time ms, which
// lies in q.Span(); the window is [from, to), in milliseconds.
func (q WindowQuery) Edges(ms int64) (from, to int64) { return newGrid(q).window(ms) }

// grid finds the window of a time.
type grid struct {
	every    int64
	from, to int64
	borders  []int64
}

func newGrid(q WindowQuery) grid {
	g := grid{every: q.Every.Milliseconds()}
	g.from, g.to = q.Span().Bounds()
	for _, b := range q.Borders {
		g.borders = append(g.borders, bound(b, minTime))
	}
	return g
}

func (g grid) window(ms int64) (from, to int64) {
	if len(g.borders) > 0 {
		i := sort.Search(len(g.borders), func(i int) bool { return g.borders[i] > ms })
		return g.borders[i-1], g.borders[i]
	}
	from = ms - ((ms%g.every)+g.every)%g.every
	return max(from, g.from), min(from+g.every, g.to)
}

type aggregator struct {
	function Function
	device   Device
	from, to int64
	points   map[string]*accumulator
}

type accumulator struct {
	count, uncertain, bad int64
	sum, low, high        float64
	first, last           telemetry.Value
	text                  bool // some value is no number
}

func (a *aggregator) add(s Sample) {
	p := a.points[s.Point]
	if p == nil {
		p = &accumulator{}
		a.points[s.Point] = p
	}
	if s.Quality == telemetry.Bad {
		p.bad++
		return
	}
	if s.Quality == telemetry.Uncertain {
		p.uncertain++
	}
	v, number := s.Value.Number()
	switch {
	case !number:
		p.text = true
	case p.count == 0:
		p.low, p.high = v, v
	default:
		p.low, p.high = min(p.low, v), max(p.high, v)
	}
	p.sum += v
	if p.count == 0 {
		p.first = s.Value
	}
	p.last = s.Value
	p.count++
}

// flush yields the windows of one device and span, and forgets them.
func (a *aggregator) flush(yield func(Window, error) bool) bool {
	for _, name := range slices.Sorted(maps.Keys(a.points)) {
		p := a.points[name]
		if p.text && a.function.Numeric() {
			continue
		}
		w := Window{
			Device: a.device, Point: name,
			From: telemetry.FromMillis(a.from), To: telemetry.FromMillis(a.to),
			Value: p.value(a.function),
			Count: p.count, Uncertain: p.uncertain, Bad: p.bad,
		}
		if !yield(w, nil) {
			return false
		}
	}
	clear(a.points)
	return true
}

func (p *accumulator) value(f Function) telemetry.Value {
	if p.count == 0 {
		return telemetry.Value{}
	}
	switch f {
	case Mean:
		return telemetry.Float(p.sum / float64(p.count))
	case Min:
		return telemetry.Float(p.low)
	case Max:
		return telemetry.Float(p.high)
	case Sum:
		return telemetry.Float(p.sum)
	case Spread:
		return telemetry.Float(p.high - p.low)
	case Count:
		return telemetry.Float(float64(p.count))
	case First:
		return p.first
	default:
		return p.last
	}
}
