package sparkplugtest

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// allowAll lets every client do everything; without a hook nobody may.
type allowAll struct{ mqtt.HookBase }

func (*allowAll) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck
}

func (*allowAll) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (*allowAll) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// startBroker runs the embedded broker with a recorder on a free port.
func startBroker(t *testing.T, r *Recorder) (address string) {
	t.Helper()
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := server.AddHook(new(allowAll), nil); err != nil {
		t.Fatal(err)
	}
	if err := server.AddHook(r, nil); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.AddListener(listeners.NewNet("t", listener)); err != nil {
		t.Fatal(err)
	}
	go server.Serve()
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

func client(t *testing.T, address, id string, will *sparkplug.Message) paho.Client {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false)
	if will != nil {
		o.SetBinaryWill(will.Topic.String(), will.Payload, will.QoS, will.Retain)
	}
	c := paho.NewClient(o)
	await(t, c.Connect())
	return c
}

func await(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(10 * time.Second) {
		t.Fatal("the broker does not answer")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

// A whole session over a real broker, recorded and found without fault; the
// acknowledgement from the other side is in it.
func TestRecorder(t *testing.T) {
	r := NewRecorder()
	address := startBroker(t, r)
	s := sparkplug.NewSession("site", "gw", 0)
	now := time.Now()
	will := s.Will(now)
	node := client(t, address, "gw", &will)
	commands := make(chan paho.Message, 1)
	await(t, node.Subscribe(s.CommandFilter(), 1, func(_ paho.Client, m paho.Message) { commands <- m }))
	send := func(c paho.Client, m sparkplug.Message) {
		await(t, c.Publish(m.Topic.String(), m.QoS, m.Retain, m.Payload))
	}
	send(node, s.NodeBirth(sparkplug.Status{}, now))
	send(node, s.DeviceBirth("meter", []sparkplug.BirthPoint{{Name: "running", Type: telemetry.TypeBool}}, now))
	send(node, s.DeviceData("meter", []telemetry.Reading{
		{Point: "running", Time: now, Type: telemetry.TypeBool, Value: telemetry.Bool(true)},
	}, []byte{1}, false, now))

	host := client(t, address, "host", nil)
	send(host, sparkplug.NewCommand("site", "gw", sparkplug.Command{Ack: "9:1"}, now))
	select {
	case <-commands:
	case <-time.After(10 * time.Second):
		t.Fatal("the command does not arrive")
	}
	host.Disconnect(0)
	send(node, s.NodeDeath(now))
	node.Disconnect(100)

	c := awaitClosed(t, r, "gw")
	var kinds []Kind
	acks := 0
	for _, p := range c {
		kinds = append(kinds, p.Kind)
		if !p.FromNode && p.Kind == Publish {
			acks++
		}
	}
	if len(c) != 9 || acks != 1 {
		t.Errorf("%d packets, %d from the other side: %v", len(c), acks, kinds)
	}
	for _, v := range Check(c) {
		t.Error(v)
	}
}

// awaitClosed returns the conversation once its connection has ended.
func awaitClosed(t *testing.T, r *Recorder, id string) Conversation {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if c := r.Conversation(id); len(c) > 0 && c[len(c)-1].Kind == Closed {
			return c
		}
	}
	t.Fatal("the connection does not end")
	return nil
}
