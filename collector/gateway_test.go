package collector

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// testGateway is a hand-made gateway: it signs with internal/evidence and
// speaks MQTT, and sends when it is told to.
type testGateway struct {
	t       *testing.T
	id      string
	key     *evidence.PrivateKey
	client  mqtt.Client
	session *sparkplug.Session
	jseq    uint64
	prev    evidence.Hash
	defhash evidence.Hash

	mu             sync.Mutex
	acked, refused evidence.Ranges
	states         []sparkplug.State
}

const testJID = 4711

func connectGateway(t *testing.T, url, id, user, password string) *testGateway {
	t.Helper()
	key, err := evidence.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	g := &testGateway{t: t, id: id, key: key, session: sparkplug.NewSession("tz", id, 0)}
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(user).SetUsername(user).SetPassword(password).
		SetProtocolVersion(4).SetAutoReconnect(false).SetDefaultPublishHandler(g.receive)
	g.client = mqtt.NewClient(o)
	if tok := g.client.Connect(); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
		t.Fatalf("gateway cannot connect: %v", tok.Error())
	}
	t.Cleanup(func() { g.client.Disconnect(0) })
	for _, f := range []string{sparkplug.CommandFilter("tz", id), sparkplug.StateTopic("host-1")} {
		if tok := g.client.Subscribe(f, 1, nil); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
			t.Fatalf("gateway cannot subscribe: %v", tok.Error())
		}
	}
	return g
}

func (g *testGateway) receive(_ mqtt.Client, m mqtt.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := sparkplug.ParseStateTopic(m.Topic()); ok {
		s, err := sparkplug.DecodeState(m.Payload())
		if err != nil {
			g.t.Error(err)
		}
		g.states = append(g.states, s)
		return
	}
	var p sparkplug.Payload
	if err := sparkplug.Decode(m.Payload(), &p); err != nil {
		g.t.Error(err)
		return
	}
	c, err := sparkplug.ParseCommand(&p)
	if err != nil {
		g.t.Error(err)
		return
	}
	ack, _ := evidence.ParseRanges(c.Ack)
	reject, _ := evidence.ParseRanges(c.Reject)
	g.acked.Union(ack)
	g.refused.Union(reject)
}

func (g *testGateway) answers() (acked, refused string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.acked.String(), g.refused.String()
}

func (g *testGateway) online() (online, told bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.states) == 0 {
		return false, false
	}
	return g.states[len(g.states)-1].Online, true
}

func (g *testGateway) publish(ms ...sparkplug.Message) {
	g.t.Helper()
	for _, m := range ms {
		if tok := g.client.Publish(m.Topic.String(), m.QoS, m.Retain, m.Payload); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
			g.t.Fatalf("publish: %v", tok.Error())
		}
	}
}

func (g *testGateway) sign(c evidence.Content) evidence.Entry {
	g.t.Helper()
	g.jseq++
	c.JID, c.JSeq, c.Prev, c.Recorded = testJID, g.jseq, g.prev, time.Now()
	c.Clock = telemetry.Clock{State: telemetry.Synchronised, BootID: [16]byte{1}, Mono: time.Hour}
	e, err := g.key.Sign(c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.prev = e.Hash
	return e
}

// begin is the epoch and the definition.
func (g *testGateway) begin() []sparkplug.Message {
	g.t.Helper()
	event, err := evidence.Epoch{Site: "tz", Gateway: g.id, Journal: "raw", Agent: "1.0"}.Encode()
	if err != nil {
		g.t.Fatal(err)
	}
	def, err := evidence.Definition{Site: "tz", Gateway: g.id, Device: "meter-1", Kind: "meter", Profile: "sdm630", ProfileVersion: 1,
		ProfileHash: evidence.HashOf(nil), Vendor: "Eastron", Model: "SDM630",
		Points: []evidence.PointDef{{Name: "import_total", Quantity: "active_energy_import", Unit: "kW.h", Class: telemetry.Counter,
			Type: telemetry.TypeFloat, Table: "input", Address: 72, RegisterType: "u32", WordOrder: "ABCD", Scale: "0.01", CounterBits: 32}},
	}.Encode()
	if err != nil {
		g.t.Fatal(err)
	}
	g.defhash = evidence.HashOf(def)
	e1 := g.sign(evidence.Content{Kind: evidence.KindEvent, Data: event})
	e2 := g.sign(evidence.Content{Kind: evidence.KindDefinition, Data: def})
	now := time.Now()
	return []sparkplug.Message{
		g.session.NodeBirth(sparkplug.Status{KeyID: g.key.Public().ID().String(), Version: "1.0", ClockState: telemetry.Synchronised}, now),
		g.session.Attached("", "event", e1.Bytes, false, now),
		g.session.Attached("meter-1", "definition", e2.Bytes, false, now),
	}
}

// batch is one reading, sent on the topic of a device.
func (g *testGateway) batch(device string, count uint32, at time.Time) sparkplug.Message {
	g.t.Helper()
	rs := []telemetry.Reading{{Point: "import_total", Time: at, Type: telemetry.TypeFloat,
		Value: telemetry.Float(float64(count) / 100), Raw: binary.BigEndian.AppendUint32(nil, count)}}
	e := g.sign(evidence.Content{Kind: evidence.KindBatch, DefHash: g.defhash, Readings: rs})
	body, err := e.Detached()
	if err != nil {
		g.t.Fatal(err)
	}
	return g.session.DeviceData(device, e.Content.Readings, body, false, time.Now())
}
