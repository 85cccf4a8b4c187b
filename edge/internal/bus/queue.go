package bus

import (
	"context"
	"time"

	"yunhe/internal/profile"
)

// maxQueue bounds the requests of one device that wait; a poller waits for
// one or two at a time.
const maxQueue = 64

// patience is how long the probe of a device in back-off stands behind the
// requests of healthy devices; then it takes its turn, so that a full line
// does not keep a recovered device out for ever.
const patience = 10 * time.Second

// grace is how long the line stays free for the next block of the device that
// has just answered. A poller asks for block after block; without it a slow
// device would slip in after each of them.
const grace = 2 * time.Millisecond

// request is one read of one block.
type request struct {
	ctx            context.Context
	table          profile.Table
	address, count uint16
	queued         time.Time
	done           chan result // buffered: the owner never waits for the caller
}

type result struct {
	raw []byte
	at  time.Time
	err error
}

// pick takes the next request off the queues, or says how long to wait until
// one may go (0: until something is queued). The device that has used the
// least bus time comes first, the pause that turning to it costs included, so
// a line with long pauses is not turned at every block; a device in back-off
// comes after all healthy ones. Called with b.mu held.
func (b *Bus) pick(now time.Time) (d *Device, r *request, wait time.Duration) {
	var best *Device
	for _, d := range b.devices {
		if len(d.queue) == 0 {
			continue
		}
		if until := d.ready.Sub(now); until > 0 {
			if wait == 0 || until < wait {
				wait = until
			}
			continue
		}
		if best == nil || b.before(d, best, now) {
			best = d
		}
	}
	if best == nil {
		return nil, nil, wait
	}
	if rest := b.hold(best, now); rest > 0 {
		return nil, nil, rest
	}
	r = best.queue[0]
	best.queue = best.queue[1:]
	b.served = max(b.served, best.used)
	return best, r, 0
}

// before reports whether d goes before e. Both have requests waiting.
func (b *Bus) before(d, e *Device, now time.Time) bool {
	if p, q := d.probing(now), e.probing(now); p != q {
		return q
	}
	return d.used+b.turn(d) < e.used+b.turn(e)
}

// turn returns the pause that the line needs before d is asked.
func (b *Bus) turn(d *Device) time.Duration {
	if b.last == nil || b.last.unit == d.unit {
		return 0
	}
	return max(d.link.UnitPause, b.last.link.UnitPause)
}

// hold returns how long to keep the line for the device that has just
// answered, though next could go: its caller had no time to ask again, or it
// needs a rest that is shorter than turning away from it.
func (b *Bus) hold(next *Device, now time.Time) time.Duration {
	d := b.last
	if d == nil || d == next || d.breaker.open() || !next.probing(now) && d.used >= next.used+b.turn(next) {
		return 0
	}
	if len(d.queue) == 0 {
		return grace - now.Sub(b.idle)
	}
	if rest := d.ready.Sub(now); rest <= b.turn(next) {
		return rest
	}
	return 0
}

// probing reports whether d's next request is a probe that can wait for others.
func (d *Device) probing(now time.Time) bool {
	return d.breaker.open() && now.Sub(d.queue[0].queued) < patience
}

// enqueue puts r into d's queue. A device that comes back from a pause starts
// level with the others: time not used is not saved up.
func (b *Bus) enqueue(d *Device, r *request) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.stopped:
		return ErrStopped
	case b.link.breaker.blocked(now):
		return b.link.breaker.refusal(ErrLinkDown, now)
	case d.breaker.blocked(now):
		return d.breaker.refusal(ErrBackoff, now)
	case len(d.queue) >= maxQueue:
		return ErrQueueFull
	}
	if len(d.queue) == 0 {
		d.used = max(d.used, b.served)
	}
	r.queued = now
	d.queue = append(d.queue, r)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}
