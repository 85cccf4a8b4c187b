package publish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"yunhe/internal/sparkplug"
)

// Broker says where and as whom to connect. Files are read at each connect,
// so a renewed certificate or password needs no restart.
type Broker struct {
	URL                       string
	ClientID                  string
	User, PasswordFile        string
	CAFile, CertFile, KeyFile string
}

const (
	connectTimeout = 30 * time.Second
	writeTimeout   = 10 * time.Second
	sendTimeout    = 30 * time.Second
	goodbyeTimeout = 3 * time.Second
	quiesce        = 250 // milliseconds for DISCONNECT to leave
	// maxCommands wait to be handled. More are dropped and counted: what they
	// acknowledged is sent and acknowledged again.
	maxCommands = 256

	keepAlive = 30 * time.Second
	// meteredKeepAlive is close to what mobile networks let an idle connection
	// live. A dead link is seen by missing acknowledgements sooner.
	meteredKeepAlive = 15 * time.Minute
)

// errLost ends a session whose connection broke.
var errLost = errors.New("connection lost")

// link is one MQTT connection. Every session has a client of its own: the
// will, which holds bdSeq, is fixed in a client's options, and paho's own
// reconnect would send before births.
type link struct {
	client   mqtt.Client
	lost     chan struct{}
	cause    error // set before lost is closed
	commands chan []byte
	dropped  atomic.Uint64
}

// connect opens the connection and subscribes to commands; it fails unless
// the broker granted the subscription.
func connect(ctx context.Context, b Broker, metered bool, will sparkplug.Message, filter string) (*link, error) {
	l := &link{lost: make(chan struct{}), commands: make(chan []byte, maxCommands)}
	opts, err := b.options(metered)
	if err != nil {
		return nil, err
	}
	opts.SetBinaryWill(will.Topic.String(), will.Payload, will.QoS, will.Retain)
	var once sync.Once
	opts.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		once.Do(func() { l.cause = err; close(l.lost) })
	})
	opts.SetDefaultPublishHandler(func(mqtt.Client, mqtt.Message) {})
	l.client = mqtt.NewClient(opts)
	if err := wait(ctx, l.client.Connect(), connectTimeout); err != nil {
		l.client.Disconnect(0)
		return nil, err
	}
	if err := l.subscribe(ctx, filter); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (b Broker) options(metered bool) (*mqtt.ClientOptions, error) {
	o := mqtt.NewClientOptions()
	o.AddBroker(b.URL)
	o.SetClientID(b.ClientID)
	o.SetCleanSession(true)
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetProtocolVersion(4) // else a refused CONNECT is tried again as 3.1 with the same bdSeq
	o.SetConnectTimeout(connectTimeout)
	o.SetWriteTimeout(writeTimeout)
	o.SetPingTimeout(writeTimeout)
	o.SetKeepAlive(keepAlive)
	if metered {
		o.SetKeepAlive(meteredKeepAlive)
		o.SetPingTimeout(connectTimeout)
	}
	if b.User != "" {
		o.SetUsername(b.User)
	}
	if b.PasswordFile != "" {
		text, err := os.ReadFile(b.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
		o.SetPassword(strings.TrimRight(string(text), "\r\n"))
	}
	if strings.HasPrefix(b.URL, "mqtts:") {
		config, err := b.tls()
		if err != nil {
			return nil, err
		}
		o.SetTLSConfig(config)
	}
	return o, nil
}

func (b Broker) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if b.CAFile != "" {
		pem, err := os.ReadFile(b.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA: %s holds no PEM certificate", b.CAFile)
		}
	}
	if b.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(b.CertFile, b.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// subscribe asks for commands at QoS 1 and checks the answer: a refusal
// (0x80) is no error for paho.
func (l *link) subscribe(ctx context.Context, filter string) error {
	token := l.client.Subscribe(filter, 1, func(_ mqtt.Client, m mqtt.Message) {
		select {
		case l.commands <- m.Payload():
		default:
			l.dropped.Add(1)
		}
	})
	if err := wait(ctx, token, connectTimeout); err != nil {
		return fmt.Errorf("subscribe %s: %w", filter, err)
	}
	if sub, ok := token.(*mqtt.SubscribeToken); ok {
		if code, ok := sub.Result()[filter]; !ok || code > 2 {
			return fmt.Errorf("subscribe %s: the broker refused it; check its access list", filter)
		}
	}
	return nil
}

// send hands one message to the connection and returns when it was written.
// At QoS 0 that proves nothing: the journal keeps it until it is acknowledged.
func (l *link) send(ctx context.Context, m sparkplug.Message) error {
	select {
	case <-l.lost:
		return l.broken()
	default:
	}
	token := l.client.Publish(m.Topic.String(), m.QoS, m.Retain, m.Payload)
	timer := time.NewTimer(sendTimeout)
	defer timer.Stop()
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return fmt.Errorf("publish %s: %w", m.Topic.Type, err)
		}
		return nil
	case <-l.lost:
		return l.broken()
	case <-timer.C:
		return fmt.Errorf("publish %s: not written in %s", m.Topic.Type, sendTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link) broken() error { return fmt.Errorf("%w: %w", errLost, l.cause) }

func (l *link) close() { l.client.Disconnect(quiesce) }

func wait(ctx context.Context, t mqtt.Token, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-timer.C:
		return fmt.Errorf("no answer in %s", limit)
	case <-ctx.Done():
		return ctx.Err()
	}
}
