package edge

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/i2c"

	"yunhe/edge/internal/poll"
	"yunhe/internal/telemetry"
)

const (
	// pastSync is the group commit interval of the history: short, because
	// nobody waits for single entries.
	pastSync = 20 * time.Millisecond
	// pastPlaces is how many entries of the history wait for one commit.
	pastPlaces = 512
)

// History describes a past to make for Agent.Backfill.
type History struct {
	From, To time.Time     // half-open, on the grid of Every
	Every    time.Duration // one poll of each device
	// Buses replace the buses of the config with the same id, so that the past
	// is read from another world than the present.
	Buses   []Bus
	OpenI2C func(path string) (i2c.BusCloser, error)
	// Step brings the simulated devices to t; called before each poll, from one
	// goroutine.
	Step func(t time.Time) error
	// Progress, if set, is told how far it came, after each step.
	Progress func(t time.Time)
}

// stepClock is a clock that is set by hand. It counts as synchronised: its
// time is the simulated world's own.
type stepClock struct {
	boot  [16]byte
	start time.Time
	mu    sync.Mutex
	now   time.Time
}

func (c *stepClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Now returns the time of the newest step.
func (c *stepClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Clock returns a synchronised clock that started with the history.
func (c *stepClock) Clock() telemetry.Clock {
	offset := time.Duration(0)
	return telemetry.Clock{State: telemetry.Synchronised, Offset: &offset, BootID: c.boot, Mono: c.Now().Sub(c.start)}
}

// Backfill polls the devices of the agent under a clock that steps through
// h, by the same path as live polls, and signs the readings with that clock's
// times into journals of their own: "history", and "history-boundary" for
// the counters on quarter hours. They have a size limit like that of the live
// ones. A running agent sends them after its live data; one that starts later
// does so too. Backfill runs beside Run or before it, once at a time. It
// returns when every reading is durable. A second call continues: whoever calls
// says from where. The agent must not be closed meanwhile.
func (a *Agent) Backfill(ctx context.Context, h History) error {
	if h.Every <= 0 || !h.From.Truncate(h.Every).Equal(h.From) || h.Step == nil {
		return fmt.Errorf("make history: from %s is not on a grid of %s, or nobody steps the devices", h.From, h.Every)
	}
	past, err := a.openPast()
	if err != nil {
		return fmt.Errorf("make history: %w", err)
	}
	clock := &stepClock{start: h.From, now: h.From}
	if _, err := rand.Read(clock.boot[:]); err != nil {
		return fmt.Errorf("make history: %w", err)
	}
	rec := newRecorder(a.key, clock, a.definitions(), a.pastDefined, past.Journal(pastJournal), past.Journal(pastBoundary), pastPlaces)
	rec.historical = true
	err = a.replay(ctx, h, clock, rec)
	rec.wait()
	if lost, _, n := rec.state(); err == nil && n > 0 {
		err = fmt.Errorf("%d entries could not be kept: %w", n, lost)
	}
	if err != nil {
		return fmt.Errorf("make history: %w", err)
	}
	return nil
}

// replay polls step by step.
func (a *Agent) replay(ctx context.Context, h History, clock *stepClock, rec *recorder) error {
	devices, err := a.cfg.resolve()
	if err != nil {
		return err
	}
	buses, polls, err := a.connect(devices, world{
		clock: clock, sink: rec, openI2C: h.OpenI2C, buses: replaceBuses(a.cfg.Buses, h.Buses), every: h.Every,
	})
	if err != nil {
		return err
	}
	lines, stop := context.WithCancel(ctx)
	var running errgroup.Group
	for _, b := range buses {
		running.Go(func() error { return b.Run(lines) })
	}
	defer running.Wait()
	defer stop()
	for t := h.From; t.Before(h.To); t = t.Add(h.Every) {
		clock.set(t)
		if err := h.Step(t); err != nil {
			return fmt.Errorf("step to %s: %w", t, err)
		}
		if err := pollAll(ctx, polls, t); err != nil {
			return err
		}
		if h.Progress != nil {
			h.Progress(t)
		}
	}
	return nil
}

func pollAll(ctx context.Context, devices []*poll.Device, t time.Time) error {
	var g errgroup.Group
	for _, d := range devices {
		g.Go(func() error { return d.Poll(ctx, t) })
	}
	return g.Wait()
}

// replaceBuses returns the buses with those of the same id replaced.
func replaceBuses(buses, by []Bus) []Bus {
	out := make([]Bus, len(buses))
	for i, b := range buses {
		out[i] = b
		for _, r := range by {
			if r.ID == b.ID {
				out[i] = r
			}
		}
	}
	return out
}
