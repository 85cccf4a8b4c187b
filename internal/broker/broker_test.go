package broker

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

type directory map[string]User

func (d directory) User(name string) (User, bool) { u, ok := d[name]; return u, ok }

func account(name, password string, publish, subscribe []string) User {
	secret, err := NewSecret(password)
	if err != nil {
		panic(err)
	}
	return User{Name: name, Secret: secret, Publish: publish, Subscribe: subscribe}
}

func start(t *testing.T, users directory) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Listeners: []net.Listener{l}, Users: users, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "tcp://" + l.Addr().String()
}

func options(url, id, name, secret string) *paho.ClientOptions {
	return paho.NewClientOptions().AddBroker(url).SetClientID(id).SetUsername(name).SetPassword(secret).
		SetAutoReconnect(false).SetConnectRetry(false).SetProtocolVersion(4).SetCleanSession(true).
		SetConnectTimeout(3 * time.Second)
}

func connect(t *testing.T, o *paho.ClientOptions) (paho.Client, error) {
	t.Helper()
	c := paho.NewClient(o)
	tok := c.Connect()
	if !tok.WaitTimeout(5 * time.Second) {
		t.Fatal("connect: no answer in 5 s")
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c, tok.Error()
}

func TestConnect(t *testing.T) {
	url := start(t, directory{"site-a.gw-1": account("site-a.gw-1", "right", []string{"spBv1.0/site-a/NDEATH/gw-1"}, nil)})
	tests := []struct {
		name    string
		options *paho.ClientOptions
		ok      bool
	}{
		{"right", options(url, "site-a.gw-1", "site-a.gw-1", "right"), true},
		{"own id with a suffix", options(url, "site-a.gw-1-x", "site-a.gw-1", "right"), true},
		{"wrong secret", options(url, "site-a.gw-1", "site-a.gw-1", "wrong"), false},
		{"unknown name", options(url, "nobody", "nobody", "right"), false},
		{"no name", options(url, "x", "", ""), false},
		{"another's client id", options(url, "site-a.gw-2", "site-a.gw-1", "right"), false},
		{"own will", options(url, "site-a.gw-1", "site-a.gw-1", "right").SetBinaryWill("spBv1.0/site-a/NDEATH/gw-1", []byte{1}, 1, false), true},
		{"another's will", options(url, "site-a.gw-1", "site-a.gw-1", "right").SetBinaryWill("spBv1.0/site-a/NDEATH/gw-2", []byte{1}, 1, false), false},
		{"a will that stays", options(url, "site-a.gw-1", "site-a.gw-1", "right").SetBinaryWill("spBv1.0/site-a/NDEATH/gw-1", []byte{1}, 1, true), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := connect(t, tt.options); (err == nil) != tt.ok {
				t.Errorf("connect: %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestTopics(t *testing.T) {
	url := start(t, directory{
		"site-a.gw-1": account("site-a.gw-1", "g", []string{"spBv1.0/site-a/DDATA/gw-1/+"}, []string{"spBv1.0/site-a/NCMD/gw-1"}),
		"collector":   account("collector", "c", []string{"spBv1.0/site-a/NCMD/+"}, []string{"spBv1.0/site-a/#"}),
	})
	host, err := connect(t, options(url, "collector", "collector", "c"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	tok := host.Subscribe("spBv1.0/site-a/#", 0, func(_ paho.Client, m paho.Message) { got <- m.Topic() })
	if tok.Wait(); tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	gw, err := connect(t, options(url, "site-a.gw-1", "site-a.gw-1", "g"))
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"spBv1.0/site-a/DDATA/gw-2/meter", "spBv1.0/site-b/DDATA/gw-1/meter", "spBv1.0/site-a/DDATA/gw-1/meter"} {
		gw.Publish(topic, 0, false, "x").Wait()
	}
	select {
	case topic := <-got:
		if topic != "spBv1.0/site-a/DDATA/gw-1/meter" {
			t.Errorf("topic %s went through", topic)
		}
	case <-time.After(5 * time.Second):
		t.Error("the gateway's own topic did not go through")
	}
	for filter, ok := range map[string]bool{"spBv1.0/site-a/NCMD/gw-1": true, "spBv1.0/site-a/NCMD/+": false, "spBv1.0/#": false, "#": false} {
		tok := gw.Subscribe(filter, 1, nil).(*paho.SubscribeToken)
		tok.Wait()
		if granted := tok.Result()[filter] <= 2; granted != ok {
			t.Errorf("subscribe %s: granted %v, want %v", filter, granted, ok)
		}
	}
}

func TestCovers(t *testing.T) {
	tests := []struct {
		granted, filter string
		want            bool
	}{
		{"a/#", "a/b/c", true},
		{"a/#", "a/+/c", true},
		{"a/+", "a/#", false},
		{"a/+", "a/b/c", false},
		{"a/b", "a/+", false},
		{"a/+", "a/+", true},
		{"a/b/c", "a/b", false},
		{"#", "#", true},
	}
	for _, tt := range tests {
		if got := allowed([]string{tt.granted}, tt.filter); got != tt.want {
			t.Errorf("allowed(%s, %s) = %v, want %v", tt.granted, tt.filter, got, tt.want)
		}
	}
}

// TestRetain: only the state of a host stays; a gateway, whose devices may have
// any name, cannot fill the broker's memory.
func TestRetain(t *testing.T) {
	all := []string{"spBv1.0/#"}
	url := start(t, directory{"a": account("a", "right", all, all)})
	c, err := connect(t, options(url, "a", "a", "right"))
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"spBv1.0/site-a/DDATA/gw-1/any", "spBv1.0/STATE/host", "spBv1.0/STATE/host/more"} {
		if tok := c.Publish(topic, 0, true, "x"); !tok.WaitTimeout(3*time.Second) || tok.Error() != nil {
			t.Fatalf("publish %s: %v", topic, tok.Error())
		}
	}
	got := make(chan string, 8)
	tok := c.Subscribe("spBv1.0/#", 1, func(_ paho.Client, m paho.Message) { got <- m.Topic() })
	if !tok.WaitTimeout(3*time.Second) || tok.Error() != nil {
		t.Fatalf("subscribe: %v", tok.Error())
	}
	if tok := c.Publish("spBv1.0/site-a/DDATA/gw-1/last", 0, false, "x"); !tok.WaitTimeout(3*time.Second) || tok.Error() != nil {
		t.Fatalf("publish: %v", tok.Error())
	}
	var topics []string
	for len(topics) == 0 || topics[len(topics)-1] != "spBv1.0/site-a/DDATA/gw-1/last" {
		select {
		case topic := <-got:
			topics = append(topics, topic)
		case <-time.After(3 * time.Second):
			t.Fatalf("no more messages after %q", topics)
		}
	}
	if want := []string{"spBv1.0/STATE/host", "spBv1.0/site-a/DDATA/gw-1/last"}; !slices.Equal(topics, want) {
		t.Errorf("a new subscriber hears %q, want %q", topics, want)
	}
}
