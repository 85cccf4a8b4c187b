package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// fleetPlan says what a fleet sends.
type fleetPlan struct {
	gateways int // each has one device
	messages int // batches of each gateway
	values   int // readings of a batch
	first    time.Time
	every    time.Duration // between the batches of a gateway
}

// fleet is a number of gateways whose messages were signed beforehand, so
// that sending them costs little.
type fleet struct {
	plan     fleetPlan
	gateways []*loadGateway
	acked    atomic.Int64 // entries, definitions and epochs too
}

// entries is how many acknowledgements the whole fleet must get.
func (f *fleet) entries() int { return f.plan.gateways * (f.plan.messages + 2) }

// newFleet signs everything, on all cores.
func newFleet(p fleetPlan) (*fleet, error) {
	f := &fleet{plan: p}
	var g errgroup.Group
	for i := range p.gateways {
		lg := &loadGateway{id: fmt.Sprintf("gw-%02d", i+1), fleet: f}
		f.gateways = append(f.gateways, lg)
		g.Go(lg.sign)
	}
	return f, g.Wait()
}

// enroll makes the keys of all gateways known to a collector.
func (f *fleet) enroll(b *bench, s collectorSetup) error {
	for _, g := range f.gateways {
		if err := b.enroll(s, g.id, g.key.Public().String()); err != nil {
			return err
		}
	}
	return nil
}

// run connects every gateway, sends everything and returns when every entry
// is acknowledged.
func (f *fleet) run(ctx context.Context, broker string) error {
	f.acked.Store(0)
	g, ctx := errgroup.WithContext(ctx)
	for _, lg := range f.gateways {
		if err := lg.connect(broker); err != nil {
			return err
		}
		defer lg.client.Disconnect(0)
	}
	for _, lg := range f.gateways {
		g.Go(func() error { return lg.run(ctx) })
	}
	return g.Wait()
}

// loadGateway is one gateway of a fleet. Like the real one it keeps a window
// of entries in flight and sends again what is not acknowledged.
type loadGateway struct {
	id     string
	fleet  *fleet
	key    *evidence.PrivateKey
	births []sparkplug.Message
	data   []sparkplug.Message // entry jseq is data[jseq-1]
	client mqtt.Client

	mu       sync.Mutex
	acked    []bool
	inFlight int
	left     int
	resent   int
	news     chan struct{}
}

// How much a load gateway keeps in flight, and when it sends again.
const (
	loadWindow = 128
	loadResend = 15 * time.Second
)

func pointName(i int) string { return fmt.Sprintf("active_power_%03d", i+1) }

// definition describes the values of a load device: every fifth is a counter.
func (g *loadGateway) definition() evidence.Definition {
	d := evidence.Definition{
		Site: site, Gateway: g.id, Device: "meter-1", Kind: "electricity_meter", Profile: "bench", ProfileVersion: 1,
		ProfileHash: evidence.HashOf([]byte("bench")), Vendor: "Bench", Model: "Load",
	}
	for i := range g.fleet.plan.values {
		p := evidence.PointDef{Name: pointName(i), Quantity: "active_power", Unit: "W", Class: telemetry.Gauge, Type: telemetry.TypeFloat,
			Table: "input", Address: uint32(2 * i), RegisterType: "f32", WordOrder: "ABCD", Scale: "1"}
		if isCounter(i) {
			p.Quantity, p.Unit, p.Class, p.RegisterType, p.Scale, p.CounterBits = "active_energy_import", "kW.h", telemetry.Counter, "u32", "0.01", 32
		}
		d.Points = append(d.Points, p)
	}
	return d
}

func isCounter(i int) bool { return i%5 == 4 }

// readings are the values of batch n.
func (g *loadGateway) readings(n int) []telemetry.Reading {
	p := g.fleet.plan
	at := p.first.Add(time.Duration(n) * p.every)
	rs := make([]telemetry.Reading, p.values)
	for i := range rs {
		rs[i] = telemetry.Reading{Point: pointName(i), Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(value(n, i))}
		if isCounter(i) {
			raw := uint32(100_000 + 7*n + i)
			rs[i].Value, rs[i].Raw = telemetry.Float(float64(raw)/100), binary.BigEndian.AppendUint32(nil, raw)
		}
	}
	return rs
}

// value is a gauge that changes with every batch, as measured ones do.
func value(n, i int) float64 { return 1000 + float64((n*7919+i*104729)%100_000)/64 }

