package evidence

import (
	"crypto/sha256"
	"errors"

	"yunhe/internal/telemetry"
)

var errStub = errors.New("not written yet")

func sha256Sum(b []byte) Hash { return sha256.Sum256(b) }

// Parse decodes an attached entry strictly: the one canonical encoding within
// the limits, else an error. It does not verify the signature. The entry
// keeps b.
func Parse(b []byte) (Entry, error) { return Entry{}, errStub }

// Verify checks the signature of e.Bytes with k.
func (e Entry) Verify(k PublicKey) error { return errStub }

// Detached returns what travels in Payload.body of the DDATA whose metrics
// are the readings of a batch.
func (e Entry) Detached() ([]byte, error) { return nil, errStub }

// IsDetached tells a detached body from an attached entry by its first byte.
func IsDetached(body []byte) bool { return len(body) > 0 && body[0] == 0x8b }

// Rebuild puts a batch together again from a detached body and the readings
// of the metrics, in any order and without Raw. If nobody changed either, the
// result equals the signed entry byte for byte; whether they did, Verify says.
func Rebuild(body []byte, rs []telemetry.Reading) (Entry, error) { return Entry{}, errStub }

// PrivateKey signs entries.
type PrivateKey struct{ public PublicKey }

// LoadOrCreateKey loads the PKCS#8 PEM file at path, or makes a new Ed25519
// key there (mode 0600, on disk before it returns). A file that others may
// read is refused.
func LoadOrCreateKey(path string) (k *PrivateKey, created bool, err error) {
	return nil, false, errStub
}

// NewKeyFromSeed returns the Ed25519 key of a 32-byte seed, for tests and demos.
func NewKeyFromSeed(seed []byte) (*PrivateKey, error) { return nil, errStub }

// Public returns the public half.
func (k *PrivateKey) Public() PublicKey { return k.public }

// Sign brings c into canonical form (times in whole milliseconds, readings
// sorted), checks it and signs it. c is not changed.
func (k *PrivateKey) Sign(c Content) (Entry, error) { return Entry{}, errStub }

// PublicKey verifies entries. Its zero value verifies nothing.
type PublicKey struct{ id KeyID }

// ParsePublicKey reads the one-line form "yunhe-ed25519 <base64>".
func ParsePublicKey(text string) (PublicKey, error) { return PublicKey{}, errStub }

// String returns the one-line form that is enrolled.
func (k PublicKey) String() string { return "" }

// ID returns the key's id.
func (k PublicKey) ID() KeyID { return k.id }

// Alg returns the COSE algorithm of the key's signatures.
func (k PublicKey) Alg() int { return -8 }

// Fingerprint returns "SHA256:<base64>" of the SPKI DER form, for people.
func (k PublicKey) Fingerprint() string { return "" }

// Definition says what the readings of one device mean. Batches cite its
// hash, which does not depend on jid or jseq.
type Definition struct {
	Site, Gateway, Device           string
	Kind                            string // of device: the measurement in the series store
	Profile                         string
	ProfileVersion                  int
	ProfileHash                     Hash
	Vendor, Model, Serial, Firmware string // as read; empty if the device does not say
	Points                          []PointDef
}

// PointDef says what one point of a Definition means.
type PointDef struct {
	Name         string
	Quantity     telemetry.Quantity
	Unit         telemetry.Unit
	Class        telemetry.Class
	Type         telemetry.Type
	Table        string // register table
	Address      uint32 // zero-based
	RegisterType string
	WordOrder    string
	// Scale is the exact decimal that turns the register into Unit: required
	// for counters, empty where there is none (texts, flags, states).
	Scale       string
	CounterBits uint8 // width at which a counter wraps; 0 for others
}

// Encode returns the one deterministic encoding of a valid definition; its
// points are sorted by name.
func (d Definition) Encode() ([]byte, error) { return nil, errStub }

// Check reports what makes d no definition.
func (d Definition) Check() error { return errStub }

// CheckReadings reports the first reading that d does not explain: a point it
// does not name, another type, a counter with a value and no raw bytes.
func (d Definition) CheckReadings(rs []telemetry.Reading) error { return errStub }

// DecodeDefinition is the strict inverse of Encode.
func DecodeDefinition(data []byte) (Definition, error) { return Definition{}, errStub }

// Event is what happened to a gateway: Epoch, Loss, CounterFall or ClockStep.
type Event interface {
	// EventType returns epoch, loss, counter_fall or clock_step.
	EventType() string
	// Encode returns the one deterministic encoding of a valid event.
	Encode() ([]byte, error)
	Check() error
}

// Epoch starts a journal's chain of entries: it is the entry with JSeq 1.
type Epoch struct {
	Site, Gateway string
	Journal       string // raw or boundary
	Agent         string // version of the program
	// The last entry of the epoch before; zero at the very first start, and
	// when the journal was lost.
	PrevJID, PrevJSeq uint64
	PrevHash          Hash
}

// Loss declares that entries were deleted before they were acknowledged.
type Loss struct {
	JID, Lo, Hi uint64 // the entries Lo to Hi, both included
	LastHash    Hash   // of entry Hi; zero if it could not be read
	Reason      string
}

// CounterFall declares that a counter stands lower than before.
type CounterFall struct {
	Device, Point string
	From, To      []byte // register bytes
}

// ClockStep declares that the wall clock was set.
type ClockStep struct {
	FromMs, ToMs int64 // milliseconds since 1970
	Reason       string
}

func (Epoch) EventType() string       { return "epoch" }
func (Loss) EventType() string        { return "loss" }
func (CounterFall) EventType() string { return "counter_fall" }
func (ClockStep) EventType() string   { return "clock_step" }

func (e Epoch) Encode() ([]byte, error)       { return nil, errStub }
func (e Loss) Encode() ([]byte, error)        { return nil, errStub }
func (e CounterFall) Encode() ([]byte, error) { return nil, errStub }
func (e ClockStep) Encode() ([]byte, error)   { return nil, errStub }

func (e Epoch) Check() error       { return errStub }
func (e Loss) Check() error        { return errStub }
func (e CounterFall) Check() error { return errStub }
func (e ClockStep) Check() error   { return errStub }

// DecodeEvent is the strict inverse of Encode; it returns an Epoch, Loss,
// CounterFall or ClockStep, not a pointer.
func DecodeEvent(data []byte) (Event, error) { return nil, errStub }

// Record is what a person entered at the gateway: commissioning, a site visit.
type Record struct {
	Type                  string
	Site, Gateway, Device string // Device may be empty
	Body                  []byte
}

// Encode returns the one deterministic encoding of a valid record.
func (r Record) Encode() ([]byte, error) { return nil, errStub }

// Check reports what makes r no record.
func (r Record) Check() error { return errStub }

// DecodeRecord is the strict inverse of Encode.
func DecodeRecord(data []byte) (Record, error) { return Record{}, errStub }

// Chain checks the entries of one jid, given in order: numbers without holes,
// each Prev the Hash of the entry before. The first one given may be any.
type Chain struct{ last Entry }

// Next takes the next entry.
func (c *Chain) Next(e Entry) error { return errStub }
