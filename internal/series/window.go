package series

import (
	"errors"
	"fmt"
	"time"

	"yunhe/internal/telemetry"
)

// Function says what a Window tells about the readings in it.
type Function string

// The functions. Count, First and Last take values of every type; the others
// leave points out whose values are no numbers.
const (
	Mean   Function = "mean"
	Min    Function = "min"
	Max    Function = "max"
	Sum    Function = "sum"
	Count  Function = "count"
	First  Function = "first" // by time
	Last   Function = "last"
	Spread Function = "spread" // maximum less minimum
)

// Functions returns all of them, for messages and documents.
func Functions() []Function { return []Function{Mean, Min, Max, Sum, Count, First, Last, Spread} }

// Numeric reports whether f takes numbers only.
func (f Function) Numeric() bool { return f != Count && f != First && f != Last }

// ParseFunction returns the function of this name.
func ParseFunction(s string) (Function, error) {
	for _, f := range Functions() {
		if s == string(f) {
			return f, nil
		}
	}
	return "", fmt.Errorf("unknown function %q: use one of %v", s, Functions())
}

// WindowQuery asks for one number a window. Either Every or Borders is given.
type WindowQuery struct {
	Query
	// Every is the length of windows whose borders are its multiples since
	// 1970-01-01T00:00Z; whole milliseconds. The first and the last window are
	// cut at From and To.
	Every time.Duration
	// Borders are the edges of the windows, rising: n+1 of them make n
	// windows. Day and month borders of a time zone are computed by the
	// caller. From and To are then left zero.
	Borders  []time.Time
	Function Function
}

// MaxBorders bounds WindowQuery.Borders.
const MaxBorders = 20000

// Window is what the readings of one point in [From, To) say. Readings with a
// failed clock are left out, as if they were not there.
type Window struct {
	Device   Device
	Point    string
	From, To time.Time
	// Value is of the chosen function, over good and uncertain readings. It is
	// none if there is no such reading.
	Value     telemetry.Value
	Count     int64 // readings with a value: good and uncertain
	Uncertain int64 // of these, uncertain
	Bad       int64 // readings without a value
}

// Worst returns the worst quality in the window.
func (w Window) Worst() telemetry.Quality {
	switch {
	case w.Bad > 0:
		return telemetry.Bad
	case w.Uncertain > 0:
		return telemetry.Uncertain
	default:
		return telemetry.Good
	}
}

// Check reports what is wrong with q.
func (q WindowQuery) Check() error {
	if _, err := ParseFunction(string(q.Function)); err != nil {
		return err
	}
	if len(q.Borders) == 0 {
		switch {
		case q.Every <= 0:
			return errors.New("the window query has neither a window length nor borders")
		case q.Every%time.Millisecond != 0:
			return fmt.Errorf("the window length %v is not in whole milliseconds", q.Every)
		}
		return q.Query.Check()
	}
	switch {
	case q.Every != 0:
		return errors.New("the window query has a window length and borders: give one of them")
	case !q.From.IsZero() || !q.To.IsZero():
		return errors.New("the window query has borders and a start or an end: the borders say both")
	case len(q.Borders) == 1 || len(q.Borders) > MaxBorders:
		return fmt.Errorf("the window query has %d borders: use 2 to %d", len(q.Borders), MaxBorders)
	}
	for i := 1; i < len(q.Borders); i++ {
		if !q.Borders[i-1].Before(q.Borders[i]) {
			return fmt.Errorf("the window query's border %d is not after the one before it", i+1)
		}
	}
	return q.Span().Check()
}

// Span returns the query for all readings that fall into some window.
func (q WindowQuery) Span() Query {
	s := q.Query
	if n := len(q.Borders); n > 0 {
		s.From, s.To = q.Borders[0], q.Borders[n-1]
	}
	return s
}
