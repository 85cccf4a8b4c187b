package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"yunhe/edge"
	"yunhe/internal/series"
	"yunhe/internal/series/influx"
)

const (
	backlogMeters = 10
	backlogEvery  = 10 * time.Second
)

// backlog measures how fast a gateway delivers what an outage of a day left
// behind, and how long its live readings take meanwhile.
func (b *bench) backlog() error {
	broker, _, err := b.startBroker()
	if err != nil {
		return err
	}
	url, err := b.startInflux()
	if err != nil {
		return err
	}
	live, err := b.startMeters(backlogMeters)
	if err != nil {
		return err
	}
	span := 24 * time.Hour
	if b.short {
		span = 30 * time.Minute
	}
	path, cfg, err := b.agentConfig(agentSetup{name: "back", broker: "mqtt://" + broker, sync: "100ms", poll: "1s", meters: backlogMeters, lines: live})
	if err != nil {
		return err
	}
	made, err := b.makePast(cfg, span)
	if err != nil {
		return err
	}
	c := collectorSetup{name: "backlog", broker: broker, influx: url, bucket: "yunhe"}
	if err := b.enrollAgent(cfg, c); err != nil {
		return err
	}
	if _, err := b.startCollector(c); err != nil {
		return err
	}
	watch, err := b.watchLive(url, cfg)
	if err != nil {
		return err
	}
	begin := time.Now()
	p, err := b.startAgent("back", path, cfg)
	if err != nil {
		return errors.Join(err, watch.stop())
	}
	past := func() (n uint64) {
		s, err := edge.QueryStatus(b.ctx, cfg)
		if err != nil {
			return 1
		}
		for _, j := range s.Journals {
			if j.Name == "history" || j.Name == "history-boundary" {
				n += j.Backlog
			}
		}
		return n
	}
	if err := b.until("the backlog is drained", 4*time.Minute, p, func() bool { time.Sleep(95 * time.Millisecond); return past() == 0 }); err != nil {
		return errors.Join(err, watch.stop())
	}
	took := time.Since(begin)
	drained := watch.cut()
	if err := b.sleep(8*time.Second, p); err != nil {
		return errors.Join(err, watch.stop())
	}
	quiet := watch.cut()
	if err := watch.stop(); err != nil {
		return err
	}
	b.add(fmt.Sprintf("backlog of %s, 10 meters × 20 values each 10 s (%d entries): drained in", span, made), "s", "", took.Seconds())
	b.add("drained so many times faster than made", "times", "≥ 100", span.Seconds()/took.Seconds())
	b.addDelay("live readings while it drains: read to visible in InfluxDB", drained)
	b.addDelay("live readings with nothing else: read to visible in InfluxDB", quiet)
	b.note("the backlog lies in the journals \"history\"; live polls are each second to get samples (%d while draining, %d after); looked at each 25 ms; from the start of the process, connecting included", len(drained), len(quiet))
	return p.stop()
}

func (b *bench) addDelay(what string, delays []time.Duration) {
	if len(delays) == 0 {
		b.note("%s: no sample", what)
		return
	}
	slices.Sort(delays)
	at := func(q float64) float64 { return delays[int(q*float64(len(delays)-1))].Seconds() * 1000 }
	b.add(what+", p50", "ms", "", at(0.5))
	b.add(what+", p99", "ms", "", at(0.99))
}

// makePast polls a simulated past into the agent's journals, by the path that
// live polls take, while nothing is connected.
func (b *bench) makePast(cfg edge.Config, span time.Duration) (entries uint64, err error) {
	to := time.Now().UTC().Truncate(time.Minute)
	clock := &virtual{t: to}
	m, err := newMeters(backlogMeters, clock.now, household)
	if err != nil {
		return 0, err
	}
	var buses []edge.Bus
	for i, address := range m.addresses() {
		buses = append(buses, edge.Bus{ID: cfg.Buses[i].ID, Address: "tcp://" + address})
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	running.Go(func() { m.run(ctx) })
	defer running.Wait()
	defer cancel()
	agent, err := edge.Open(b.ctx, cfg, edge.Deps{Logger: slog.New(slog.DiscardHandler), Version: "bench"})
	if err != nil {
		return 0, err
	}
	err = agent.Backfill(b.ctx, edge.History{From: to.Add(-span), To: to, Every: backlogEvery, Buses: buses,
		Step: func(t time.Time) error { clock.set(t); return nil }})
	entries = backlogOf(agent.Status())
	return entries, errors.Join(err, agent.Close())
}

// liveWatch notes how old each live reading is when the store first shows it.
type liveWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	delays []time.Duration
	err    error
}

func (b *bench) watchLive(url string, cfg edge.Config) (*liveWatch, error) {
	store, err := influx.Open(influx.Options{URL: url, Bucket: "yunhe/autogen"})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	w := &liveWatch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = errors.Join(w.run(ctx, store, cfg), store.Close())
	}()
	return w, nil
}

func (w *liveWatch) run(ctx context.Context, store series.Store, cfg edge.Config) error {
	seen := map[string]time.Time{}
	began := time.Now()
	for ctx.Err() == nil {
		samples, err := store.Latest(ctx, series.Query{Site: cfg.Site, Gateways: []string{cfg.Gateway}, Points: []string{"frequency"}, From: began})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("look for live readings: %w", err)
		}
		now := time.Now()
		for _, s := range samples {
			before, known := seen[s.Device.ID]
			if known && s.Time.After(before) {
				w.mu.Lock()
				w.delays = append(w.delays, now.Sub(s.Time))
				w.mu.Unlock()
			}
			seen[s.Device.ID] = s.Time
		}
		select {
		case <-ctx.Done():
		case <-time.After(25 * time.Millisecond):
		}
	}
	return nil
}

// cut returns the delays since the last cut.
func (w *liveWatch) cut() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.delays
	w.delays = nil
	return out
}

func (w *liveWatch) stop() error {
	w.cancel()
	<-w.done
	return w.err
}
