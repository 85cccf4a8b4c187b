// Package publish sends journalled entries to the collector over Sparkplug B
// and keeps sending each until it is acknowledged. Counters on quarter hours go
// first, then what is live, then what an outage left behind, oldest first. An
// entry is one message; it is read from the journal when it is sent, so memory
// does not grow with the backlog. docs/adr/0010-publish.md gives the reasons.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
)

// Entry names a journalled entry.
type Entry struct {
	JID, JSeq uint64
	Device    string // empty for entries of the gateway itself
	Bytes     int
	Ref       any // what Read needs
}

// Journal is a source of entries.
type Journal interface {
	// Pending returns up to limit entries that are neither acknowledged nor
	// held, oldest first, and the place to go on from; a nil place is the
	// beginning.
	Pending(from any, limit int) ([]Entry, any, error)
	// Mark returns the place behind everything written so far, and the number
	// the next entry will have.
	Mark() (place any, jid, next uint64)
	// Read returns an entry.
	Read(e Entry) (evidence.Entry, error)
	// Updated receives after entries became pending.
	Updated() <-chan struct{}
}

// Answers takes what the collector says about entries.
type Answers interface {
	Ack(evidence.Ranges)
	Hold(evidence.Ranges)   // keep them, stop sending
	Replay(evidence.Ranges) // send them again
	// Define journals the definition with this hash anew; it may do so later.
	Define(ctx context.Context, hash evidence.Hash) error
}

// Birth is what a DBIRTH announces.
type Birth struct {
	Device string
	Points []sparkplug.BirthPoint
}

// Config is what New needs.
type Config struct {
	Site, Gateway string
	Broker        Broker
	Metered       bool
	BdSeqFile     string // where the number of the newest CONNECT is kept

	Boundary, Live Journal
	Past           []Journal // histories made under another clock
	Answers        Answers
	Births         func() []Birth
	Status         func() sparkplug.Status

	Now    func() time.Time
	Logger *slog.Logger
}

// Publisher sends entries. Run runs it once.
type Publisher struct {
	cfg     Config
	wake    chan struct{} // entries became pending
	changed chan struct{} // births changed
	// extra are metrics of entries in the journal that the devices of today no
	// longer have: they must be born before their history may be sent.
	extra map[string]map[string]sparkplug.BirthPoint
	// window outlives sessions only for its measure of the round trip.
	window *window
	bdSeq  *uint64 // of the newest CONNECT; nil before the first

	mu    sync.Mutex
	state State
}

// State is what Status shows.
type State struct {
	Connected bool
	Since     time.Time // of the session
	LastAck   time.Time
	Silent    bool
	InFlight  int
	Window    int
	Sent      uint64
	Resent    uint64
	Acked     uint64
	Ignored   uint64 // commands lost because too many came at once
	LastError string
	ErrorAt   time.Time
}

// New returns a publisher.
func New(cfg Config) *Publisher {
	budget := ethernetBytes
	if cfg.Metered {
		budget = meteredBytes
	}
	return &Publisher{
		cfg: cfg, wake: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		extra: map[string]map[string]sparkplug.BirthPoint{}, window: newWindow(budget),
	}
}

// Changed tells that what Births returns has changed: a rebirth follows.
func (p *Publisher) Changed() { notify(p.changed) }

// State returns the state; safe beside Run.
func (p *Publisher) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

func (p *Publisher) update(fn func(*State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn(&p.state)
}

// fail notes an error for the status and the next births.
func (p *Publisher) fail(err error) {
	p.cfg.Logger.Warn("publish", "error", err)
	p.update(func(s *State) { s.LastError, s.ErrorAt = err.Error(), p.cfg.Now() })
}

// Run connects, sends and reconnects until ctx ends; then it tells its death
// and disconnects. What cannot be sent now stays in the journal: Run fails for
// nothing but ctx.
func (p *Publisher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, j := range append([]Journal{p.cfg.Boundary, p.cfg.Live}, p.cfg.Past...) {
		g.Go(func() error { return forward(ctx, j.Updated(), p.wake) })
	}
	g.Go(func() error { return p.reconnect(ctx) })
	return g.Wait()
}

func (p *Publisher) reconnect(ctx context.Context) error {
	pause := backoff{random: rand.Float64}
	for ctx.Err() == nil {
		began := time.Now()
		err := p.session(ctx)
		p.update(func(s *State) { s.Connected, s.InFlight = false, 0 })
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			p.fail(err)
		}
		if time.Since(began) >= goodSession {
			pause.reset()
		}
		sleep(ctx, pause.next())
	}
	return nil
}

// session is one MQTT session from CONNECT to its end.
func (p *Publisher) session(ctx context.Context) (err error) {
	bdSeq, err := p.nextBdSeq()
	if err != nil {
		p.fail(err)
	}
	s := &session{
		Publisher: p, wire: sparkplug.NewSession(p.cfg.Site, p.cfg.Gateway, bdSeq),
		rtt: p.window.rtt,
	}
	p.window = newWindow(p.window.budget)
	p.window.rtt = s.rtt
	s.link, err = connect(ctx, p.cfg.Broker, p.cfg.Metered, s.wire.Will(p.cfg.Now()), sparkplug.CommandFilter(p.cfg.Site, p.cfg.Gateway))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", p.cfg.Broker.URL, err)
	}
	defer s.link.close()
	p.cfg.Logger.Info("connected", "broker", p.cfg.Broker.URL, "bdSeq", bdSeq)
	s.open()
	err = s.run(ctx)
	if errors.Is(err, errLost) {
		return err // the broker publishes the will
	}
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, s.goodbye(ctx))
}

// goodbye tells the death of the node: a DISCONNECT discards the will
// (payloads-ndeath-will-message-publisher-disconnect-mqtt311).
func (s *session) goodbye(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
	defer cancel()
	return s.link.send(ctx, s.wire.NodeDeath(s.cfg.Now()))
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func forward(ctx context.Context, from <-chan struct{}, to chan<- struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-from:
			notify(to)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
