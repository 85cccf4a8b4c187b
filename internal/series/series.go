// Package series is the contract for stores of readings: what may be written,
// what must be true afterwards, and how readings are read back. One suite,
// seriestest, holds every store to it.
//
// # What is stored
//
// A Row is what one device gave at one time. Its key is (device, time,
// point): writing the same key again replaces value, quality and clock flag,
// so a row may be written as often as anybody likes. Every number is stored as
// a 64-bit float and comes back as one, also if it was written as an unsigned
// integer: exact counters are read from the evidence, never from here. A bad
// reading has no value. Times are UTC in whole milliseconds.
//
// # Limits
//
// CheckRow states them. Some point names cannot be told apart from what a
// store adds to a row and are refused by every store: time, site, gateway,
// device, clock_failed, and every name that ends in _q.
package series

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"yunhe/internal/telemetry"
)

// Device names one device and the measurement its readings are kept in.
type Device struct {
	Kind    string // device kind of its definition, such as heat_pump
	Site    string
	Gateway string
	ID      string
	// Unsigned marks readings that came without evidence. They are kept in
	// measurements of their own and never mixed with signed ones: a Query
	// sees either the ones or the others.
	Unsigned bool
}

// UnsignedPrefix begins the measurement names of unsigned devices.
const UnsignedPrefix = "unsigned_"

// Measurement returns the name under which readings of d are kept.
func (d Device) Measurement() string {
	if d.Unsigned {
		return UnsignedPrefix + d.Kind
	}
	return d.Kind
}

// String returns site/gateway/device, for messages.
func (d Device) String() string { return d.Site + "/" + d.Gateway + "/" + d.ID }

// Compare gives the order of devices in every answer: site, gateway, id, kind,
// signed before unsigned.
func (d Device) Compare(e Device) int {
	unsigned := func(d Device) int {
		if d.Unsigned {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(d.Site, e.Site), cmp.Compare(d.Gateway, e.Gateway),
		cmp.Compare(d.ID, e.ID), cmp.Compare(d.Kind, e.Kind), cmp.Compare(unsigned(d), unsigned(e)))
}

// Row is what one device gave at one block time.
type Row struct {
	Device Device
	Time   time.Time // UTC, whole milliseconds
	// ClockFailed says that the gateway's clock was not to be trusted when
	// the readings were taken. Such readings are kept and found by Range and
	// Latest; Windows leaves them out.
	ClockFailed bool
	Fields      []Field // at least one, each point once, any order
}

// Field is one reading of a row.
type Field struct {
	Point   string
	Value   telemetry.Value // none when Quality is Bad
	Quality telemetry.Quality
}

// Rejected names a row that this store can never hold, however often it is
// tried, and says why in a sentence for people.
type Rejected struct {
	Row    int // index in the slice given to Write
	Reason string
}

// Sample is one stored reading. A number is always a float.
type Sample struct {
	Device      Device
	Time        time.Time
	Point       string
	Value       telemetry.Value
	Quality     telemetry.Quality
	ClockFailed bool
}

// Query selects readings of one site. An empty list selects all.
type Query struct {
	Site     string
	Gateways []string
	Devices  []string
	Points   []string
	Unsigned bool // false: signed devices only; true: unsigned devices only
	// From and To bound the time, From included, To not. Range and Windows
	// need both; for Latest a zero time is no bound.
	From, To time.Time
}

// Store keeps readings. Every method may be called at the same time as any
// other and ends soon after its context does.
type Store interface {
	// Write stores rows. It returns when the store has accepted all of them,
	// with as much durability as the store gives, and holds nothing back in
	// a queue of its own: a slow store makes Write slow, and that is the
	// back-pressure. The caller bounds it with the context's deadline.
	//
	// Rejected rows are those that alone can never be stored; every other row
	// is stored. If err is not nil nothing may be assumed about any row and
	// rejected is nil: write all of them again, which does no harm. An error
	// that is a *TryLaterError says how long the store asks to be left alone.
	// Later rows of one call win over earlier ones with the same key.
	Write(ctx context.Context, rows []Row) (rejected []Rejected, err error)

	// Latest returns the newest reading of each point, whatever its quality,
	// ordered by device and point. Late data does not move it back.
	Latest(ctx context.Context, q Query) ([]Sample, error)

	// Range yields the readings of q ordered by device, time and point, in
	// memory that does not grow with their number. It holds no lock and no
	// snapshot while the caller works: a reading written meanwhile may or may
	// not be among them. An error ends the sequence.
	Range(ctx context.Context, q Query) iter.Seq2[Sample, error]

	// Windows yields one Window for each device, window and point with at
	// least one reading, in this order. An error ends the sequence.
	Windows(ctx context.Context, q WindowQuery) iter.Seq2[Window, error]
}

// TryLaterError is a Write refused for now: the store is overloaded or away.
type TryLaterError struct {
	After time.Duration // what the store asked for; 0 if it did not say
	Err   error
}

// Error tells the cause and the wait.
func (e *TryLaterError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("%v (try again in %v)", e.Err, e.After)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *TryLaterError) Unwrap() error { return e.Err }
