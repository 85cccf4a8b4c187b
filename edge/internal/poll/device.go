package poll

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// Device polls one device.
type Device struct {
	cfg  Config
	grid Grid

	// Owned by Poll.
	profile    *profile.Profile // nil until a SunSpec device is discovered
	identified bool
	stranger   bool      // answers, and is another model
	tried      time.Time // tick of the newest attempt to identify
	memory     *memory
	gather     *gather // nil unless metered
	refused    []profile.Range
	plans      map[planKey]*profile.Plan

	mu      sync.Mutex
	meaning *Meaning
	last    map[string]telemetry.Reading
	status  Status
	told    map[string]bool // errors logged since all was good
}

// planKey names the plans a device needs.
type planKey struct {
	groups   profile.Groups
	counters profile.CounterFilter
}

// New returns a device that has not been read yet. It fails when the profile
// has none of the chosen points.
func New(cfg Config) (*Device, error) {
	d := &Device{
		cfg: cfg, grid: Grid{cfg.Fast, cfg.Slow}, profile: cfg.Profile,
		memory: newMemory(), plans: map[planKey]*profile.Plan{}, last: map[string]telemetry.Reading{},
		status: Status{State: Starting}, told: map[string]bool{},
	}
	if cfg.Metered != nil {
		d.gather = newGather(*cfg.Metered)
	}
	if d.profile != nil {
		if err := d.adopt(d.profile, profile.Identity{}); err != nil {
			return nil, fmt.Errorf("device %s: %w", cfg.Device, err)
		}
	}
	return d, nil
}

// Run polls until ctx ends.
func (d *Device) Run(ctx context.Context) error {
	defer d.flush(context.WithoutCancel(ctx))
	tick := d.grid.Next(d.cfg.Clock.Now())
	for d.wait(ctx, &tick) {
		if err := d.Poll(ctx, tick); err != nil && ctx.Err() == nil {
			d.fail(err)
		}
		now := d.cfg.Clock.Now()
		skipped, missed := d.grid.catchUp(tick, now)
		tick = d.grid.Next(now)
		if !missed.IsZero() {
			tick = missed
			skipped--
		}
		d.mu.Lock()
		d.status.Skipped += skipped
		d.mu.Unlock()
	}
	return nil
}

// lookAgain is how soon a waiting poll notices that the wall clock was set.
const lookAgain = time.Second

// wait sleeps until tick by the wall clock; a clock that was set back brings
// tick forward. It returns false when ctx ends.
func (d *Device) wait(ctx context.Context, tick *time.Time) bool {
	for {
		now := d.cfg.Clock.Now()
		left := tick.Sub(now)
		if left <= 0 {
			return ctx.Err() == nil
		}
		if next := d.grid.Next(now); next.Before(*tick) {
			*tick = next
			continue
		}
		timer := time.NewTimer(min(left, lookAgain))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// Poll reads what is due at tick and hands it to the sink. Its error is the
// sink's; what went wrong on the bus is in the readings and in Status.
func (d *Device) Poll(ctx context.Context, tick time.Time) error {
	d.identify(ctx, tick)
	d.mu.Lock()
	d.status.Polls++
	d.mu.Unlock()
	if d.profile == nil {
		return nil // no model chain found yet: there is nothing to be bad
	}
	w := d.grid.At(tick)
	var errs []error
	if w.Boundary {
		errs = append(errs, d.boundary(ctx))
		d.retryRefused(ctx, tick)
	}
	if w.Groups != 0 {
		key := planKey{w.Groups, RestOf(w.Boundary, d.gather != nil)}
		errs = append(errs, d.rest(ctx, tick, key, w.Boundary))
	}
	return errors.Join(errs...)
}

// RestOf says which points a poll reads beside a boundary batch: counters
// were read already on a quarter hour, and are read then only on a metered
// link.
func RestOf(boundary, metered bool) profile.CounterFilter {
	if boundary || metered {
		return profile.NoCounters
	}
	return profile.WithCounters
}

// boundary reads all counters and hands them over as a boundary batch.
func (d *Device) boundary(ctx context.Context) error {
	rs, err := d.read(ctx, planKey{profile.Fast | profile.Slow, profile.OnlyCounters})
	if err != nil {
		return err
	}
	return errors.Join(d.events(ctx, rs), d.send(ctx, true, d.memory.news(rs, true)))
}

// rest reads one plan and hands it over, on a metered link when its period ends.
func (d *Device) rest(ctx context.Context, tick time.Time, key planKey, repeat bool) error {
	rs, err := d.read(ctx, key)
	if err != nil {
		return err
	}
	if d.gather != nil {
		d.gather.add(rs)
		if !onGrid(tick, d.gather.Batch) {
			return nil
		}
		return d.send(ctx, false, d.gather.flush())
	}
	return errors.Join(d.events(ctx, rs), d.send(ctx, false, d.memory.news(rs, repeat)))
}

// flush hands over what a metered link still holds.
func (d *Device) flush(ctx context.Context) {
	if d.gather == nil {
		return
	}
	if err := d.send(ctx, false, d.gather.flush()); err != nil {
		d.fail(err)
	}
}

func (d *Device) events(ctx context.Context, rs []telemetry.Reading) error {
	isCounter := func(name string) bool {
		p, ok := d.profile.Point(name)
		return ok && p.Class() == telemetry.Counter
	}
	var errs []error
	for _, fall := range d.memory.falls(d.cfg.Device, rs, isCounter) {
		d.cfg.Logger.Warn("a counter stands lower than before", "device", d.cfg.Device, "point", fall.Point)
		errs = append(errs, d.cfg.Sink.Event(ctx, fall))
	}
	return errors.Join(errs...)
}

func (d *Device) send(ctx context.Context, boundary bool, rs []telemetry.Reading) error {
	if len(rs) == 0 {
		return nil
	}
	telemetry.SortReadings(rs)
	return d.cfg.Sink.Batch(ctx, Batch{Boundary: boundary, Meaning: d.Meaning(), Readings: rs})
}

// maxTold bounds the errors that are told apart.
const maxTold = 16

// fail notes an error for Status, and logs it the first time since all was
// good: a dead device must not fill the log. Of an error that says how long the
// device is left alone the cause counts, which has a method Cause() error.
func (d *Device) fail(err error) {
	var waiting interface {
		error
		Cause() error
	}
	if errors.As(err, &waiting) && waiting.Cause() != nil {
		err = waiting.Cause()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	text := err.Error()
	d.status.LastError = text
	if d.told[text] || len(d.told) >= maxTold {
		return
	}
	d.told[text] = true
	d.cfg.Logger.Warn("device", "device", d.cfg.Device, "error", text)
}

// Meaning returns the definition in force; nil before a SunSpec device was
// discovered. Safe beside Run.
func (d *Device) Meaning() *Meaning {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meaning
}

// Last returns the newest reading of each point. Safe beside Run.
func (d *Device) Last() map[string]telemetry.Reading {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.last)
}

// Status returns the state of the device. Safe beside Run.
func (d *Device) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	for _, r := range d.last {
		if r.Quality == telemetry.Bad {
			s.Bad++
		}
	}
	if d.meaning != nil {
		s.Points, s.Profile, s.Serial = len(d.meaning.Points), d.meaning.Profile, d.meaning.Serial
	}
	return s
}
