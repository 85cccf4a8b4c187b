// Package intake holds the words that the parts of a collector share: a
// message as it came, an enrolled key, and what one flush writes. It decides
// nothing and performs no I/O.
package intake

import (
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/series"
)

// Message is one MQTT message as it came.
type Message struct {
	Topic   string
	Payload []byte
	At      time.Time // when it arrived; UTC
}

// Gateway names a gateway, or another Sparkplug node, of a site.
type Gateway struct{ Site, Gateway string }

// String returns site/gateway.
func (g Gateway) String() string { return g.Site + "/" + g.Gateway }

// Key is one enrolment: a key bound to one gateway of one site.
type Key struct {
	Public           evidence.PublicKey
	Of               Gateway
	From             time.Time // when it was enrolled
	Revoked          time.Time // zero while it is valid
	CompromisedSince time.Time // zero unless revoked for that reason
}

// Epoch is what is known of one epoch of one journal of a gateway.
type Epoch struct {
	ID      int64 // of the records; 0 until it is first written
	Of      Gateway
	JID     uint64
	Journal string // raw or boundary; empty until its first entry came
	// Seen are the numbers stored, Held those in quarantine, Lost those the
	// gateway declared lost, Missing the holes already reported.
	Seen, Held, Lost, Missing evidence.Ranges
	// Prev is the last entry of the epoch before, as the first entry names it.
	PrevJID, PrevJSeq uint64
}

// Log names one of the two logs of the evidence store.
type Log uint8

// The logs. An entry of which it is not known that it is a raw batch is kept.
const (
	KeptLog Log = iota // never deleted
	RawLog             // batches of raw journals, kept for a time
)

// Place is where the signed bytes of an entry lie in the evidence store.
type Place struct {
	Log Log
	seglog.Position
}

// Entry is one stored entry.
type Entry struct {
	Epoch       *Epoch
	JSeq        uint64
	Hash        evidence.Hash
	At          Place
	ClockFailed bool // waits to be re-timed
	Boot        [16]byte
}

// Definition is one stored definition.
type Definition struct {
	Hash     evidence.Hash
	Data     []byte
	Recorded time.Time
	evidence.Definition
}

// Slot is one 15-minute slot of a device whose counters were touched.
type Slot struct {
	Device series.Device
	Start  int64 // ms since 1970
}

// Event is something to remember about a gateway.
type Event struct {
	Of    Gateway
	At    time.Time // when it was recorded there, or noticed here
	Type  string
	JID   uint64 // of the entry it came with; 0 if it came with none
	JSeq  uint64
	Text  string // one sentence for people
	Alarm bool   // someone should look
}

// Status is news about a gateway. Absent facts leave what is known.
type Status struct {
	Of         Gateway
	Unsigned   bool
	Seen       time.Time // zero: it was not heard of
	Death      bool      // it went offline
	ClockState string    // empty: no news
	ClockAt    time.Time // when that was so
	Offset     *time.Duration
	Told       bool // version and backlog are told
	Version    string
	Backlog    uint64
	Error      string // what it reported, or what was refused
}

// Anchor ties the monotonic time of one boot to the wall clock.
type Anchor struct {
	Of   Gateway
	Boot [16]byte
	Mono time.Duration
	Wall time.Time
}

// Retime names an entry whose rows were written again at corrected times.
type Retime struct {
	Of   Gateway
	Boot [16]byte
	JID  uint64
	JSeq uint64
	At   Place
}

// Flush is what one records transaction writes: all of it or nothing.
type Flush struct {
	Entries     []Entry
	Definitions []Definition
	Slots       []Slot
	Events      []Event
	Statuses    []Status
	Anchors     []Anchor
	Retimed     []Retime
	Epochs      []*Epoch     // touched, whose ranges are written
	Rows        []series.Row // for the live stream and the newest reading of devices
}

// Empty reports whether there is nothing to write.
func (f *Flush) Empty() bool {
	return len(f.Entries)+len(f.Definitions)+len(f.Slots)+len(f.Events)+len(f.Statuses)+
		len(f.Anchors)+len(f.Retimed)+len(f.Epochs)+len(f.Rows) == 0
}

// Class says in which budget of the quarantine an item lies.
type Class string

// The classes. Held items carry a valid signature.
const (
	Held   Class = "held"
	Sample Class = "sample"
)

// Item is one refused message in the quarantine.
type Item struct {
	ID      evidence.Hash `json:"id"` // of the entry, else of the payload
	Class   Class         `json:"class"`
	Outcome string        `json:"outcome"`
	Reason  string        `json:"reason"`
	Topic   string        `json:"topic"`
	At      time.Time     `json:"at"`
	Site    string        `json:"site,omitempty"` // of the key, if known
	Gateway string        `json:"gateway,omitempty"`
	KeyID   string        `json:"key_id,omitempty"`
	JID     uint64        `json:"jid,omitempty"`
	JSeq    uint64        `json:"jseq,omitempty"`
	Payload []byte        `json:"payload,omitempty"`
}
