package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"yunhe/collector/internal/evidencestore"
	"yunhe/collector/internal/host"
	"yunhe/collector/internal/ingest"
	"yunhe/collector/internal/intake"
	"yunhe/collector/internal/keys"
	"yunhe/collector/internal/quarantine"
	store "yunhe/collector/internal/records"
	"yunhe/internal/records"
	"yunhe/internal/seglog"
	"yunhe/internal/series"
)

// Deps are what a program hands to its collector.
type Deps struct {
	Series series.Store // opened and closed by the caller
	// Alias returns the present ids behind ids that the catalog knows as former
	// ones, else the ids themselves; device may be empty. nil: there are none.
	Alias    func(site, gateway, device string) (s, g, d string)
	Now      func() time.Time      // nil: the wall clock
	Logger   *slog.Logger          // nil: none
	Registry prometheus.Registerer // nil: nothing is counted
}

// Figures of the collector's life.
const (
	maxWorkers      = 8
	reloadKeysEvery = time.Second
	shutdownTimeout = 5 * time.Second
)

// Collector is an opened collector: its stores are locked, nothing moves yet.
type Collector struct {
	cfg        Config
	log        *slog.Logger
	keys       *keys.Book
	records    *store.Store
	evidence   *evidencestore.Store
	quarantine *quarantine.Store
	pipeline   *ingest.Pipeline
	host       *host.Host
}

// Run opens a collector and runs it until ctx ends.
func Run(ctx context.Context, cfg Config, d Deps) error {
	c, err := Open(ctx, cfg, d)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// Open checks the config and opens the stores. One of Run and Close must
// follow. Damage in the evidence store is set aside and logged; it never
// prevents a start.
func Open(ctx context.Context, cfg Config, d Deps) (*Collector, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("collector config: %w", err)
	}
	if d.Now == nil {
		d.Now = func() time.Time { return time.Now().UTC() }
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Collector{cfg: cfg, log: d.Logger}
	if err := c.open(ctx, d); err != nil {
		return nil, errors.Join(fmt.Errorf("open collector: %w", err), c.Close())
	}
	return c, nil
}

func (c *Collector) open(ctx context.Context, d Deps) (err error) {
	dir := c.cfg.StateDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if c.keys, err = keys.OpenBook(c.cfg.KeysFile, d.Logger); err != nil {
		return err
	}
	// The lock of the evidence store is the collector's: one process a state.
	c.evidence, err = evidencestore.Open(evidencestore.Options{Dir: dir, FS: seglog.OS(), Logger: d.Logger})
	if err != nil {
		return err
	}
	c.quarantine, err = quarantine.Open(quarantine.Options{
		Dir: filepath.Join(dir, "quarantine"), FS: seglog.OS(),
		MaxBytes: c.cfg.Quarantine.MaxBytes, MaxEntries: c.cfg.Quarantine.MaxEntries, Logger: d.Logger,
	})
	if err != nil {
		return err
	}
	if c.records, err = store.Open(ctx, filepath.Join(dir, "records.db"), d.Now); err != nil {
		return err
	}
	if c.host, err = c.newHost(d); err != nil {
		return err
	}
	c.pipeline, err = ingest.New(ingest.Config{
		Sites: c.cfg.Sites, Entries: c.cfg.Flush.Entries, Interval: c.cfg.Flush.Interval,
		Queue: c.cfg.Queue, QueueBytes: c.cfg.QueueBytes, Workers: min(runtime.GOMAXPROCS(0), maxWorkers),
		RawRetention: c.cfg.Evidence.RawRetention,
	}, ingest.Deps{
		Keys: c.keys, Evidence: c.evidence, Series: d.Series, Records: c.records, Clocks: c.records, Retention: c.records,
		Quarantine: c.quarantine, Send: c.host.Send, Alias: d.Alias, Now: d.Now, Logger: d.Logger, Registry: d.Registry,
	})
	if err != nil {
		return err
	}
	return c.register(d.Registry)
}

func (c *Collector) newHost(d Deps) (*host.Host, error) {
	b := c.cfg.Broker
	cfg := host.Config{URL: b.URL, ClientID: b.ClientID, User: b.User, Host: c.cfg.Host, Sites: c.cfg.Sites}
	var err error
	if b.PasswordFile != "" {
		if cfg.Password, err = secret(b.PasswordFile); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(b.URL, "mqtts:") {
		if cfg.TLS, err = tlsConfig(b); err != nil {
			return nil, err
		}
	}
	handle := func(topic string, payload []byte) {
		c.pipeline.Offer(intake.Message{Topic: topic, Payload: payload, At: d.Now()})
	}
	return host.New(cfg, handle, d.Now, d.Logger), nil
}

// Reader returns the records for an API in the same process. It is valid
// until Run returns.
func (c *Collector) Reader() records.Reader { return reader{c.records, c.keys} }

// reader adds the enrolled keys to what the records say of a gateway.
type reader struct {
	*store.Store
	keys *keys.Book
}

func (r reader) Gateways(ctx context.Context, s records.Scope) ([]records.Gateway, error) {
	list, err := r.Store.Gateways(ctx, s)
	for i := range list {
		list[i].Keys = r.keys.Fingerprints(intake.Gateway{Site: list[i].Site, Gateway: list[i].Gateway})
	}
	return list, err
}

// Online reports whether the collector listens to its broker.
func (c *Collector) Online() bool { return c.host.Online() }

// Run takes messages until ctx ends, then closes the stores. Messages not
// acknowledged by then are sent again by their gateways.
func (c *Collector) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, c.Close()) }()
	control, err := c.listenControl()
	if err != nil {
		return err
	}
	listener, handler, err := c.listenRecords()
	if err != nil {
		return errors.Join(err, control.Close())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.keys.Run(ctx, reloadKeysEvery) })
	g.Go(func() error { return c.pipeline.Run(ctx) })
	g.Go(func() error { return c.host.Run(ctx) })
	g.Go(func() error { return serve(ctx, control, c.controlHandler()) })
	if listener != nil {
		g.Go(func() error { return serve(ctx, listener, handler) })
	}
	return g.Wait()
}

// listenRecords opens the second listener, if there is to be one.
func (c *Collector) listenRecords() (net.Listener, http.Handler, error) {
	if c.cfg.Records.Listen == "" {
		return nil, nil, nil
	}
	token, err := secret(c.cfg.Records.TokenFile)
	if err != nil {
		return nil, nil, err
	}
	h, err := records.NewHandler(c.Reader(), token)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.cfg.Records.TokenFile, err)
	}
	l, err := net.Listen("tcp", c.cfg.Records.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the API: %w", err)
	}
	return l, h, nil
}

// serve answers on l until ctx ends; streams end with it.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if srv.Shutdown(late) != nil {
			srv.Close() // whoever still reads is cut off
		}
		return nil
	})
	return g.Wait()
}

// Close gives the stores free; Run does it itself.
func (c *Collector) Close() error {
	var err error
	if c.records != nil {
		err = errors.Join(err, c.records.Close())
	}
	if c.quarantine != nil {
		err = errors.Join(err, c.quarantine.Close())
	}
	if c.evidence != nil {
		err = errors.Join(err, c.evidence.Close())
	}
	return err
}
