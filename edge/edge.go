package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"yunhe/edge/internal/bus"
	"yunhe/edge/internal/clock"
	"yunhe/edge/internal/journal"
	"yunhe/edge/internal/poll"
	"yunhe/edge/internal/publish"
	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/telemetry"
)

// Deps are what an agent is given instead of reaching for it. The zero value
// is a real gateway.
type Deps struct {
	// Clock gives the time and its state; nil means the machine's clock.
	Clock telemetry.Source
	// OpenI2C opens an I2C bus by its device file; nil means the machine's.
	OpenI2C func(path string) (i2c.BusCloser, error)
	Logger  *slog.Logger // nil discards
	Version string       // of the program, for births and epochs; empty means dev
	Random  io.Reader    // for epoch numbers; nil means crypto/rand

	files seglog.FS // of the journals; nil means the machine's; tests cut its power
}

// Names of the journals. The boundary journal of each pair gives way last.
const (
	rawJournal      = "raw"
	boundaryJournal = "boundary"
	pastJournal     = "history"
	pastBoundary    = "history-boundary"
)

// Agent is a gateway agent whose journals are open.
type Agent struct {
	cfg     Config
	deps    Deps
	key     *evidence.PrivateKey
	created bool // the key, by Open
	lock    *stateLock
	started time.Time

	buses    []*bus.Bus
	devices  []*poll.Device
	journals *journal.Set
	recorder *recorder
	publish  *publish.Publisher
	feeds    agentFeeds

	mu          sync.Mutex
	past        *journal.Set // nil until there is a history
	pastDefined *defined
}

// agentFeeds are the journals as the publisher sees them.
type agentFeeds struct{ raw, boundary, past, pastBoundary *feed }

func (f agentFeeds) all() []*feed { return []*feed{f.raw, f.boundary, f.past, f.pastBoundary} }

// Run polls, signs, journals and sends until ctx ends, then stops in order:
// polling, journals, session. It returns nil after an orderly stop.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	a, err := Open(ctx, cfg, deps)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// Open validates cfg, loads the key (creating it at the first start) and opens
// the journals. Close or Run must follow.
func Open(ctx context.Context, cfg Config, deps Deps) (*Agent, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	devices, err := cfg.resolve()
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	a := &Agent{cfg: cfg, deps: deps}
	if err := a.open(devices); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Agent) open(devices []resolved) (err error) {
	if err := os.MkdirAll(a.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	if a.lock, err = lockState(a.cfg.StateDir); err != nil {
		return err
	}
	if err := a.fillDeps(); err != nil {
		return err
	}
	if f := a.cfg.Broker.PasswordFile; f != "" {
		if err := checkSecret(f); err != nil {
			a.deps.Logger.Warn("the broker's password", "error", err)
		}
	}
	a.started = a.deps.Clock.Now()
	if a.key, a.created, err = evidence.LoadOrCreateKey(a.cfg.KeyFile); err != nil {
		return fmt.Errorf("load key: %w", err)
	}
	if a.journals, err = a.openJournals(a.deps.Clock, a.cfg.Journal.Sync, rawJournal, boundaryJournal); err != nil {
		return err
	}
	raw, boundary := a.journals.Journal(rawJournal), a.journals.Journal(boundaryJournal)
	fresh := newFresh()
	a.feeds = agentFeeds{newFeed(fresh), newFeed(fresh), newFeed(nil), newFeed(nil)}
	a.feeds.raw.attach(raw)
	a.feeds.boundary.attach(boundary)
	a.recorder = newRecorder(a.key, a.deps.Clock, a.definitions(), newDefined(), raw, boundary, 64+4*len(devices))
	a.recorder.fresh, a.recorder.log = fresh, a.deps.Logger
	if _, err := os.Stat(a.journalDir(pastJournal)); err == nil {
		if _, err := a.openPast(); err != nil {
			return err
		}
	}
	a.publish = publish.New(a.publishConfig())
	a.buses, a.devices, err = a.connect(devices, world{
		clock: a.deps.Clock, sink: a.recorder, openI2C: a.deps.OpenI2C, buses: a.cfg.Buses, changed: a.publish.Changed,
	})
	return err
}

// fillDeps puts the machine where the caller gave nothing.
func (a *Agent) fillDeps() error {
	if a.deps.Logger == nil {
		a.deps.Logger = slog.New(slog.DiscardHandler)
	}
	a.deps.Version = cmp.Or(a.deps.Version, "dev")
	if a.deps.files == nil {
		a.deps.files = seglog.OS()
	}
	if a.deps.Clock == nil {
		source, err := clock.Open(clock.Options{Built: buildTime(), Marker: filepath.Join(a.cfg.StateDir, "clock")})
		if err != nil {
			return fmt.Errorf("open clock: %w", err)
		}
		if err := source.Readable(); err != nil {
			a.deps.Logger.Error("the clock counts as unsynchronised", "error", err)
		}
		a.deps.Clock = source
	}
	return nil
}

// buildTime returns when the program's source was committed: no clock that is
// right shows an earlier time.
func buildTime() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t
			}
		}
	}
	return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
}

