// Package evidence holds what a gateway signs: the content of an entry, its
// one deterministic encoding, the signature around it, and the two forms it
// travels in. docs/formats/evidence.md is the same in words, for a second
// implementation. The package performs no I/O but for the key file.
package evidence

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"yunhe/internal/telemetry"
)

// Limits on what is signed and on what is accepted from outside.
const (
	MaxEntry  = 256 << 10 // bytes of an attached entry and of a detached body
	MaxRows   = 5000      // readings in a batch
	MaxPoints = 1000      // points in a definition
	MaxText   = 1024      // bytes of a text value and of a reason
	MaxRaw    = 256       // bytes of registers beside one reading
	MaxNumber = 1<<53 - 1 // jid and jseq: exact in every language
)

// Kind says what an entry holds. The numbers are signed: they never change.
type Kind uint8

const (
	KindBatch      Kind = 1 // readings of one device
	KindDefinition Kind = 2 // a Definition: what the readings of a device mean
	KindEvent      Kind = 3 // an Event of the gateway itself
	KindRecord     Kind = 4 // a Record: commissioning, a site visit
)

// Valid reports whether k is one of the four kinds.
func (k Kind) Valid() bool { return k >= KindBatch && k <= KindRecord }

// String returns batch, definition, event or record.
func (k Kind) String() string {
	switch k {
	case KindBatch:
		return "batch"
	case KindDefinition:
		return "definition"
	case KindEvent:
		return "event"
	case KindRecord:
		return "record"
	default:
		return fmt.Sprintf("invalid kind %d", uint8(k))
	}
}

// Hash is a SHA-256. The zero Hash stands for "none".
type Hash [32]byte

// IsZero reports whether h is "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives the hexadecimal form, for JSON and YAML.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (h *Hash) UnmarshalText(b []byte) error { return unhex(h[:], string(b), "hash") }

// ParseHash reads 64 hexadecimal digits.
func ParseHash(s string) (h Hash, err error) { return h, h.UnmarshalText([]byte(s)) }

// KeyID names a key: the first 16 bytes of the SHA-256 of its SPKI DER form.
type KeyID [16]byte

// String returns 32 hexadecimal digits.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// Fingerprint returns how the fingerprint of the key begins, for messages to
// people, who see fingerprints in lists: a key id holds half of one.
func (k KeyID) Fingerprint() string {
	const whole = 15 // bytes that fill base64 digits of their own
	return fingerprintPrefix + base64.RawStdEncoding.EncodeToString(k[:whole]) + "…"
}

// MarshalText gives the hexadecimal form, for JSON and YAML.
func (k KeyID) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *KeyID) UnmarshalText(b []byte) error { return unhex(k[:], string(b), "key id") }

// ParseKeyID reads 32 hexadecimal digits.
func ParseKeyID(s string) (k KeyID, err error) { return k, k.UnmarshalText([]byte(s)) }

func unhex(dst []byte, s, what string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("%q is not a %s: use %d hexadecimal digits", s, what, 2*len(dst))
	}
	copy(dst, b)
	return nil
}

// Content is what is signed:
// [1, kind, jid, jseq, prev, trec, clock, defhash, rows].
type Content struct {
	Kind Kind
	// JID names the epoch of a journal, JSeq counts its entries from 1.
	// Both are 1 to MaxNumber.
	JID, JSeq uint64
	// Prev is the Hash of the entry before in this epoch; zero for JSeq 1.
	Prev Hash
	// Recorded is when the entry was made; UTC, whole milliseconds, 1970 or later.
	Recorded time.Time
	Clock    telemetry.Clock
	// DefHash is HashOf the Definition that gives the readings their meaning:
	// set for KindBatch, zero for the other kinds.
	DefHash Hash
	// Readings of KindBatch, sorted by (time, name), no two alike in both.
	Readings []telemetry.Reading
	// Data of the other kinds: an encoded Definition, Event or Record.
	Data []byte
}

// Entry is a signed Content.
type Entry struct {
	Content Content
	Alg     int // COSE algorithm
	KeyID   KeyID
	// Hash is the SHA-256 of the COSE Sig_structure: of what is signed, not of
	// the signature, so that a second signature over the same content is no
	// second entry. Prev of the next entry repeats it.
	Hash Hash
	// Bytes is the deterministic tagged COSE_Sign1 with its content attached:
	// what is journalled and stored.
	Bytes []byte
}

// HashOf returns the SHA-256 of an encoded Definition, the DefHash of its
// batches.
func HashOf(data []byte) Hash { return sha256.Sum256(data) }
