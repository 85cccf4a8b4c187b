package poll

import (
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

// memory is what a device's earlier polls say about the newest one.
type memory struct {
	bad      map[string]bool
	counters map[string]counter
}

// counter is the newest good reading of a counter.
type counter struct {
	value  float64
	raw    []byte
	fellAt time.Time // of the newest declared fall
}

// fallPause keeps a flickering counter from filling the journal with events.
const fallPause = time.Minute

func newMemory() *memory {
	return &memory{bad: map[string]bool{}, counters: map[string]counter{}}
}

// news returns the readings worth recording: all that have a value, and bad
// ones when they turn bad. A reading that stays bad is repeated when repeat is
// set, which is on quarter hours: a dead device is neither silent nor does it
// fill the journal. The result reuses the memory of rs.
func (m *memory) news(rs []telemetry.Reading, repeat bool) []telemetry.Reading {
	out := rs[:0]
	for _, r := range rs {
		bad := r.Quality == telemetry.Bad
		if bad && m.bad[r.Point] && !repeat {
			continue
		}
		m.bad[r.Point] = bad
		out = append(out, r)
	}
	return out
}

// falls returns a signed event for each counter that stands lower than
// before. Why it fell (exchange, rollover, restart, fault) is for later.
func (m *memory) falls(device string, rs []telemetry.Reading, isCounter func(string) bool) []evidence.CounterFall {
	var out []evidence.CounterFall
	for _, r := range rs {
		if r.Quality == telemetry.Bad || len(r.Raw) == 0 || !isCounter(r.Point) {
			continue
		}
		v, ok := r.Value.Number()
		if !ok {
			continue
		}
		before, known := m.counters[r.Point]
		now := counter{value: v, raw: r.Raw, fellAt: before.fellAt}
		if known && v < before.value && r.Time.Sub(before.fellAt) >= fallPause {
			out = append(out, evidence.CounterFall{Device: device, Point: r.Point, From: before.raw, To: r.Raw})
			now.fellAt = r.Time
		}
		m.counters[r.Point] = now
	}
	return out
}
