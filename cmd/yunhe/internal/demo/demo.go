// Package demo runs all of Yunhe in one process against a simulated site:
// devices on real Modbus sockets and a register-level I2C rain gauge, a
// gateway agent that reads, signs and journals them, a broker, a collector
// with SQLite, and the API with its first page.
package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"yunhe/api"
	"yunhe/cmd/yunhe/internal/server"
	"yunhe/collector"
	"yunhe/dashboards"
	"yunhe/edge"
	"yunhe/internal/access"
	"yunhe/internal/broker"
	"yunhe/internal/catalog"
	"yunhe/internal/series/sqlite"
	"yunhe/internal/simulate"

	"github.com/prometheus/client_golang/prometheus"
)

// The names of the demonstration site.
const (
	site    = "tongzhou-demo"
	gateway = "gw-1"
	account = "collector"
	host    = "yunhe-demo"
	seed    = 20240731
)

// Options say where the demo lives.
type Options struct {
	Dir     string // its state; a second start continues there
	Listen  string // host:port of the API; loopback
	Days    int    // of history made at the first start
	Out     io.Writer
	Logger  *slog.Logger
	Version string
}

// demo is one start.
type demo struct {
	Options
	state state
	key   string // API key
	addr  string // of the API

	mqtt      net.Listener
	http      net.Listener
	passwords broker.Passwords
	store     *sqlite.Store
	collector *collector.Collector
	agent     *edge.Agent
	api       server.Part
	live      *simulate.Site
	past      *past
	made      atomic.Int64 // ms of history made so far
}

// Run runs the demo until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{Options: o}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder of the demo: %w", err)
	}
	if d.state, err = loadState(o.Dir, time.Now(), o.Days); err != nil {
		return err
	}
	d.made.Store(d.state.Made.UnixMilli())
	if err := d.open(ctx); err != nil {
		return fmt.Errorf("start demo: %w", err)
	}
	defer d.store.Close()
	d.greet()
	// Whoever feeds stops before who is fed.
	return server.RunInOrder(ctx,
		d.api,
		server.Part{Name: "progress", Run: d.report},
		server.Part{Name: "history", Run: d.makeHistory},
		server.Part{Name: "agent", Run: d.agent.Run},
		server.Part{Name: "devices", Run: d.live.Run},
		server.Part{Name: "collector", Run: d.collector.Run},
		d.broker(),
	)
}

// open binds the sockets and opens every store; nothing moves yet.
func (d *demo) open(ctx context.Context) (err error) {
	if d.mqtt, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if d.http, err = net.Listen("tcp", d.Listen); err != nil {
		return fmt.Errorf("%w: end what listens there, or use --listen", err)
	}
	d.addr = "http://" + d.http.Addr().String()
	if err := d.accounts(); err != nil {
		return err
	}
	if d.live, err = simulate.NewSite(simulate.Options{Start: d.state.Start, Seed: seed, Now: time.Now}); err != nil {
		return err
	}
	if err := d.openAgent(ctx); err != nil {
		return err
	}
	return d.openServer(ctx)
}

// accounts gives the collector and the gateway fresh passwords at the broker.
func (d *demo) accounts() error {
	d.passwords = broker.Passwords{}
	for _, name := range []string{account, broker.AccountName(site, gateway)} {
		password, err := d.passwords.Set(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(d.path(name+".password"), []byte(password+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) broker() server.Part {
	b, err := broker.New(broker.Config{
		Listeners: []net.Listener{d.mqtt}, Logger: d.Logger.With("part", "broker"),
		Users: broker.Accounts{Collector: account, Host: host, Sites: []string{site}, Secret: func(name string) (broker.Secret, bool) {
			s, ok := d.passwords[name]
			return s, ok
		}},
	})
	return server.Part{Name: "broker", Run: func(ctx context.Context) error {
		if err != nil {
			return err
		}
		return b.Run(ctx)
	}}
}

func (d *demo) mqttURL() string { return "mqtt://" + d.mqtt.Addr().String() }

func (d *demo) path(name string) string { return filepath.Join(d.Dir, name) }

// openAgent opens the gateway agent with the simulated buses.
func (d *demo) openAgent(ctx context.Context) (err error) {
	buses, devices := gatewayConfig(d.live.Endpoints())
	name := broker.AccountName(site, gateway)
	d.agent, err = edge.Open(ctx, edge.Config{
		Site: site, Gateway: gateway, StateDir: d.path("gateway"),
		Broker:  edge.Broker{URL: d.mqttURL(), ClientID: name, User: name, PasswordFile: d.path(name + ".password")},
		Journal: edge.Journal{MaxSize: 512 << 20, Floor: time.Hour, Sync: 100 * time.Millisecond},
		Poll:    edge.Poll{Fast: 2 * time.Second, Slow: 10 * time.Second},
		Buses:   buses, Devices: devices,
	}, edge.Deps{
		Clock: newClock(), OpenI2C: d.live.OpenI2C, Version: d.Version,
		Logger: d.Logger.With("part", "agent"),
	})
	return err
}

// openServer opens collector and API and enrols the agent's key.
func (d *demo) openServer(ctx context.Context) (err error) {
	if d.store, err = sqlite.Open(ctx, d.path("series.db")); err != nil {
		return err
	}
	cat, err := loadCatalog(d.path("catalog.yaml"))
	if err != nil {
		return err
	}
	if err := enrol(d.path("gateways.yaml"), d.agent.PublicKey()); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	d.collector, err = collector.Open(ctx, collector.Config{
		Host: host, Sites: []string{site}, StateDir: d.path("collector"), KeysFile: d.path("gateways.yaml"),
		Broker: collector.Broker{URL: d.mqttURL(), ClientID: account, User: account, PasswordFile: d.path(account + ".password")},
		Series: collector.Series{Kind: collector.SeriesSQLite, Path: d.path("series.db")},
	}, collector.Deps{Series: d.store, Logger: d.Logger.With("part", "collector"), Registry: registry})
	if err != nil {
		return err
	}
	return d.openAPI(cat, registry)
}

func (d *demo) openAPI(cat *catalog.Catalog, registry *prometheus.Registry) (err error) {
	if d.key, err = apiKey(d.path("api-keys.yaml"), d.path("api.key"), time.Now()); err != nil {
		return err
	}
	keys, err := access.Open(d.path("api-keys.yaml"), d.Logger)
	if err != nil {
		return err
	}
	h, err := api.New(api.Config{
		Catalog: cat, Access: keys, Series: d.store, Records: d.collector.Reader(), Metrics: registry,
		Logger: d.Logger.With("part", "api"), Clock: func() time.Time { return time.Now().UTC() },
		Version: d.Version, Web: dashboards.Web(),
	})
	if err != nil {
		return err
	}
	d.api = server.Part{Name: "api", Run: func(ctx context.Context) error { return api.Serve(ctx, d.http, h, d.Logger) }}
	return nil
}
