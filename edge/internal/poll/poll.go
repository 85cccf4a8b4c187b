// Package poll reads devices on a grid of the wall clock and decides what of
// it is worth signing. A Device is one device; its Run polls on time, its Poll
// does one poll, so a history made under a stepped clock takes the same path.
//
// What a poll promises: polls of a device never overlap, a late one is left
// out and counted; on UTC quarter hours the counters are read first and handed
// over as a batch of their own; a register that a device refuses costs only
// the readings that need it; a reading that stays bad is repeated on quarter
// hours, so that a dead device is neither silent nor fills the journal.
package poll

import (
	"context"
	"log/slog"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// Reader is a device on its bus.
type Reader interface {
	// Read returns the bytes of an answer and when it arrived. An error with a
	// method Illegal() bool that says true is a refusal of this block; any
	// other means that the device gave no answer.
	Read(ctx context.Context, table profile.Table, address, count uint16) ([]byte, time.Time, error)
}

// Sink takes what is worth keeping. It may block until there is room.
type Sink interface {
	Batch(ctx context.Context, b Batch) error
	Event(ctx context.Context, e evidence.Event) error
}

// Batch is what is signed together.
type Batch struct {
	Boundary bool // counters on a quarter hour
	Meaning  *Meaning
	Readings []telemetry.Reading
}

// Meaning is a device's definition, encoded once.
type Meaning struct {
	evidence.Definition
	Data []byte
	Hash evidence.Hash
}

// NewMeaning encodes d.
func NewMeaning(d evidence.Definition) (*Meaning, error) {
	data, err := d.Encode()
	if err != nil {
		return nil, err
	}
	return &Meaning{Definition: d, Data: data, Hash: evidence.HashOf(data)}, nil
}

// Config describes one device to poll.
type Config struct {
	Site, Gateway, Device string
	Profile               *profile.Profile // nil: walk the SunSpec model chain
	Points                []string         // empty: all that the profile enables
	Fast, Slow            time.Duration    // of the grid
	Metered               *Metered         // nil: record every poll
	Reader                Reader
	Sink                  Sink
	Clock                 telemetry.Source
	Logger                *slog.Logger
	// Changed is called when the points or the identity of the device change;
	// nil ignores it.
	Changed func()
}

// Status is the state of a device's polls.
type Status struct {
	Profile   string
	Serial    string
	State     State
	LastGood  time.Time
	Points    int
	Bad       int // points without a value in their newest reading
	Refused   int // register ranges the device refuses
	Polls     uint64
	Skipped   uint64 // ticks left out because the poll before was not over
	LastError string
}

// State says in a word how a device is.
type State string

// The states of a device.
const (
	Starting   State = "starting"
	Good       State = "good"
	PartlyBad  State = "partly bad"
	Dead       State = "dead"
	OtherModel State = "other model"
)
