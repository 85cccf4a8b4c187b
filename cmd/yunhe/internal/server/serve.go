package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"yunhe/api"
	"yunhe/collector"
	"yunhe/dashboards"
	"yunhe/internal/access"
	"yunhe/internal/broker"
	"yunhe/internal/catalog"
	"yunhe/internal/records"
	"yunhe/internal/series"
	"yunhe/internal/series/influx"
	"yunhe/internal/series/sqlite"
)

// Names of the files in a configuration folder.
const (
	CollectorFile = "collector.yaml"
	APIFile       = "api.yaml"
	BrokerFile    = "broker.yaml"
)

// maxSecret bounds a secret's file, in bytes.
const maxSecret = 4096

// closer is a store that is open.
type closer interface {
	series.Store
	Close() error
}

// OpenSeries opens the store of readings that a configuration names.
func OpenSeries(ctx context.Context, s collector.Series) (closer, error) {
	switch s.Kind {
	case collector.SeriesSQLite:
		return sqlite.Open(ctx, s.Path)
	case collector.SeriesInflux:
		token := ""
		if s.TokenFile != "" {
			var err error
			if token, err = Secret(s.TokenFile); err != nil {
				return nil, err
			}
		}
		return influx.Open(influx.Options{URL: s.URL, Org: s.Org, Bucket: s.Bucket, Token: token})
	default:
		return nil, fmt.Errorf("open series: %q is no kind of store: use sqlite or influx", s.Kind)
	}
}

// Secret reads a one-line secret. A file that everybody on the machine may use
// is refused; its group may, as containers get their secrets that way.
func Secret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return "", fmt.Errorf("read secret: others may use %s (mode %04o); run: chmod o= %s", path, mode, path)
	}
	b := make([]byte, maxSecret)
	n, err := f.Read(b)
	if err != nil || n == maxSecret {
		return "", fmt.Errorf("read secret: %s is empty or longer than %d bytes", path, maxSecret)
	}
	return strings.TrimSpace(string(b[:n])), nil
}

// Program is what the process brings to its parts.
type Program struct {
	Logger  *slog.Logger
	Version string
}

// Collector runs a collector alone.
func (p Program) Collector(ctx context.Context, cfg collector.Config, aliases *catalog.Catalog) error {
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	store, err := OpenSeries(ctx, cfg.Series)
	if err != nil {
		return err
	}
	err = collector.Run(ctx, cfg, collector.Deps{Series: store, Alias: former(aliases), Logger: p.Logger, Registry: prometheus.NewRegistry()})
	return errors.Join(err, store.Close())
}

// former turns the former ids of a catalog into present ones.
func former(c *catalog.Catalog) func(s, g, d string) (string, string, string) {
	if c == nil {
		return nil
	}
	return func(site, gateway, device string) (string, string, string) {
		if s, g, d, ok := c.Current(site, gateway, device); ok {
			return s, g, d
		}
		return site, gateway, device
	}
}

// API runs the API alone, against a collector's records listener.
func (p Program) API(ctx context.Context, cfg APIConfig) error {
	token, err := Secret(cfg.RecordsTokenFile)
	if err != nil {
		return err
	}
	reader, err := records.NewClient(cfg.RecordsURL, token)
	if err != nil {
		return err
	}
	store, err := OpenSeries(ctx, cfg.Series)
	if err != nil {
		return err
	}
	part, err := p.apiPart(cfg, store, reader, prometheus.NewRegistry())
	if err == nil {
		p.Logger.Info("serving", "address", cfg.Listen)
		err = part.Run(ctx)
	}
	return errors.Join(err, store.Close())
}

// Serve runs everything that a configuration folder names: collector, API and,
// if broker.yaml is there, the embedded broker.
func (p Program) Serve(ctx context.Context, dir string) error {
	cc, errC := collector.Load(filepath.Join(dir, CollectorFile))
	ac, errA := LoadAPI(filepath.Join(dir, APIFile), false)
	if err := errors.Join(errC, errA); err != nil {
		return err
	}
	mqtt, err := p.brokerParts(filepath.Join(dir, BrokerFile), cc)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cc.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	store, err := OpenSeries(ctx, cc.Series)
	if err != nil {
		return err
	}
	err = p.serve(ctx, cc, ac, store, mqtt)
	return errors.Join(err, store.Close())
}

func (p Program) serve(ctx context.Context, cc collector.Config, ac APIConfig, store closer, mqtt []Part) error {
	cat, err := catalog.Load(ac.Catalog)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	c, err := collector.Open(ctx, cc, collector.Deps{Series: store, Alias: former(cat), Logger: p.Logger.With("part", "collector"), Registry: registry})
	if err != nil {
		return err
	}
	web, err := p.apiPart(ac, store, c.Reader(), registry)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	p.Logger.Info("serving", "address", ac.Listen, "sites", cc.Sites)
	return RunInOrder(ctx, append([]Part{web, {"collector", c.Run}}, mqtt...)...)
}

func (p Program) apiPart(cfg APIConfig, store series.Store, reader records.Reader, registry *prometheus.Registry) (Part, error) {
	cat, err := catalog.Load(cfg.Catalog)
	if err != nil {
		return Part{}, err
	}
	keys, err := access.Open(cfg.KeysFile, p.Logger)
	if err != nil {
		return Part{}, err
	}
	h, err := api.New(api.Config{
		Catalog: cat, Access: keys, Series: store, Records: reader, Metrics: registry,
		Logger: p.Logger.With("part", "api"), Clock: func() time.Time { return time.Now().UTC() },
		Version: p.Version, Web: dashboards.Web(),
	})
	if err != nil {
		return Part{}, err
	}
	l, err := listen(cfg.Listen, cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return Part{}, err
	}
	return Part{"api", func(ctx context.Context) error { return api.Serve(ctx, l, h, p.Logger) }}, nil
}

// listen opens a listener, with TLS if there is a certificate.
func listen(address, cert, key string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil || cert == "" {
		return l, err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load certificate: %w", err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), nil
}

// brokerParts are the embedded broker and its watch over the accounts; none
// if there is no broker.yaml.
func (p Program) brokerParts(path string, cc collector.Config) ([]Part, error) {
	cfg, err := LoadBroker(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	passwords, err := broker.OpenPasswords(cfg.PasswordsFile, p.Logger)
	if err != nil {
		return nil, err
	}
	var ls []net.Listener
	for _, at := range []struct{ address, cert, key string }{{cfg.Listen, "", ""}, {cfg.TLSListen, cfg.CertFile, cfg.KeyFile}} {
		if at.address == "" {
			continue
		}
		l, err := listen(at.address, at.cert, at.key)
		if err != nil {
			return nil, err
		}
		ls = append(ls, l)
	}
	b, err := broker.New(broker.Config{
		Listeners: ls, Logger: p.Logger.With("part", "broker"), WritesPending: cfg.WritesPending,
		Users: broker.Accounts{Collector: cc.Broker.User, Host: cc.Host, Sites: cc.Sites, Secret: passwords.Secret},
	})
	if err != nil {
		return nil, err
	}
	return []Part{{"broker", b.Run}, {"accounts", passwords.Run}}, nil
}
