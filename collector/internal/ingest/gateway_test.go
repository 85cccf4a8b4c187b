package ingest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// gateway is a hand-made gateway that signs.
type gateway struct {
	w             *world
	site, id      string
	key           *evidence.PrivateKey
	jid, jseq     uint64
	prev          evidence.Hash
	clock         telemetry.Clock
	session       *sparkplug.Session
	defhash       evidence.Hash
	defSite       string
	defGateway    string
	prevJID, pseq uint64
	journalName   string // raw, if empty
}

// journal is another journal of the same gateway, with a jid of its own.
func (g *gateway) journal(name string, jid uint64) *gateway {
	o := *g
	o.journalName, o.jid, o.jseq, o.prev = name, jid, 0, evidence.Hash{}
	return &o
}

func (w *world) gateway(id string, seed byte) *gateway {
	w.t.Helper()
	k, err := evidence.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		w.t.Fatal(err)
	}
	return &gateway{w: w, site: "tz", id: id, key: k, jid: 1000 + uint64(seed), session: sparkplug.NewSession("tz", id, 0),
		clock: telemetry.Clock{State: telemetry.Synchronised, BootID: [16]byte{seed}, Mono: time.Hour}}
}

// enrolled is a gateway whose key the collector knows.
func (w *world) enrolled(id string, seed byte) *gateway {
	g := w.gateway(id, seed)
	g.enrol()
	return g
}

func (g *gateway) enrol() {
	g.w.keys[g.key.Public().ID()] = intake.Key{Public: g.key.Public(), Of: intake.Gateway{Site: g.site, Gateway: g.id}, From: start}
}

func (g *gateway) sign(c evidence.Content) evidence.Entry {
	g.w.t.Helper()
	g.jseq++
	c.JID, c.JSeq, c.Prev = g.jid, g.jseq, g.prev
	if c.Recorded.IsZero() {
		c.Recorded = g.w.now
	}
	c.Clock = g.clock
	e, err := g.key.Sign(c)
	if err != nil {
		g.w.t.Fatal(err)
	}
	g.prev = e.Hash
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	if g.w.signed != nil {
		number := numberText(intake.Gateway{Site: g.site, Gateway: g.id}, e.Content.JID, e.Content.JSeq)
		if _, twice := g.w.signed[number]; !twice { // of an equivocation the first one counts
			g.w.signed[number] = e
		}
		for _, r := range e.Content.Readings {
			g.w.signed[rowKey(g.device(), r.Time, "")] = e
		}
	}
	return e
}

func (g *gateway) message(m sparkplug.Message) intake.Message {
	return intake.Message{Topic: m.Topic.String(), Payload: m.Payload, At: g.w.now}
}

func (g *gateway) event(ev evidence.Event) intake.Message {
	g.w.t.Helper()
	data, err := ev.Encode()
	if err != nil {
		g.w.t.Fatal(err)
	}
	e := g.sign(evidence.Content{Kind: evidence.KindEvent, Data: data})
	return g.message(g.session.Attached("", "event", e.Bytes, false, g.w.now))
}

// epoch starts the journal.
func (g *gateway) epoch() intake.Message {
	return g.event(evidence.Epoch{Site: g.site, Gateway: g.id, Journal: cmp.Or(g.journalName, "raw"), Agent: "1.0", PrevJID: g.prevJID, PrevJSeq: g.pseq,
		PrevHash: func() (h evidence.Hash) {
			if g.prevJID != 0 {
				h[0] = 1
			}
			return h
		}()})
}

func (g *gateway) definition() evidence.Definition {
	d := evidence.Definition{Site: g.site, Gateway: g.id, Device: "meter-1", Kind: "meter", Profile: "sdm630", ProfileVersion: 1,
		ProfileHash: evidence.HashOf([]byte("p")), Vendor: "Eastron", Model: "SDM630", Serial: "1",
		Points: []evidence.PointDef{
			{Name: "import_total", Quantity: "active_energy_import", Unit: "kW.h", Class: telemetry.Counter, Type: telemetry.TypeFloat,
				Table: "input", Address: 72, RegisterType: "u32", WordOrder: "ABCD", Scale: "0.01", CounterBits: 32},
		}}
	if g.defSite != "" {
		d.Site = g.defSite
	}
	if g.defGateway != "" {
		d.Gateway = g.defGateway
	}
	for i := range 19 {
		d.Points = append(d.Points, evidence.PointDef{Name: fmt.Sprintf("power_%02d", i), Quantity: "active_power", Unit: "W",
			Class: telemetry.Gauge, Type: telemetry.TypeFloat, Table: "input", Address: uint32(i), RegisterType: "f32", WordOrder: "ABCD"})
	}
	return d
}

func (g *gateway) define() intake.Message {
	g.w.t.Helper()
	data, err := g.definition().Encode()
	if err != nil {
		g.w.t.Fatal(err)
	}
	g.defhash = evidence.HashOf(data)
	e := g.sign(evidence.Content{Kind: evidence.KindDefinition, Data: data})
	return g.message(g.session.Attached("meter-1", "definition", e.Bytes, false, g.w.now))
}

// readings are n values at one time, the counter among them.
func readings(at time.Time, n int) []telemetry.Reading {
	count := uint32(at.Unix())
	rs := []telemetry.Reading{{Point: "import_total", Time: at, Type: telemetry.TypeFloat,
		Value: telemetry.Float(float64(count) / 100), Raw: binary.BigEndian.AppendUint32(nil, count)}}
	for i := range n - 1 {
		rs = append(rs, telemetry.Reading{Point: fmt.Sprintf("power_%02d", i), Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(float64(i) + 0.5)})
	}
	return rs
}

func (g *gateway) send(e evidence.Entry) intake.Message {
	g.w.t.Helper()
	body, err := e.Detached()
	if err != nil {
		g.w.t.Fatal(err)
	}
	return g.message(g.session.DeviceData("meter-1", e.Content.Readings, body, false, g.w.now))
}

func (g *gateway) entry(at time.Time) evidence.Entry {
	return g.sign(evidence.Content{Kind: evidence.KindBatch, DefHash: g.defhash, Readings: readings(at, 3), Recorded: at})
}

func (g *gateway) batch(at time.Time) intake.Message { return g.send(g.entry(at)) }

// begin is what every gateway sends first.
func (g *gateway) begin() []intake.Message { return []intake.Message{g.epoch(), g.define()} }

func (g *gateway) device() series.Device {
	return series.Device{Kind: "meter", Site: g.site, Gateway: g.id, ID: "meter-1"}
}
