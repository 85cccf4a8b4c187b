package sparkplugtest

import (
	"bytes"
	"slices"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Recorder is a hook of the embedded broker that captures the conversation of
// every client: server.AddHook(recorder, nil). Safe for concurrent use.
type Recorder struct {
	mqtt.HookBase
	mu      sync.Mutex
	clients map[*mqtt.Client]string // client id of each connection
	said    map[string]Conversation // by client id
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{clients: make(map[*mqtt.Client]string), said: make(map[string]Conversation)}
}

// Conversation returns what was captured of a client id so far.
func (r *Recorder) Conversation(clientID string) Conversation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said[clientID])
}

// ID names the hook.
func (r *Recorder) ID() string { return "sparkplug recorder" }

// Provides lists the calls that the broker makes.
func (r *Recorder) Provides(b byte) bool {
	return b == mqtt.OnPacketRead || b == mqtt.OnPacketSent || b == mqtt.OnDisconnect
}

// OnPacketRead records what a client sent.
func (r *Recorder) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	p := Packet{FromNode: true, At: time.Now()}
	switch pk.FixedHeader.Type {
	case packets.Connect:
		r.mu.Lock()
		r.clients[cl] = pk.Connect.ClientIdentifier
		r.mu.Unlock()
		p.Kind, p.CleanSession = Connect, pk.Connect.Clean
		if pk.Connect.WillFlag {
			p.Topic, p.QoS, p.Retain = pk.Connect.WillTopic, pk.Connect.WillQos, pk.Connect.WillRetain
			p.Payload = bytes.Clone(pk.Connect.WillPayload)
		}
	case packets.Subscribe:
		p.Kind = Subscribe
		for _, f := range pk.Filters {
			p.Filters = append(p.Filters, Filter{f.Filter, f.Qos})
		}
	case packets.Publish:
		p = publish(pk, true)
	case packets.Disconnect:
		p.Kind = Disconnect
	default:
		return pk, nil
	}
	r.add(cl, p)
	return pk, nil
}

// OnPacketSent records what the broker delivered to a client.
func (r *Recorder) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type == packets.Publish {
		r.add(cl, publish(pk, false))
	}
}

// OnDisconnect records the end of a connection.
func (r *Recorder) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	r.add(cl, Packet{Kind: Closed, At: time.Now()})
	r.mu.Lock()
	delete(r.clients, cl)
	r.mu.Unlock()
}

func publish(pk packets.Packet, fromNode bool) Packet {
	return Packet{
		Kind: Publish, FromNode: fromNode, At: time.Now(), Topic: pk.TopicName,
		QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain, Payload: bytes.Clone(pk.Payload),
	}
}

func (r *Recorder) add(cl *mqtt.Client, p Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, ok := r.clients[cl]; ok {
		r.said[id] = append(r.said[id], p)
	}
}
