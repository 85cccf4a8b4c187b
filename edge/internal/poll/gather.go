package poll

import (
	"math"
	"time"

	"yunhe/internal/telemetry"
)

// Metered is the policy of a link whose bytes cost money. Counters are
// recorded on quarter hours only. Of the other points the first reading of
// each Batch period is recorded, and then those that differ from the last
// recorded one by more than Deadband, up to MaxRows; the rows of a period are
// one message. A power cut loses the gauges of at most one period.
type Metered struct {
	Batch    time.Duration
	Deadband float64 // as a fraction of the last recorded value
	MaxRows  int     // never fewer than the device has points
}

// gather holds the rows of the running period.
type gather struct {
	Metered
	rows []telemetry.Reading
	last map[string]telemetry.Reading // recorded in this period
	held uint64                       // changes left out because the batch was full
}

func newGather(m Metered) *gather {
	return &gather{Metered: m, last: map[string]telemetry.Reading{}}
}

// add takes the readings of one poll.
func (g *gather) add(rs []telemetry.Reading) {
	for _, r := range rs {
		last, seen := g.last[r.Point]
		switch {
		case seen && !g.moved(last, r):
		case seen && len(g.rows) >= g.MaxRows:
			g.held++
		default:
			g.last[r.Point] = r
			g.rows = append(g.rows, r)
		}
	}
}

// moved reports whether r says something that last does not.
func (g *gather) moved(last, r telemetry.Reading) bool {
	if last.Quality != r.Quality {
		return true
	}
	was, ok := last.Value.Number()
	is, alsoOK := r.Value.Number()
	if !ok || !alsoOK {
		return last.Value != r.Value
	}
	return math.Abs(is-was) > g.Deadband*math.Abs(was)
}

// flush returns the rows of the period that ends and starts a new one.
func (g *gather) flush() []telemetry.Reading {
	rows := g.rows
	g.rows = nil
	clear(g.last)
	return rows
}
