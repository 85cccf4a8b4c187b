// Package broker embeds an MQTT broker for installations of one machine, for
// the demo and for tests. It is closed by default: a client needs a name and a
// secret, and reaches the topics of its own name only. The guarantee of
// delivery is end to end between gateway and collector, so the broker keeps
// nothing on disk.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"yunhe/internal/sparkplug"
)

// Limits of one client. A client that falls further behind than
// defaultWritesPending loses QoS 0 messages, which its peer sends again.
const (
	maxPacket            = 1 << 20 // bytes; a batch of 5,000 readings fits
	defaultWritesPending = 1 << 15 // messages; costs 8 bytes each per client
)

// User is one account.
type User struct {
	Name string
	// Secret is the account's password, hashed.
	Secret Secret
	// Publish and Subscribe are the MQTT topic filters this user may use.
	Publish, Subscribe []string
}

// Users finds an account by name. It is asked at each connection and each
// topic check, so an account that is withdrawn stops working at once.
type Users interface {
	User(name string) (User, bool)
}

// Config is what New needs.
type Config struct {
	Listeners []net.Listener // bound by the caller; closed by Run
	Users     Users
	Logger    *slog.Logger
	// WritesPending is how many messages may wait for one client;
	// 0 means 32,768.
	WritesPending int
	// Hooks are further hooks, for tests that record conversations.
	Hooks []mqtt.Hook
}

// Broker is an embedded MQTT broker.
type Broker struct {
	server *mqtt.Server
}

// New prepares a broker; it accepts connections once Run is called.
func New(cfg Config) (*Broker, error) {
	if cfg.Users == nil || len(cfg.Listeners) == 0 {
		return nil, errors.New("create broker: a listener and a directory of users are needed")
	}
	caps := mqtt.NewDefaultServerCapabilities()
	// 0 switches expiry off; otherwise the retained STATE of the collector
	// vanishes after a day.
	caps.MaximumMessageExpiryInterval = 0
	caps.MaximumClientWritesPending = defaultWritesPending
	if n := cfg.WritesPending; n > 0 && n <= math.MaxInt32 {
		caps.MaximumClientWritesPending = int32(n)
	}
	caps.MaximumPacketSize = maxPacket
	caps.MaximumSessionExpiryInterval = 0
	caps.MinimumProtocolVersion = 4
	caps.SharedSubAvailable = 0
	s := mqtt.New(&mqtt.Options{Capabilities: caps, Logger: cfg.Logger, SysTopicResendInterval: 3600})
	for _, h := range append([]mqtt.Hook{&guard{users: cfg.Users}}, cfg.Hooks...) {
		if err := s.AddHook(h, nil); err != nil {
			return nil, fmt.Errorf("create broker: %w", err)
		}
	}
	for i, l := range cfg.Listeners {
		if err := s.AddListener(listeners.NewNet(strconv.Itoa(i), l)); err != nil {
			return nil, fmt.Errorf("create broker: %w", err)
		}
	}
	return &Broker{server: s}, nil
}

// Run serves until ctx ends.
func (b *Broker) Run(ctx context.Context) error {
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("serve mqtt: %w", err)
	}
	<-ctx.Done()
	if err := b.server.Close(); err != nil {
		return fmt.Errorf("close mqtt: %w", err)
	}
	return nil
}

// guard lets a client in by name and secret and holds it to its topics.
type guard struct {
	mqtt.HookBase
	users Users
}

// ID names the hook in the broker's log.
func (g *guard) ID() string { return "yunhe-guard" }

// Provides tells the broker which calls the guard answers.
func (g *guard) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck || b == mqtt.OnPublish
}

// OnConnectAuthenticate checks name, secret, client id and will. The client
// id must be the name (or start with it and a dash): otherwise one account
// could push another's session out. The will is checked here because the
// broker publishes it without asking again.
func (g *guard) OnConnectAuthenticate(_ *mqtt.Client, pk packets.Packet) bool {
	name := string(pk.Connect.Username)
	user, found := g.users.User(name)
	if same := user.Secret.Matches(pk.Connect.Password); !found || !same {
		return false
	}
	id, will := pk.Connect.ClientIdentifier, pk.Connect.WillTopic
	if id != name && !strings.HasPrefix(id, name+"-") {
		g.Log.Warn("the password is right and the client id is not: it must be the account's name, or begin with it and a dash", "account", name, "client_id", id)
		return false
	}
	if pk.Connect.WillFlag && (!allowed(user.Publish, will) || pk.Connect.WillRetain && !mayRetain(will)) {
		g.Log.Warn("the password is right and the will is not allowed: a renamed gateway needs an account of its new name", "account", name, "will_topic", will)
		return false
	}
	return true
}

// OnPublish refuses to retain what Sparkplug does not retain: a gateway may
// name any device, and each name would hold a message in memory for ever.
func (g *guard) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Retain && !mayRetain(pk.TopicName) {
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// mayRetain reports whether messages of a topic are retained: the state of a
// host alone.
func mayRetain(topic string) bool {
	_, ok := sparkplug.ParseStateTopic(topic)
	return ok
}

// OnACLCheck holds a client to the filters of its account.
func (g *guard) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	user, found := g.users.User(string(cl.Properties.Username))
	if !found {
		return false
	}
	if write {
		return allowed(user.Publish, topic)
	}
	return allowed(user.Subscribe, topic)
}

// allowed reports whether every topic that matches filter is inside one of
// the granted filters.
func allowed(granted []string, filter string) bool {
	for _, g := range granted {
		if covers(strings.Split(g, "/"), strings.Split(filter, "/")) {
			return true
		}
	}
	return false
}

// covers reports whether granted matches all that filter matches.
func covers(granted, filter []string) bool {
	for i, g := range granted {
		if g == "#" {
			return true
		}
		if i >= len(filter) || filter[i] == "#" {
			return false
		}
		if g != "+" && g != filter[i] {
			return false
		}
	}
	return len(granted) == len(filter)
}
