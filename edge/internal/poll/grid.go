package poll

import (
	"time"

	"yunhe/internal/profile"
)

// quarter is the grid on which counters are read first: UTC quarter hours.
const quarter = 15 * time.Minute

// Grid is when a device is polled: every multiple of its periods, counted
// from UTC midnight, and every quarter hour.
type Grid struct{ Fast, Slow time.Duration }

// Due says what a poll at one tick reads.
type Due struct {
	Groups   profile.Groups
	Boundary bool // counters first, into the boundary journal
}

func onGrid(t time.Time, period time.Duration) bool { return t.Truncate(period).Equal(t) }

// At returns what is due at tick.
func (g Grid) At(tick time.Time) Due {
	d := Due{Boundary: onGrid(tick, quarter)}
	if onGrid(tick, g.Fast) {
		d.Groups |= profile.Fast
	}
	if onGrid(tick, g.Slow) {
		d.Groups |= profile.Slow
	}
	return d
}

// Next returns the first tick after t.
func (g Grid) Next(t time.Time) time.Time {
	first := t.Truncate(quarter).Add(quarter)
	for _, p := range []time.Duration{g.Fast, g.Slow} {
		if n := t.Truncate(p).Add(p); n.Before(first) {
			first = n
		}
	}
	return first
}

// catchUp is called when the poll of tick ended at now. It returns how many
// ticks passed meanwhile, which are left out, and the quarter hour among them,
// whose counters are read at once: late by seconds is better than never.
func (g Grid) catchUp(tick, now time.Time) (skipped uint64, missed time.Time) {
	if now.Sub(tick) > 24*time.Hour {
		return 1, time.Time{} // the clock was set; nobody waited that long
	}
	for t := g.Next(tick); !t.After(now); t = g.Next(t) {
		skipped++
		if onGrid(t, quarter) {
			missed = t
		}
	}
	return skipped, missed
}
