package poll

import "time"

// quarter is the grid on which counters are read first: UTC quarter hours.
const quarter = 15 * time.Minute

// grid is when a device is polled: every multiple of its periods, counted
// from UTC midnight, and every quarter hour.
type grid struct{ fast, slow time.Duration }

// due says what a poll at one tick reads.
type due struct {
	fast, slow bool
	boundary   bool // counters first, into the boundary journal
}

func onGrid(t time.Time, period time.Duration) bool { return t.Truncate(period).Equal(t) }

// at returns what is due at tick.
func (g grid) at(tick time.Time) due {
	return due{fast: onGrid(tick, g.fast), slow: onGrid(tick, g.slow), boundary: onGrid(tick, quarter)}
}

// next returns the first tick after t.
func (g grid) next(t time.Time) time.Time {
	first := t.Truncate(quarter).Add(quarter)
	for _, p := range []time.Duration{g.fast, g.slow} {
		if n := t.Truncate(p).Add(p); n.Before(first) {
			first = n
		}
	}
	return first
}

// catchUp is called when the poll of tick ended at now. It returns how many
// ticks passed meanwhile, which are left out, and the quarter hour among them,
// whose counters are read at once: late by seconds is better than never.
func (g grid) catchUp(tick, now time.Time) (skipped uint64, missed time.Time) {
	if now.Sub(tick) > 24*time.Hour {
		return 1, time.Time{} // the clock was set; nobody waited that long
	}
	for t := g.next(tick); !t.After(now); t = g.next(t) {
		skipped++
		if onGrid(t, quarter) {
			missed = t
		}
	}
	return skipped, missed
}
