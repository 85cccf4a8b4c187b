package query

import (
	"errors"
	"fmt"
	"time"
)

// calendar units of a Step
const (
	day   = 'd'
	month = 'm'
	year  = 'y'
)

// Step is the length of a window: a fixed duration whose borders lie on whole
// multiples since midnight UTC, or a day, month or year of the site's zone.
type Step struct {
	fixed    time.Duration
	calendar rune
	text     string
}

// IsZero reports whether there are no windows.
func (s Step) IsZero() bool { return s.fixed == 0 && s.calendar == 0 }

// String returns the step as it was asked for.
func (s Step) String() string { return s.text }

// Fixed returns the duration of a fixed step, 0 for a calendar one.
func (s Step) Fixed() time.Duration { return s.fixed }

// ParseStep reads 1s to 12h, dividing a day evenly, or day, month, year.
func ParseStep(s string) (Step, error) {
	switch s {
	case "day", "1d":
		return Step{calendar: day, text: "day"}, nil
	case "month", "1mo":
		return Step{calendar: month, text: "month"}, nil
	case "year", "1y":
		return Step{calendar: year, text: "year"}, nil
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return Step{}, errors.New("is no window: use e.g. 1m, 15m, 1h, day, month or year")
	case d >= 24*time.Hour:
		return Step{}, errors.New("is a day or longer: use day, month or year, whose length the site's zone decides")
	case d < time.Second || d%time.Second != 0 || (24*time.Hour)%d != 0:
		return Step{}, errors.New("does not divide a day into equal parts of whole seconds: use e.g. 1m, 5m, 15m, 30m, 1h, 6h")
	}
	return Step{fixed: d, text: shorten(d)}, nil
}

// shorten writes 15m, not 15m0s.
func shorten(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

// Count is an upper bound of the windows in d.
func (s Step) Count(d time.Duration) int {
	switch {
	case s.fixed > 0:
		return int(d/s.fixed) + 2
	case s.calendar == day:
		return int(d/(23*time.Hour)) + 2
	default:
		return int(d/(28*24*time.Hour)) + 2
	}
}

// Borders returns the borders of the windows of [from, to): from, every border
// of the step between, and to. The first and the last window may thus be
// shorter than the step; each says its own from and to.
func (s Step) Borders(from, to time.Time, zone *time.Location) []time.Time {
	out := []time.Time{from}
	for b := s.after(from, zone); b.Before(to); b = s.after(b, zone) {
		out = append(out, b)
	}
	return append(out, to)
}

// after returns the first border later than t.
func (s Step) after(t time.Time, zone *time.Location) time.Time {
	if s.fixed > 0 {
		return t.UTC().Truncate(s.fixed).Add(s.fixed)
	}
	y, m, d := t.In(zone).Date()
	for i := 1; ; i++ {
		var b time.Time
		switch s.calendar {
		case day:
			b = midnight(y, m, d+i, zone)
		case month:
			b = midnight(y, m+time.Month(i), 1, zone)
		default:
			b = midnight(y+i, time.January, 1, zone)
		}
		if b.After(t) { // not so only where a zone skipped a day
			return b.UTC()
		}
	}
}

// midnight returns the first moment of a day. Where a clock change skips
// 00:00, time.Date gives 23:00 of the day before; the day then begins at the
// moment of the change.
func midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	noon := time.Date(y, m, d, 12, 0, 0, 0, zone)
	if t.Day() == noon.Day() {
		return t
	}
	_, end := t.ZoneBounds()
	if !end.IsZero() && end.Before(noon) {
		return end
	}
	return t
}
