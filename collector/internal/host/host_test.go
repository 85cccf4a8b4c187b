package host

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"yunhe/internal/broker"
	"yunhe/internal/sparkplug"
)

const password = "of this test alone"

// serve runs a broker at an address, ":0" for any, until stop.
func serve(t *testing.T, address string, sites ...string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := broker.NewSecret(password)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Config{Logger: slog.New(slog.DiscardHandler), Listeners: []net.Listener{l}, Users: broker.Accounts{
		Collector: "collector", Host: "host-1", Sites: sites, Secret: func(string) (broker.Secret, bool) { return secret, true },
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func run(t *testing.T, address string, log *slog.Logger) (*Host, chan string) {
	t.Helper()
	heard := make(chan string, 64)
	h := New(Config{URL: "mqtt://" + address, ClientID: "collector-1", User: "collector", Password: password, Host: "host-1", Sites: []string{"tz"}},
		func(topic string, _ []byte) { heard <- topic }, time.Now, log)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return h, heard
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func dial(t *testing.T, address, user string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + address).SetClientID(user + "-test").SetUsername(user).SetPassword(password).
		SetProtocolVersion(4).SetAutoReconnect(false))
	if tok := c.Connect(); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
		t.Fatalf("connect: %v", tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// TestOwnOfflineIsAnswered: a late will of an earlier session must not leave
// the host offline for everybody.
func TestOwnOfflineIsAnswered(t *testing.T) {
	address, _ := serve(t, "127.0.0.1:0", "tz")
	h, _ := run(t, address, slog.New(slog.DiscardHandler))
	eventually(t, "online", h.Online)
	c := dial(t, address, "collector")
	states := make(chan sparkplug.State, 16)
	topic := sparkplug.StateTopic("host-1")
	c.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) {
		s, err := sparkplug.DecodeState(m.Payload())
		if err != nil {
			t.Error(err)
		}
		states <- s
	}).Wait()
	if s := <-states; !s.Online {
		t.Fatalf("retained state %+v", s)
	}
	c.Publish(topic, 1, true, sparkplug.State{Online: false, Time: time.Now()}.Encode()).Wait()
	for s := range states {
		if s.Online {
			break // the offline that was published comes first
		}
	}
}

// TestBrokerGoesAndComesBack: commands sent meanwhile wait, the session comes
// back alone.
func TestBrokerGoesAndComesBack(t *testing.T) {
	address, stop := serve(t, "127.0.0.1:0", "tz")
	h, heard := run(t, address, slog.New(slog.DiscardHandler))
	eventually(t, "online", h.Online)
	stop()
	eventually(t, "offline", func() bool { return !h.Online() })
	serve(t, address, "tz")
	eventually(t, "online again", h.Online)
	h.Send("spBv1.0/tz/NCMD/gw-1", []byte{1})
	if topic := <-heard; topic != "spBv1.0/tz/NCMD/gw-1" {
		t.Errorf("heard %s", topic)
	}
}

// TestRefusedSubscriptionIsSaid: SUBACK 0x80 is no error to the client library;
// a host that hears nothing must say so.
func TestRefusedSubscriptionIsSaid(t *testing.T) {
	address, _ := serve(t, "127.0.0.1:0", "another-site")
	var log syncBuffer
	h, _ := run(t, address, slog.New(slog.NewTextHandler(&log, nil)))
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(log.String(), "the broker refuses spBv1.0/tz/#") })
	if h.Online() {
		t.Error("online without its subscriptions")
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestSendNeverBlocks(t *testing.T) {
	h := New(Config{}, nil, time.Now, slog.New(slog.DiscardHandler))
	for range outbound + 7 {
		h.Send("t", nil)
	}
	if h.Lost() != 7 {
		t.Errorf("%d lost, want 7", h.Lost())
	}
}
