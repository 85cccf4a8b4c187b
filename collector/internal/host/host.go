// Package host is the collector's side of MQTT: one Sparkplug host application
// that listens to its sites, tells its STATE, and publishes commands. It is the
// only package of the collector that knows the MQTT client. Nothing it does is
// a guarantee: what is lost on the way is sent again by the gateways.
package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"yunhe/internal/sparkplug"
)

const (
	firstPause     = time.Second
	lastPause      = 30 * time.Second
	connectTimeout = 10 * time.Second
	keepAlive      = 30 * time.Second
	outbound       = 4096 // commands that may wait
	quiesce        = 250  // ms that a disconnect may take
)

// Config says where and as whom to connect.
type Config struct {
	URL, ClientID  string
	User, Password string
	TLS            *tls.Config // for mqtts
	Host           string      // Sparkplug host id
	Sites          []string
}

// Host keeps one MQTT session at a time.
type Host struct {
	cfg    Config
	handle func(topic string, payload []byte)
	now    func() time.Time
	log    *slog.Logger
	out    chan command
	online atomic.Bool
	lost   atomic.Uint64
}

type command struct {
	topic   string
	payload []byte
}

// New prepares a host. handle gets every message of the sites, in order; it
// must not block, or the session dies of it.
func New(cfg Config, handle func(topic string, payload []byte), now func() time.Time, log *slog.Logger) *Host {
	return &Host{cfg: cfg, handle: handle, now: now, log: log, out: make(chan command, outbound)}
}

// Send publishes a command at QoS 0 as soon as there is a session. It never
// blocks; when too many wait the command is lost, and what it says is said
// again after the gateway has sent again.
func (h *Host) Send(topic string, payload []byte) {
	select {
	case h.out <- command{topic, payload}:
	default:
		h.lost.Add(1)
	}
}

// Online reports whether there is a session with all subscriptions.
func (h *Host) Online() bool { return h.online.Load() }

// Lost returns how many commands were lost because too many waited.
func (h *Host) Lost() uint64 { return h.lost.Load() }

// Run keeps a session until ctx ends, with growing, jittered pauses between
// tries.
func (h *Host) Run(ctx context.Context) error {
	pause := firstPause
	told := ""
	for {
		connected, err := h.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if connected {
			pause, told = firstPause, ""
		}
		if err.Error() != told {
			told = err.Error()
			h.log.Warn("no session with the broker; trying again", "broker", h.cfg.URL, "error", err)
		}
		t := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		pause = min(2*pause, lastPause)
	}
}

// session is one connection from CONNECT to its end. A new client each time:
// the will carries the time of this CONNECT, and nothing is replayed from an
// earlier one.
func (h *Host) session(ctx context.Context) (connected bool, err error) {
	at := h.now()
	ended := make(chan error, 1)
	offlineSeen := make(chan struct{}, 1)
	state := sparkplug.StateTopic(h.cfg.Host)
	o := mqtt.NewClientOptions().AddBroker(h.cfg.URL).SetClientID(h.cfg.ClientID).
		SetUsername(h.cfg.User).SetPassword(h.cfg.Password).
		SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(connectTimeout).SetKeepAlive(keepAlive).SetPingTimeout(connectTimeout).SetWriteTimeout(connectTimeout).
		SetOrderMatters(true).
		SetBinaryWill(state, sparkplug.State{Online: false, Time: at}.Encode(), 1, true)
	if h.cfg.TLS != nil {
		o.SetTLSConfig(h.cfg.TLS)
	}
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { ended <- err })
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		if m.Topic() == state {
			if s, err := sparkplug.DecodeState(m.Payload()); err == nil && !s.Online {
				select {
				case offlineSeen <- struct{}{}:
				default:
				}
			}
			return
		}
		h.handle(m.Topic(), m.Payload())
	})
	c := mqtt.NewClient(o)
	if err := await(ctx, c.Connect()); err != nil {
		c.Disconnect(0)
		return false, fmt.Errorf("connect to %s: %w", h.cfg.URL, err)
	}
	defer c.Disconnect(quiesce)
	defer h.online.Store(false)
	if err := h.subscribe(ctx, c, state); err != nil {
		return false, err
	}
	online := func() error {
		return await(ctx, c.Publish(state, 1, true, sparkplug.State{Online: true, Time: at}.Encode()))
	}
	if err := online(); err != nil {
		return false, fmt.Errorf("publish state: %w", err)
	}
	h.online.Store(true)
	h.log.Info("listening", "broker", h.cfg.URL, "sites", h.cfg.Sites)
	return true, h.serve(ctx, c, ended, offlineSeen, online, at)
}

// serve sends commands until the session ends. It answers an offline STATE of
// its own, a late will of the session before, with the truth.
func (h *Host) serve(ctx context.Context, c mqtt.Client, ended <-chan error, offlineSeen <-chan struct{}, online func() error, at time.Time) error {
	for {
		select {
		case <-ctx.Done():
			off := sparkplug.State{Online: false, Time: at}.Encode()
			c.Publish(sparkplug.StateTopic(h.cfg.Host), 1, true, off).WaitTimeout(quiesce * time.Millisecond)
			return ctx.Err()
		case err := <-ended:
			return fmt.Errorf("session ended: %w", err)
		case <-offlineSeen:
			if err := online(); err != nil {
				return fmt.Errorf("publish state: %w", err)
			}
		case m := <-h.out:
			c.Publish(m.topic, 0, false, m.payload) // no token proves anything at QoS 0
		}
	}
}

// subscribe asks for the sites and for the own STATE. A refusal is an error: a
// host that hears nothing must say so.
func (h *Host) subscribe(ctx context.Context, c mqtt.Client, state string) error {
	filters := map[string]byte{state: 1}
	for _, s := range h.cfg.Sites {
		filters[sparkplug.Namespace+"/"+s+"/#"] = 1
	}
	t := c.SubscribeMultiple(filters, nil)
	if err := await(ctx, t); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for filter, code := range t.(*mqtt.SubscribeToken).Result() {
		if code > 2 { // [MQTT-3.9.3-2]: 0x80 is failure, and no error to the client
			return fmt.Errorf("subscribe: the broker refuses %s: check the rights of user %q", filter, h.cfg.User)
		}
	}
	return nil
}

var errTimeout = errors.New("no answer in time")

// await waits for a token, the context or the time limit.
func await(ctx context.Context, t mqtt.Token) error {
	limit := time.NewTimer(connectTimeout + time.Second)
	defer limit.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return errTimeout
	}
}
