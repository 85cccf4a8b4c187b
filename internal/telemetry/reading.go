package telemetry

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Quality says how far a reading may be trusted. The numbers are signed and
// stored: they never change.
type Quality uint8

const (
	Good      Quality = 0 // read and decoded without objection
	Uncertain Quality = 1 // has a value, and a reason to doubt it
	Bad       Quality = 2 // has no value
)

// String returns good, uncertain or bad.
func (q Quality) String() string {
	switch q {
	case Good:
		return "good"
	case Uncertain:
		return "uncertain"
	case Bad:
		return "bad"
	default:
		return fmt.Sprintf("invalid quality %d", uint8(q))
	}
}

// ParseQuality is the inverse of Quality.String.
func ParseQuality(s string) (Quality, error) {
	for _, q := range []Quality{Good, Uncertain, Bad} {
		if s == q.String() {
			return q, nil
		}
	}
	return 0, fmt.Errorf("unknown quality %q: use good, uncertain or bad", s)
}

// Reading is one value of one point at one time.
type Reading struct {
	Point   string    // name within its device
	Time    time.Time // when the block that holds it was read; UTC, whole milliseconds
	Type    Type      // the point's type, also when there is no value
	Value   Value     // of that type; no value when Quality is Bad
	Quality Quality
	// Raw holds the register bytes as read, for every counter and for every
	// reading that could not be decoded; nil otherwise.
	Raw []byte
}

// Check reports what makes r no reading: a bad name, an unknown type or
// quality, a value of another type, a value beside quality bad.
func (r Reading) Check() error {
	if err := CheckPoint(r.Point); err != nil {
		return err
	}
	switch {
	case !r.Type.Valid():
		return fmt.Errorf("point %s: %s", r.Point, r.Type)
	case r.Quality > Bad:
		return fmt.Errorf("point %s: %s", r.Point, r.Quality)
	case r.Quality == Bad && !r.Value.IsZero():
		return fmt.Errorf("point %s: quality is bad and there is a value", r.Point)
	case r.Quality != Bad && r.Value.Type() != r.Type:
		return fmt.Errorf("point %s: declared %s, value is %s", r.Point, r.Type, r.Value.Type())
	case r.Time.IsZero():
		return fmt.Errorf("point %s: no time", r.Point)
	}
	return nil
}

// SortReadings puts readings in the order in which they are signed: by time,
// then by point name.
func SortReadings(rs []Reading) {
	slices.SortFunc(rs, func(a, b Reading) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Point, b.Point))
	})
}

// Millis returns t in whole milliseconds since 1970, the form in which times
// are signed, sent and stored.
func Millis(t time.Time) int64 { return t.UnixMilli() }

// FromMillis is the inverse of Millis; the result is in UTC.
func FromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Batch is what one poll of one device gave; it is signed as a whole.
type Batch struct {
	Site, Gateway, Device string
	// Boundary marks the counters of a device read first in the poll that
	// starts on a UTC quarter hour; it has a journal of its own.
	Boundary bool
	Readings []Reading
}
