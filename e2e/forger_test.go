package e2e

import (
	"crypto/rand"
	"math/big"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// forger signs what a gateway would, with a key of its own or a stolen one.
type forger struct {
	t       testing.TB
	gateway string // named in what it signs
	key     *evidence.PrivateKey
	jid     uint64
	next    uint64
	prev    evidence.Hash
	wire    *sparkplug.Session
	defHash evidence.Hash
}

func newForger(t testing.TB, gateway string, key *evidence.PrivateKey) *forger {
	t.Helper()
	jid, err := rand.Int(rand.Reader, big.NewInt(1<<52))
	if err != nil {
		t.Fatal(err)
	}
	return &forger{t: t, gateway: gateway, key: key, jid: jid.Uint64() + 1, next: 1, wire: sparkplug.NewSession(siteID, gateway, 0)}
}

// newKey makes a key that exists in the test only.
func newKey(t testing.TB) *evidence.PrivateKey {
	t.Helper()
	seed := make([]byte, 32)
	if _, err := rand.Read(seed); err != nil {
		t.Fatal(err)
	}
	k, err := evidence.NewKeyFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign signs content under the next number of the forger's epoch.
func (f *forger) sign(c evidence.Content) evidence.Entry {
	f.t.Helper()
	c.JID, c.JSeq, c.Prev = f.jid, f.next, f.prev
	e := f.signAs(c)
	f.next, f.prev = f.next+1, e.Hash
	return e
}

// signAs signs content under the number it has.
func (f *forger) signAs(c evidence.Content) evidence.Entry {
	f.t.Helper()
	if c.Recorded.IsZero() {
		c.Recorded = telemetry.FromMillis(time.Now().UnixMilli())
	}
	offset := time.Duration(0)
	c.Clock = telemetry.Clock{State: telemetry.Synchronised, Offset: &offset, BootID: [16]byte{1}, Mono: time.Hour}
	e, err := f.key.Sign(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

// opening returns the entries that come before the first batch: the start of
// the epoch and the definition of a device.
func (f *forger) opening(device string) []evidence.Entry {
	f.t.Helper()
	epoch, err := evidence.Epoch{Site: siteID, Gateway: f.gateway, Journal: "raw", Agent: "test"}.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	def, err := evidence.Definition{
		Site: siteID, Gateway: f.gateway, Device: device, Kind: "electricity_meter", Profile: "made-up", ProfileVersion: 1, ProfileHash: evidence.Hash{1},
		Points: []evidence.PointDef{{Name: "power", Quantity: "active_power", Unit: "W", Class: telemetry.Gauge,
			Type: telemetry.TypeFloat, Table: "input", RegisterType: "u32", WordOrder: "msw", Scale: "1"}},
	}.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	f.defHash = evidence.HashOf(def)
	return []evidence.Entry{
		f.sign(evidence.Content{Kind: evidence.KindEvent, Data: epoch}),
		f.sign(evidence.Content{Kind: evidence.KindDefinition, Data: def}),
	}
}

// power is the content of a batch with one value.
func (f *forger) power(w float64) evidence.Content {
	now := telemetry.FromMillis(time.Now().UnixMilli())
	return evidence.Content{Kind: evidence.KindBatch, DefHash: f.defHash, Readings: []telemetry.Reading{
		{Point: "power", Type: telemetry.TypeFloat, Time: now, Value: telemetry.Float(w)},
	}}
}

// message returns an entry as it goes over the wire.
func (f *forger) message(device string, e evidence.Entry) sparkplug.Message {
	f.t.Helper()
	now := time.Now()
	if e.Content.Kind != evidence.KindBatch {
		if e.Content.Kind == evidence.KindEvent {
			device = ""
		}
		return f.wire.Attached(device, e.Content.Kind.String(), e.Bytes, false, now)
	}
	body, err := e.Detached()
	if err != nil {
		f.t.Fatal(err)
	}
	return f.wire.DeviceData(device, e.Content.Readings, body, false, now)
}
