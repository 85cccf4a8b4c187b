// Package ingest takes MQTT messages and decides what becomes of each: stored
// and acknowledged, held, unknown, invalid. Its one promise: an entry is
// acknowledged only after its signed bytes are on disk, the series store has
// accepted its readings, and one records transaction has noted its number.
//
// Messages wait in bounded queues, one a worker; the workers decode and verify
// in parallel, in order per gateway; one goroutine stores and acknowledges,
// many messages at a time. All messages from arrival to answer share one budget
// of bytes. A store that is slow or down makes it and the queues fill, and what
// does not fit is dropped and counted: the gateways keep what is not
// acknowledged and send it again.
package ingest

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"yunhe/collector/internal/intake"
)

// Config bounds the pipeline.
type Config struct {
	Sites    []string // the sites this collector owns
	Entries  int      // at most this many messages a flush
	Interval time.Duration
	Queue    int // messages that may wait
	// QueueBytes bounds the messages between arrival and answer.
	QueueBytes int64
	Workers    int // that decode and verify
	// RawRetention is how long raw batches stay in the evidence store after
	// they were stored; 0: for ever.
	RawRetention time.Duration
}

// Deps are what the pipeline works with.
type Deps struct {
	Keys       Keys
	Evidence   Evidence
	Series     Series
	Records    Records
	Clocks     Clocks
	Retention  Retention
	Quarantine Quarantine
	// Send publishes a command; it may be lost, and must not block for long.
	Send func(topic string, payload []byte)
	// Alias returns the present ids behind ids that the catalog knows as former
	// ones, else the ids themselves. device may be empty.
	Alias    func(site, gateway, device string) (s, g, d string)
	Now      func() time.Time
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// Pipeline is the way of messages from the broker to the stores.
type Pipeline struct {
	Deps
	cfg     Config
	metrics *metrics
	seed    maphash.Seed
	room    *room
	queues  []chan job    // one a worker
	decided chan *arrival // from the workers to the one that stores
	owned   map[string]bool
	state   state // of the storing goroutine
}

// job is a message on its way, with a place for the answer to a replay.
type job struct {
	intake.Message
	weight int64         // what it takes of the room
	done   chan<- Result // nil for messages from the broker
}

// Result is what became of a replayed message.
type Result struct {
	Outcome Outcome
	Reason  string
}

// New prepares a pipeline; nothing moves until Run.
func New(cfg Config, d Deps) (*Pipeline, error) {
	if d.Alias == nil {
		d.Alias = func(s, g, dev string) (string, string, string) { return s, g, dev }
	}
	cfg.Workers = max(cfg.Workers, 1)
	p := &Pipeline{Deps: d, cfg: cfg, seed: maphash.MakeSeed(), room: newRoom(cfg.QueueBytes), owned: map[string]bool{}, state: newState()}
	for _, s := range cfg.Sites {
		p.owned[s] = true
	}
	for range cfg.Workers {
		p.queues = append(p.queues, make(chan job, max(cfg.Queue/cfg.Workers, 1)))
	}
	p.decided = make(chan *arrival, cfg.Entries)
	m, err := newMetrics(d.Registry, p.waiting, p.room.used)
	if err != nil {
		return nil, err
	}
	p.metrics = m
	return p, nil
}

// waiting returns how many messages wait to be decoded.
func (p *Pipeline) waiting() float64 {
	n := 0
	for _, q := range p.queues {
		n += len(q)
	}
	return float64(n)
}

// Offer takes a message without ever blocking. It reports false, and counts,
// when it does not fit: the message is gone, and its entry comes again.
func (p *Pipeline) Offer(m intake.Message) bool {
	if isCommand(m.Topic) {
		return true // our own commands come back: we listen to the whole site
	}
	p.metrics.messages.Inc()
	if j := (job{Message: m, weight: p.room.weigh(m)}); p.room.try(j.weight) {
		select {
		case p.queue(m.Topic) <- j:
			return true
		default:
			p.room.release(j.weight)
		}
	}
	p.metrics.dropped.Inc()
	return false
}

// isCommand reports whether the third level of a topic is NCMD.
func isCommand(topic string) bool {
	_, rest, _ := strings.Cut(topic, "/")
	_, rest, _ = strings.Cut(rest, "/")
	return strings.HasPrefix(rest, "NCMD/")
}

// Replay takes a message from the quarantine through the pipeline once more.
// The channel tells what became of it, once it is settled; messages of one
// node keep their order.
func (p *Pipeline) Replay(ctx context.Context, it intake.Item) (<-chan Result, error) {
	done := make(chan Result, 1)
	j := job{Message: intake.Message{Topic: it.Topic, Payload: it.Payload, At: p.Now()}, done: done}
	j.weight = p.room.weigh(j.Message)
	if err := p.room.wait(ctx, j.weight); err != nil {
		return nil, err
	}
	select {
	case p.queue(it.Topic) <- j:
		return done, nil
	case <-ctx.Done():
		p.room.release(j.weight)
		return nil, ctx.Err()
	}
}

// queue returns the queue of the node that a topic names: one worker for all
// its messages keeps them in order.
func (p *Pipeline) queue(topic string) chan job {
	var h maphash.Hash
	h.SetSeed(p.seed)
	level := 0
	for i := 0; i < len(topic); i++ {
		if topic[i] == '/' {
			level++
		}
		if level == 1 || level == 3 { // group and node
			h.WriteByte(topic[i])
		}
	}
	return p.queues[h.Sum64()%uint64(len(p.queues))]
}

// Run moves messages until ctx ends. What was not acknowledged by then comes
// again.
func (p *Pipeline) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, q := range p.queues {
		g.Go(func() error { return p.work(ctx, q) })
	}
	g.Go(func() error { return p.store(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// work decodes and verifies the messages of one queue.
func (p *Pipeline) work(ctx context.Context, q <-chan job) error {
	d := newDecoder(p)
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-q:
			if p.room.open(ctx, j.weight) != nil {
				return nil
			}
			a := d.decode(j)
			select {
			case p.decided <- a:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// store gathers what the workers decided and flushes it. A flush begins when
// it is full or its first message has waited for the interval.
func (p *Pipeline) store(ctx context.Context) error {
	idle := time.NewTicker(retimeEvery)
	defer idle.Stop()
	batch := make([]*arrival, 0, p.cfg.Entries)
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return nil
		case <-idle.C:
		case a := <-p.decided:
			batch = p.gather(ctx, append(batch, a))
		}
		if err := p.flush(ctx, batch); err != nil {
			return err
		}
		for _, a := range batch {
			p.room.close(a.weight)
		}
		clear(batch) // so that they are freed while the queue is quiet
		p.evict(ctx)
	}
}

func (p *Pipeline) gather(ctx context.Context, batch []*arrival) []*arrival {
	full := time.NewTimer(p.cfg.Interval)
	defer full.Stop()
	for len(batch) < p.cfg.Entries {
		select {
		case a := <-p.decided:
			batch = append(batch, a)
		case <-full.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}