// sign makes the messages: births, epoch, definition, batches.
func (g *loadGateway) sign() error {
	seed := make([]byte, 32)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	var err error
	if g.key, err = evidence.NewKeyFromSeed(seed); err != nil {
		return err
	}
	c := chain{key: g.key, jid: binary.BigEndian.Uint64(seed)>>11 | 1, at: g.fleet.plan.first}
	epoch, err := evidence.Epoch{Site: site, Gateway: g.id, Journal: "raw", Agent: "bench"}.Encode()
	if err != nil {
		return err
	}
	def, err := g.definition().Encode()
	if err != nil {
		return err
	}
	wire := sparkplug.NewSession(site, g.id, 0)
	points := make([]sparkplug.BirthPoint, g.fleet.plan.values)
	for i := range points {
		points[i] = sparkplug.BirthPoint{Name: pointName(i), Type: telemetry.TypeFloat}
	}
	g.births = []sparkplug.Message{
		wire.NodeBirth(sparkplug.Status{KeyID: g.key.Public().ID().String(), Version: "bench", ClockState: telemetry.Synchronised}, c.at),
		wire.DeviceBirth("meter-1", points, c.at),
	}
	e, err := c.sign(evidence.Content{Kind: evidence.KindEvent, Data: epoch})
	if err != nil {
		return err
	}
	g.data = append(g.data, wire.Attached("", "event", e.Bytes, false, c.at))
	if e, err = c.sign(evidence.Content{Kind: evidence.KindDefinition, Data: def}); err != nil {
		return err
	}
	g.data = append(g.data, wire.Attached("meter-1", "definition", e.Bytes, false, c.at))
	hash := evidence.HashOf(def)
	for n := range g.fleet.plan.messages {
		rs := g.readings(n)
		c.at = rs[0].Time
		if e, err = c.sign(evidence.Content{Kind: evidence.KindBatch, DefHash: hash, Readings: rs}); err != nil {
			return err
		}
		body, err := e.Detached()
		if err != nil {
			return err
		}
		g.data = append(g.data, wire.DeviceData("meter-1", e.Content.Readings, body, false, c.at))
	}
	return nil
}

// chain numbers and links entries.
type chain struct {
	key  *evidence.PrivateKey
	jid  uint64
	jseq uint64
	prev evidence.Hash
	at   time.Time
}

func (c *chain) sign(content evidence.Content) (evidence.Entry, error) {
	c.jseq++
	content.JID, content.JSeq, content.Prev, content.Recorded = c.jid, c.jseq, c.prev, c.at
	offset := time.Millisecond
	content.Clock = telemetry.Clock{State: telemetry.Synchronised, Offset: &offset, BootID: [16]byte{1}, Mono: time.Duration(c.jseq) * time.Second}
	e, err := c.key.Sign(content)
	c.prev = e.Hash
	return e, err
}

func (g *loadGateway) connect(broker string) (err error) {
	g.acked, g.inFlight, g.left, g.resent = make([]bool, len(g.data)), 0, len(g.data), 0
	g.news = make(chan struct{}, 1)
	g.client, err = connect(broker, site+"."+g.id, g.command, sparkplug.CommandFilter(site, g.id))
	return err
}

// command counts what is acknowledged for the first time.
func (g *loadGateway) command(_ mqtt.Client, m mqtt.Message) {
	var p sparkplug.Payload
	if sparkplug.Decode(m.Payload(), &p) != nil {
		return
	}
	c, err := sparkplug.ParseCommand(&p)
	if err != nil || c.Ack == "" {
		return
	}
	r, err := evidence.ParseRanges(c.Ack)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range slices.Collect(r.Spans()) {
		for n := s.Lo; n <= s.Hi && n <= uint64(len(g.acked)); n++ {
			if !g.acked[n-1] {
				g.acked[n-1] = true
				g.inFlight--
				g.left--
				g.fleet.acked.Add(1)
			}
		}
	}
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// run sends the births and keeps the window full until all is acknowledged.
func (g *loadGateway) run(ctx context.Context) error {
	for _, m := range g.births {
		g.publish(m)
	}
	for next := 0; ; {
		g.mu.Lock()
		n := min(loadWindow-g.inFlight, len(g.data)-next)
		g.inFlight += n
		left := g.left
		g.mu.Unlock()
		if left == 0 {
			return nil
		}
		for _, m := range g.data[next : next+n] {
			g.publish(m)
		}
		next += n
		select {
		case <-g.news:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(loadResend):
			g.sendAgain(next)
		}
	}
}

func (g *loadGateway) sendAgain(sent int) {
	g.mu.Lock()
	acked := slices.Clone(g.acked[:sent])
	g.mu.Unlock()
	for i, ok := range acked {
		if !ok {
			g.publish(g.data[i])
			g.resent++
		}
	}
}

func (g *loadGateway) publish(m sparkplug.Message) {
	g.client.Publish(m.Topic.String(), m.QoS, m.Retain, m.Payload).Wait()
}
