package demo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"yunhe/cmd/yunhe/internal/server"
	"yunhe/edge"
	"yunhe/internal/simulate"
)

// chunk is how much of the past is made between two notes of how far it is; a
// demo that is ended goes on from the last note.
const chunk = 24 * time.Hour

// past is the simulated site under a virtual clock.
type past struct {
	site *simulate.Site
	now  atomic.Int64 // Unix ms
}

func newPast(start time.Time) (*past, error) {
	p := &past{}
	p.now.Store(start.UnixMilli())
	var err error
	p.site, err = simulate.NewSite(simulate.Options{Start: start, Seed: seed, Now: func() time.Time { return time.UnixMilli(p.now.Load()).UTC() }})
	return p, err
}

// makeHistory lets the agent poll the past, once, and then waits for the end.
func (d *demo) makeHistory(ctx context.Context) error {
	if !d.state.Made.Before(d.state.Until) {
		<-ctx.Done()
		return nil
	}
	p, err := newPast(d.state.Start)
	if err != nil {
		return err
	}
	return server.RunInOrder(ctx,
		server.Part{Name: "polls of the past", Run: func(ctx context.Context) error { return d.poll(ctx, p) }},
		server.Part{Name: "devices of the past", Run: p.site.Run},
	)
}

// poll makes the history chunk by chunk.
func (d *demo) poll(ctx context.Context, p *past) error {
	buses, _ := gatewayConfig(p.site.Endpoints())
	for d.state.Made.Before(d.state.Until) && ctx.Err() == nil {
		to := d.state.Made.Add(chunk)
		if to.After(d.state.Until) {
			to = d.state.Until
		}
		err := d.agent.Backfill(ctx, edge.History{
			From: d.state.Made, To: to, Every: historyEvery, Buses: buses, OpenI2C: p.site.OpenI2C,
			Step:     func(t time.Time) error { p.now.Store(t.UnixMilli()); return nil },
			Progress: func(t time.Time) { d.made.Store(t.UnixMilli()) },
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("make history from %s: %w", d.state.Made.Format(time.RFC3339), err)
		}
		d.state.Made = to
		d.made.Store(to.UnixMilli())
		if err := d.state.save(d.Dir); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
