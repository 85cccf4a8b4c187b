package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"yunhe/edge/internal/clock"
	"yunhe/edge/internal/control"
	"yunhe/internal/evidence"
)

// part is one long-lived part of the agent.
type part func(context.Context) error

// Run is Run for an agent that is open already; it closes the agent.
func (a *Agent) Run(ctx context.Context) error {
	server, err := control.Listen(a.cfg.Control.Socket, a.answer, a.deps.Logger)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	a.deps.Logger.Info("agent started", "gateway", a.cfg.Gateway, "site", a.cfg.Site,
		"key", a.key.Public().Fingerprint(), "new_key", a.created, "devices", len(a.devices))
	polls := []part{a.watchClock}
	for _, d := range a.devices {
		polls = append(polls, d.Run)
	}
	var lines []part
	for _, b := range a.buses {
		lines = append(lines, b.Run)
	}
	outward := []part{a.publish.Run, server.Run}
	for _, f := range a.feeds.all() {
		outward = append(outward, f.forward)
	}
	err = runStages(ctx, polls, lines, outward)
	return errors.Join(err, a.Close())
}

// runStages runs all parts until ctx ends or one fails, then stops one stage
// after the other, in the order given, each only when the one before is over.
func runStages(ctx context.Context, stages ...[]part) error {
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	type stage struct {
		group *errgroup.Group
		stop  context.CancelFunc
	}
	running := make([]stage, len(stages))
	for i, parts := range stages {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		g, own := errgroup.WithContext(own)
		for _, p := range parts {
			g.Go(func() error {
				err := p(own)
				if err != nil {
					fail(err)
				}
				return err
			})
		}
		running[i] = stage{g, stop}
	}
	<-failed.Done()
	var errs []error
	for _, s := range running {
		s.stop()
		if err := s.group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// clockEvery is how often the wall clock is compared with the time since boot.
const clockEvery = time.Second

// watchClock signs an event for each step of the wall clock.
func (a *Agent) watchClock(ctx context.Context) error {
	var d clock.StepDetector
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		c := a.deps.Clock.Clock()
		if step, ok := d.Observe(a.deps.Clock.Now(), c.Mono); ok {
			a.deps.Logger.Warn("the wall clock was set", "from", step.From, "to", step.To)
			err := a.recorder.Event(ctx, evidence.ClockStep{
				FromMs: step.From.UnixMilli(), ToMs: step.To.UnixMilli(),
				Reason: fmt.Sprintf("wall clock moved against time since boot; state %s", c.State),
			})
			if err != nil && ctx.Err() == nil {
				a.deps.Logger.Error("record clock step", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// answer answers a command on the control socket.
func (a *Agent) answer(_ context.Context, command string) (any, error) {
	if command != "status" {
		return nil, fmt.Errorf("unknown command %q: use status", command)
	}
	return a.Status(), nil
}

// QueryStatus asks the agent that runs on cfg's control socket.
func QueryStatus(ctx context.Context, cfg Config) (Status, error) {
	var s Status
	err := control.Call(ctx, cfg.WithDefaults().Control.Socket, "status", &s)
	return s, err
}