func (a *Agent) journalDir(name string) string {
	return filepath.Join(a.cfg.StateDir, "journal", name)
}

func (a *Agent) definitions() definitions {
	return definitions{filepath.Join(a.cfg.StateDir, "definitions")}
}

// openJournals opens one pair of journals and begins their epochs.
func (a *Agent) openJournals(source telemetry.Source, sync time.Duration, raw, boundary string) (*journal.Set, error) {
	content := func(e evidence.Event) (evidence.Content, error) {
		data, err := e.Encode()
		return evidence.Content{Kind: evidence.KindEvent, Recorded: source.Now(), Clock: source.Clock(), Data: data}, err
	}
	seal := func(e evidence.Event) journal.Sealer {
		return func(jid, jseq uint64, prev evidence.Hash) (evidence.Entry, error) {
			c, err := content(e)
			if err != nil {
				return evidence.Entry{}, err
			}
			return sealer(a.key, c)(jid, jseq, prev)
		}
	}
	set, report, err := journal.Open(journal.Options{
		Dir: filepath.Join(a.cfg.StateDir, "journal"), FS: a.deps.files, Journals: []string{raw, boundary},
		MaxBytes: a.cfg.Journal.MaxSize, Floor: a.cfg.Journal.Floor, Sync: sync,
		Now: source.Now, Random: a.deps.Random, Logger: a.deps.Logger,
	}, journal.Events{
		Epoch: func(name string, jid, jseq uint64, hash evidence.Hash) journal.Sealer {
			return seal(evidence.Epoch{
				Site: a.cfg.Site, Gateway: a.cfg.Gateway, Journal: name, Agent: a.deps.Version,
				PrevJID: jid, PrevJSeq: jseq, PrevHash: hash,
			})
		},
		Loss: func(_ string, loss evidence.Loss) journal.Sealer { return seal(loss) },
	})
	if err != nil {
		return nil, err
	}
	for name, r := range report {
		if len(r.Damage) > 0 {
			a.deps.Logger.Warn("journal was damaged; the parts are set aside", "journal", name, "parts", len(r.Damage))
		}
	}
	return set, nil
}

// openPast opens the journals of the history and shows them to the publisher.
func (a *Agent) openPast() (*journal.Set, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.past != nil {
		return a.past, nil
	}
	set, err := a.openJournals(a.deps.Clock, pastSync, pastJournal, pastBoundary)
	if err != nil {
		return nil, err
	}
	a.past, a.pastDefined = set, newDefined()
	a.feeds.past.attach(set.Journal(pastJournal))
	a.feeds.pastBoundary.attach(set.Journal(pastBoundary))
	return set, nil
}

func (a *Agent) publishConfig() publish.Config {
	return publish.Config{
		Site: a.cfg.Site, Gateway: a.cfg.Gateway,
		Broker: publish.Broker{
			URL: a.cfg.Broker.URL, ClientID: a.cfg.Broker.ClientID,
			User: a.cfg.Broker.User, PasswordFile: a.cfg.Broker.PasswordFile,
			CAFile: a.cfg.Broker.CAFile, CertFile: a.cfg.Broker.CertFile, KeyFile: a.cfg.Broker.KeyFile,
		},
		Metered: a.cfg.Link.Kind == Metered, BdSeqFile: filepath.Join(a.cfg.StateDir, "bdseq"),
		Boundary: a.feeds.boundary, Live: a.feeds.raw,
		Past:    []publish.Journal{a.feeds.pastBoundary, a.feeds.past},
		Answers: answers{a.recorder, a.feeds.all()},
		Births:  a.births, Status: a.nodeStatus,
		Now: a.deps.Clock.Now, Logger: a.deps.Logger,
	}
}

// Close closes an agent that was never run.
func (a *Agent) Close() error {
	var errs []error
	if a.recorder != nil {
		a.recorder.wait()
	}
	if a.journals != nil {
		errs = append(errs, a.journals.Close())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.past != nil {
		errs = append(errs, a.past.Close())
	}
	return errors.Join(append(errs, a.lock.release())...)
}
