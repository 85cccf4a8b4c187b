package edge

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"yunhe/edge/internal/bus"
	"yunhe/edge/internal/poll"
	"yunhe/internal/telemetry"
)

// world is where devices are read: the present, or the past of a backfill.
type world struct {
	clock   telemetry.Source
	sink    poll.Sink
	openI2C func(path string) (i2c.BusCloser, error)
	buses   []Bus
	// every, if set, is the only period, and devices need no pauses: both are
	// for a past made by simulators.
	every   time.Duration
	changed func()
}

// connect makes the buses and devices of a world; nothing is opened yet.
func (a *Agent) connect(devices []resolved, w world) ([]*bus.Bus, []*poll.Device, error) {
	lines := map[string]*bus.Bus{}
	var buses []*bus.Bus
	for _, b := range w.buses {
		address, err := bus.ParseAddress(b.Address)
		if err != nil {
			return nil, nil, err
		}
		line, err := bus.New(bus.Options{
			Name: b.ID, Address: address, Now: w.clock.Now, Logger: a.deps.Logger, OpenI2C: w.openI2C,
		})
		if err != nil {
			return nil, nil, err
		}
		lines[b.ID] = line
		buses = append(buses, line)
	}
	var out []*poll.Device
	for _, d := range devices {
		p, err := a.device(d, lines[d.Bus], w)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, p)
	}
	return buses, out, nil
}

func (a *Agent) device(d resolved, line *bus.Bus, w world) (*poll.Device, error) {
	if line == nil {
		return nil, fmt.Errorf("device %s: there is no bus %s", d.ID, d.Bus)
	}
	link, fast, slow := d.link, d.Fast, d.Slow
	if w.every > 0 {
		fast, slow = w.every, w.every
		link.MinGap, link.UnitPause, link.ConnectDelay = 0, 0, 0
	}
	reader, err := line.Add(d.ID, d.unit, link)
	if err != nil {
		return nil, err
	}
	var metered *poll.Metered
	if l := a.cfg.Link; l.Kind == Metered {
		metered = &poll.Metered{Batch: l.Batch, Deadband: l.Deadband, MaxRows: l.MaxRows}
	}
	return poll.New(poll.Config{
		Site: a.cfg.Site, Gateway: a.cfg.Gateway, Device: d.ID, Profile: d.profile,
		Points: d.Points, Fast: fast, Slow: slow, Metered: metered,
		Reader: reader, Sink: w.sink, Clock: w.clock, Logger: a.deps.Logger, Changed: w.changed,
	})
}
