package ingest

import (
	"crypto/sha256"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
)

// Outcome is what became of a message.
type Outcome string

// The outcomes. Stored and Duplicate are acknowledged; Held and Equivocation
// are quarantined and rejected; the others are not answered, so the gateway
// keeps its data and tries again, but for Undefined, where the definition is
// asked for.
const (
	Stored       Outcome = "stored"
	Duplicate    Outcome = "duplicate"
	Held         Outcome = "held"
	Equivocation Outcome = "equivocation"
	Undefined    Outcome = "undefined" // its definition is not here yet
	UnknownKey   Outcome = "unknown_key"
	Invalid      Outcome = "invalid"  // undecodable, or the signature does not verify
	Unsigned     Outcome = "unsigned" // of another Sparkplug node, stored as such
	Status       Outcome = "status"   // births, deaths and what a gateway tells about itself
	Ignored      Outcome = "ignored"  // commands, births of devices
)

// arrival is a message after decoding.
type arrival struct {
	job
	topic   sparkplug.Topic
	node    intake.Gateway // as the topic names it: only where answers go
	outcome Outcome        // empty: to be decided where the stores are known
	reason  string

	signed bool // entry and key are set and the signature is valid
	entry  evidence.Entry
	epoch  *epoch
	key    intake.Key

	status  *sparkplug.Status // of a birth or NDATA
	death   bool
	rebirth bool         // an alias is unknown: ask the node for its births
	rows    []series.Row // of a batch, or of an unsigned node

	slots   []intake.Slot // of counters in rows
	boot    bool          // the rows wait for the time of their boot
	retimed bool          // the rows have corrected times
	shift   time.Duration // of a retimed one
}

// refuse settles the outcome with a sentence.
func (a *arrival) refuse(o Outcome, reason string) { a.outcome, a.reason = o, reason }

// of returns the gateway that the message is from: proven for signed ones.
func (a *arrival) of() intake.Gateway {
	if a.signed {
		return a.key.Of
	}
	return a.node
}

// item returns what is kept of a refused message.
func (a *arrival) item() intake.Item {
	it := intake.Item{
		ID: a.entry.Hash, Class: intake.Sample, Outcome: string(a.outcome), Reason: a.reason,
		Topic: a.Topic, At: a.At, Payload: a.Payload, Site: a.node.Site, Gateway: a.node.Gateway,
		JID: a.entry.Content.JID, JSeq: a.entry.Content.JSeq,
	}
	if it.ID.IsZero() {
		it.ID = sha256.Sum256(a.Payload)
	} else {
		it.KeyID = a.entry.KeyID.String()
	}
	if a.signed {
		it.Class, it.Site, it.Gateway = intake.Held, a.key.Of.Site, a.key.Of.Gateway
	}
	return it
}

// farFuture is how far after its arrival a time may lie before the clock that
// gave it counts as failed.
const farFuture = time.Hour

// earliest is the first time that a working clock can show.
var earliest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// absurd reports whether t cannot be right for a message that came at.
func absurd(t, at time.Time) bool { return t.Before(earliest) || t.After(at.Add(farFuture)) }
