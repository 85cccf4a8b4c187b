// Package publishtest is a broker in the test's process and a collector that
// does what a script tells it: acknowledge, stay silent, refuse, ask again.
package publishtest

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// Broker is an MQTT broker on a loopback port.
type Broker struct {
	Addr   string
	server *mochi.Server
	once   sync.Once
}

// StartBroker starts a broker that lets everybody in. It ends with the test,
// or earlier by Stop; addr "" means a free port.
func StartBroker(t testing.TB, addr string, hooks ...mochi.Hook) *Broker {
	t.Helper()
	return startBroker(t, addr, nil, append([]mochi.Hook{new(allow)}, hooks...))
}

// StartGuardedBroker starts a broker with TLS whose hook decides who comes in.
func StartGuardedBroker(t testing.TB, config *tls.Config, guard mochi.Hook) *Broker {
	t.Helper()
	return startBroker(t, "", config, []mochi.Hook{guard})
}

func startBroker(t testing.TB, addr string, config *tls.Config, hooks []mochi.Hook) *Broker {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{Addr: l.Addr().String()}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	b.server = mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	for _, h := range hooks {
		if err := b.server.AddHook(h, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.server.AddListener(listeners.NewNet("t", l)); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop() })
	return b
}

// allow lets everybody in.
type allow struct{ mochi.HookBase }

func (*allow) ID() string { return "allow" }

func (*allow) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*allow) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (*allow) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// Stop ends the broker; connections break.
func (b *Broker) Stop() { b.once.Do(func() { b.server.Close() }) }

// URL returns the address for a config.
func (b *Broker) URL() string { return "mqtt://" + b.Addr }

// Number names an entry.
type Number struct{ JID, JSeq uint64 }

// Arrival is one message that carried evidence.
type Arrival struct {
	Number
	Topic      sparkplug.Topic
	Entry      evidence.Entry
	Historical bool
	At         time.Time
}

// Decision is what the collector does about an arrival.
type Decision uint8

// The decisions of a script.
const (
	Ack Decision = iota
	Silence
	Reject
)

// Collector verifies every entry, keeps what it acknowledged and checks that
// a number never comes with another hash.
type Collector struct {
	t      testing.TB
	key    evidence.PublicKey
	client mqtt.Client
	script func(Arrival) Decision

	mu       sync.Mutex
	arrivals []Arrival
	stored   map[Number]evidence.Entry
	births   int
	statuses []sparkplug.Status
}

// StartCollector connects a collector to the broker; script nil acknowledges
// everything. It ends with the test.
func StartCollector(t testing.TB, b *Broker, key evidence.PublicKey, script func(Arrival) Decision) *Collector {
	t.Helper()
	c := &Collector{t: t, key: key, script: script, stored: map[Number]evidence.Entry{}}
	if script == nil {
		c.script = func(Arrival) Decision { return Ack }
	}
	o := mqtt.NewClientOptions().AddBroker(b.URL()).SetClientID("collector").SetProtocolVersion(4).SetAutoReconnect(false)
	c.client = mqtt.NewClient(o)
	if tok := c.client.Connect(); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
		t.Fatalf("collector cannot connect: %v", tok.Error())
	}
	if tok := c.client.Subscribe("spBv1.0/#", 1, c.message); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
		t.Fatalf("collector cannot subscribe: %v", tok.Error())
	}
	t.Cleanup(c.Stop)
	return c
}

// Stop disconnects the collector.
func (c *Collector) Stop() { c.client.Disconnect(0) }

func (c *Collector) message(_ mqtt.Client, m mqtt.Message) {
	topic, err := sparkplug.ParseTopic(m.Topic())
	if err != nil {
		c.t.Errorf("topic %s: %v", m.Topic(), err)
		return
	}
	if topic.Type == sparkplug.NCMD || topic.Type == sparkplug.NDEATH {
		return
	}
	var p sparkplug.Payload
	if err := sparkplug.Decode(m.Payload(), &p); err != nil {
		c.t.Errorf("%s: %v", m.Topic(), err)
		return
	}
	c.mu.Lock()
	if topic.Type == sparkplug.NBIRTH {
		c.births++
	}
	if s, ok := sparkplug.ParseStatus(&p); ok {
		c.statuses = append(c.statuses, s)
	}
	c.mu.Unlock()
	if len(p.Body) > 0 {
		c.entry(topic, &p)
	}
}

func (c *Collector) entry(topic sparkplug.Topic, p *sparkplug.Payload) {
	var e evidence.Entry
	var err error
	if evidence.IsDetached(p.Body) {
		rs, bad := p.Readings(nil)
		if len(bad) > 0 {
			c.t.Errorf("metrics that are no readings: %v", bad)
		}
		e, err = evidence.Rebuild(append([]byte(nil), p.Body...), append([]telemetry.Reading(nil), rs...))
	} else {
		e, err = evidence.Parse(append([]byte(nil), p.Body...))
	}
	if err == nil {
		err = e.Verify(c.key)
	}
	if err != nil {
		c.t.Errorf("entry on %s: %v", topic, err)
		return
	}
	a := Arrival{Number: Number{e.Content.JID, e.Content.JSeq}, Topic: topic, Entry: e, Historical: p.Metrics[0].Historical, At: time.Now()}
	c.mu.Lock()
	c.arrivals = append(c.arrivals, a)
	before, seen := c.stored[a.Number]
	if seen && before.Hash != e.Hash {
		c.t.Errorf("%v came with two hashes", a.Number)
	}
	c.mu.Unlock()
	var r evidence.Ranges
	r.Add(a.JID, a.JSeq)
	switch c.script(a) {
	case Ack:
		c.mu.Lock()
		c.stored[a.Number] = e
		c.mu.Unlock()
		c.Command(topic, sparkplug.Command{Ack: r.String()})
	case Reject:
		c.Command(topic, sparkplug.Command{Reject: r.String()})
	}
}

// Command sends an NCMD to the gateway of a topic.
func (c *Collector) Command(to sparkplug.Topic, cmd sparkplug.Command) {
	m := sparkplug.NewCommand(to.Group, to.Node, cmd, time.Now())
	c.client.Publish(m.Topic.String(), m.QoS, m.Retain, m.Payload)
}

// Arrivals returns what came so far, in order.
func (c *Collector) Arrivals() []Arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Arrival(nil), c.arrivals...)
}

// Stored returns what was acknowledged.
func (c *Collector) Stored() map[Number]evidence.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[Number]evidence.Entry, len(c.stored))
	for n, e := range c.stored {
		out[n] = e
	}
	return out
}

// Births returns how many NBIRTHs came.
func (c *Collector) Births() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.births
}

// Statuses returns the statuses of NBIRTHs and NDATAs.
func (c *Collector) Statuses() []sparkplug.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]sparkplug.Status(nil), c.statuses...)
}

// Until waits for a condition; it fails the test after limit. The other side
// is a real socket, so time cannot be made to wait for it.
func Until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %s still not: %s", limit, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
