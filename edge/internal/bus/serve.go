package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// busyPause is how long a device that answers "busy" is given before it is
// asked again; it grows by itself with each try.
const busyPause = 100 * time.Millisecond

// serve answers one request: it asks, asks again where that can help, and
// notes how the device and the line did.
func (b *Bus) serve(ctx context.Context, d *Device, r *request) result {
	if r.ctx.Err() != nil {
		return result{err: context.Cause(r.ctx)} // nobody waits for it any more
	}
	b.mu.Lock()
	now, probe := time.Now(), d.breaker.open()
	switch {
	case b.link.breaker.blocked(now):
		err := b.link.breaker.refusal(ErrLinkDown, now)
		b.mu.Unlock()
		return result{err: err}
	case d.breaker.blocked(now):
		err := d.breaker.refusal(ErrBackoff, now)
		b.mu.Unlock()
		return result{err: err}
	}
	b.mu.Unlock()

	res := b.try(ctx, d, r, probe)
	b.settle(d, res, time.Since(now))
	if ctx.Err() != nil && res.err != nil {
		res.err = ErrStopped
	}
	return res
}

// try asks until there is an answer or no tries are left. A probe of a device
// in back-off gets one try.
func (b *Bus) try(ctx context.Context, d *Device, r *request, probe bool) result {
	tries, busy := 1+d.link.Retries, d.link.BusyRetries
	if probe {
		tries = 1
	}
	for n := 1; ; n++ {
		raw, at, err := b.ask(ctx, d, r)
		var refused Exception
		switch {
		case err == nil:
			return result{raw: raw, at: at}
		case errors.As(err, &refused) && refused.busy() && busy > 0:
			busy--
			tries++ // a busy answer costs no other try
			if sleep(ctx, busyPause*time.Duration(n)) != nil {
				return result{err: err}
			}
		case errors.As(err, &refused), errors.Is(err, ErrLinkDown):
			return result{err: err}
		}
		if n >= tries || ctx.Err() != nil || r.ctx.Err() != nil {
			return result{err: err}
		}
	}
}

// ask opens the line if need be, keeps the silences it and the devices ask
// for, and puts one question.
func (b *Bus) ask(ctx context.Context, d *Device, r *request) ([]byte, time.Time, error) {
	if err := b.openLine(ctx, d); err != nil {
		return nil, time.Time{}, err
	}
	pause := max(b.line.quiet(), b.turn(d))
	if b.last == d {
		pause = max(pause, d.link.MinGap) // a retry; between requests pick waits
	}
	if err := sleep(ctx, pause-time.Since(b.idle)); err != nil {
		return nil, time.Time{}, err
	}
	b.last = d
	raw, err := b.line.ask(ctx, question{
		unit: d.unit, table: r.table, address: r.address, count: r.count,
		timeout: d.link.Timeout,
	})
	at := b.now()
	b.idle = time.Now()
	b.count(err)
	var refused Exception
	if err != nil && !errors.As(err, &refused) {
		b.closeLine() // what comes late must not meet the next question
	}
	return raw, at, err
}

// openLine opens a closed line. That it cannot is the fault of the line and
// concerns all its devices.
func (b *Bus) openLine(ctx context.Context, d *Device) error {
	if b.opened {
		return nil
	}
	err := b.line.open(ctx, d.link.Timeout)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if b.link.breaker.fail(time.Now(), 0, b.jitter(), err) {
			b.log.Warn("line is down", "address", b.address.String(), "err", err)
		}
		return fmt.Errorf("%w: %w", ErrLinkDown, err)
	}
	if b.link.breaker.succeed() {
		b.log.Info("line is up again", "address", b.address.String())
	}
	b.opened = true
	b.stats.Connects++
	// The silence after connecting is kept like any other before a question.
	b.idle = time.Now().Add(b.link.delay)
	return nil
}

// settle notes what a request cost and what it says about the device.
func (b *Bus) settle(d *Device, res result, cost time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	d.used += cost
	d.ready = now.Add(d.link.MinGap)
	b.stats.Busy += cost
	var refused Exception
	switch {
	case res.err == nil, errors.As(res.err, &refused) && !refused.absent():
		d.last = b.now()
		if d.breaker.succeed() {
			b.log.Info("device answers again", "device", d.name)
		}
	case errors.Is(res.err, ErrLinkDown), errors.Is(res.err, context.Canceled):
		// Says nothing about the device.
	default:
		if d.breaker.fail(now, cost, b.jitter(), res.err) {
			level := slog.LevelWarn
			if d.link.NightOffline {
				level = slog.LevelInfo // it sleeps every night
			}
			b.log.Log(context.Background(), level, "device does not answer", "device", d.name, "unit", d.unit, "err", res.err)
		}
	}
}

func (b *Bus) count(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Requests++
	var refused Exception
	switch {
	case err == nil:
		b.stats.Replies++
	case errors.As(err, &refused):
		b.stats.Exceptions++
	default:
		b.stats.Failures++
	}
}
