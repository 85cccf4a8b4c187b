package evidence

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"yunhe/internal/telemetry"
)

// Event is what happened to a gateway: Epoch, Loss, CounterFall or ClockStep.
type Event interface {
	// EventType returns epoch, loss, counter_fall or clock_step.
	EventType() string
	// Encode returns the one deterministic encoding of a valid event.
	Encode() ([]byte, error)
	// Check reports what makes it no event.
	Check() error
}

// Epoch starts a journal's chain of entries: it is the entry with JSeq 1.
type Epoch struct {
	Site    string `cbor:"site"`
	Gateway string `cbor:"gateway"`
	Journal string `cbor:"journal"` // raw, boundary or another
	Agent   string `cbor:"agent"`   // version of the program
	// The last entry of the epoch before; zero at the very first start, and
	// when the journal was lost.
	PrevJID  uint64 `cbor:"prev_jid"`
	PrevJSeq uint64 `cbor:"prev_jseq"`
	PrevHash Hash   `cbor:"prev_hash"`
}

// Loss declares that the entries Lo to Hi, both included, were deleted before
// they were acknowledged.
type Loss struct {
	JID      uint64 `cbor:"jid"`
	Lo       uint64 `cbor:"lo"`
	Hi       uint64 `cbor:"hi"`
	LastHash Hash   `cbor:"last_hash"` // of entry Hi; zero if it could not be read
	Reason   string `cbor:"reason"`
}

// CounterFall declares that a counter stands lower than before.
type CounterFall struct {
	Device string `cbor:"device"`
	Point  string `cbor:"point"`
	From   []byte `cbor:"from"` // register bytes before
	To     []byte `cbor:"to"`   // register bytes now
}

// ClockStep declares that the wall clock was set; times in milliseconds since
// 1970.
type ClockStep struct {
	FromMs int64  `cbor:"from_ms"`
	ToMs   int64  `cbor:"to_ms"`
	Reason string `cbor:"reason"`
}

const (
	eventEpoch       = "epoch"
	eventLoss        = "loss"
	eventCounterFall = "counter_fall"
	eventClockStep   = "clock_step"
)

// EventType returns epoch.
func (Epoch) EventType() string { return eventEpoch }

// EventType returns loss.
func (Loss) EventType() string { return eventLoss }

// EventType returns counter_fall.
func (CounterFall) EventType() string { return eventCounterFall }

// EventType returns clock_step.
func (ClockStep) EventType() string { return eventClockStep }

// Encode returns the one deterministic encoding.
func (e Epoch) Encode() ([]byte, error) { return encodeEvent(e) }

// Encode returns the one deterministic encoding.
func (e Loss) Encode() ([]byte, error) { return encodeEvent(e) }

// Encode returns the one deterministic encoding.
func (e CounterFall) Encode() ([]byte, error) { return encodeEvent(e) }

// Encode returns the one deterministic encoding.
func (e ClockStep) Encode() ([]byte, error) { return encodeEvent(e) }

// Check reports what makes e no start of an epoch.
func (e Epoch) Check() error {
	if err := cmp.Or(telemetry.CheckID(e.Site), telemetry.CheckID(e.Gateway),
		checkNeeded("journal", e.Journal, maxShortText), checkNeeded("agent", e.Agent, maxShortText)); err != nil {
		return err
	}
	if none := e.PrevJID == 0; none != (e.PrevJSeq == 0) || none != e.PrevHash.IsZero() {
		return errors.New("the entry before has jid, jseq and hash, or none of them")
	}
	if e.PrevJID > MaxNumber || e.PrevJSeq > MaxNumber {
		return errors.New("jid and jseq of the entry before are at most 2^53-1")
	}
	return nil
}

// Check reports what makes e no loss.
func (e Loss) Check() error {
	if e.JID == 0 || e.JID > MaxNumber || e.Lo == 0 || e.Lo > e.Hi || e.Hi > MaxNumber {
		return fmt.Errorf("entries %d:%d-%d: jid and jseq are 1 to 2^53-1, the first not after the last", e.JID, e.Lo, e.Hi)
	}
	return checkText("reason", e.Reason, MaxText)
}

// Check reports what makes e no fall of a counter.
func (e CounterFall) Check() error {
	if err := cmp.Or(telemetry.CheckID(e.Device), telemetry.CheckPoint(e.Point)); err != nil {
		return err
	}
	if len(e.From) == 0 || len(e.From) > MaxRaw || len(e.To) == 0 || len(e.To) > MaxRaw {
		return fmt.Errorf("point %s: 1 to %d register bytes are needed before and now", e.Point, MaxRaw)
	}
	return nil
}

// Check reports what makes e no step of the clock.
func (e ClockStep) Check() error {
	if e.FromMs < 0 || e.FromMs > maxMillis || e.ToMs < 0 || e.ToMs > maxMillis {
		return errors.New("the times are not between 1970 and 9999")
	}
	return checkText("reason", e.Reason, MaxText)
}

// eventForm is the encoded form: [type, {…}].
type eventForm struct {
	_    struct{} `cbor:",toarray"`
	Type string
	Body cbor.RawMessage
}

func encodeEvent(e Event) ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.EventType(), err)
	}
	body, err := dataEncoding.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.EventType(), err)
	}
	return encodeData(eventForm{Type: e.EventType(), Body: body})
}

// DecodeEvent is the strict inverse of Encode; it returns an Epoch, Loss,
// CounterFall or ClockStep, not a pointer.
func DecodeEvent(data []byte) (Event, error) {
	e, err := decodeEvent(data)
	if err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

func decodeEvent(data []byte) (Event, error) {
	var form eventForm
	if err := decodeData(data, &form); err != nil {
		return nil, err
	}
	switch form.Type {
	case eventEpoch:
		return decodeBody[Epoch](form.Body)
	case eventLoss:
		return decodeBody[Loss](form.Body)
	case eventCounterFall:
		return decodeBody[CounterFall](form.Body)
	case eventClockStep:
		return decodeBody[ClockStep](form.Body)
	default:
		return nil, fmt.Errorf("unknown type %.40q: update this program", form.Type)
	}
}

func decodeBody[E Event](body []byte) (Event, error) {
	var e E
	if err := decodeData(body, &e); err != nil {
		return nil, err
	}
	return e, e.Check()
}
