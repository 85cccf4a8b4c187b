package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yunhe/internal/profile"
)

// defaultTimeout stands in for a link description that states none.
const defaultTimeout = time.Second

// The most that one request may ask for (MODBUS Application Protocol 1.1b3,
// 6.1 to 6.4), and for I2C what a register byte can address.
const (
	maxRegisters = 125
	maxBits      = 2000
	maxI2CBytes  = 256
)

// Device is one device on a bus.
type Device struct {
	bus  *Bus
	name string
	unit uint8
	link profile.Link

	// Owned by bus.mu.
	queue   []*request
	used    time.Duration // bus time used, for fairness
	ready   time.Time     // not before: MinGap
	breaker breaker
	last    time.Time // of the last reply, by the clock passed in
}

// Health is what is known about a device without asking it.
type Health struct {
	LastReply time.Time // zero if never
	Failures  int       // requests in a row without an answer; 0 means healthy
	Err       error     // of the last of them
	NextTry   time.Duration
}

// Name returns the name given to Add.
func (d *Device) Name() string { return d.name }

// Health returns the state of d.
func (d *Device) Health() Health {
	d.bus.mu.Lock()
	defer d.bus.mu.Unlock()
	h := Health{LastReply: d.last, Failures: d.breaker.failures, Err: d.breaker.cause}
	if d.breaker.open() {
		h.NextTry = max(0, time.Until(d.breaker.until))
	}
	return h
}

// Read reads count registers, bits or, on I2C, bytes and returns the bytes of
// the reply and the time it arrived. It waits for its turn on the bus, at most
// until ctx ends. A refusal is an [Exception]; other errors wrap [ErrTimeout],
// [ErrReply], [ErrLinkDown], [ErrBackoff], [ErrQueueFull], [ErrStopped] or
// the error of ctx.
func (d *Device) Read(ctx context.Context, table profile.Table, address, count uint16) (raw []byte, at time.Time, err error) {
	r := &request{ctx: ctx, table: table, address: address, count: count, done: make(chan result, 1)}
	res := d.wait(r)
	if res.err != nil {
		return nil, time.Time{}, fmt.Errorf("read %s %s %d+%d: %w", d.name, table, address, count, res.err)
	}
	return res.raw, res.at, nil
}

func (d *Device) wait(r *request) result {
	if err := d.check(r); err != nil {
		return result{err: err}
	}
	if err := d.bus.enqueue(d, r); err != nil {
		return result{err: err}
	}
	select {
	case res := <-r.done:
		return res
	case <-r.ctx.Done():
		return result{err: context.Cause(r.ctx)}
	}
}

// check refuses what no device can answer, before it costs line time.
func (d *Device) check(r *request) error {
	limit := maxRegisters
	switch r.table {
	case profile.Coil, profile.Discrete:
		limit = maxBits
	case profile.Bytes:
		limit = maxI2CBytes
	case profile.Holding, profile.Input:
	default:
		return fmt.Errorf("table %s is unknown", r.table)
	}
	if onI2C := d.bus.address.Kind == I2C; onI2C != (r.table == profile.Bytes) {
		return fmt.Errorf("table %s does not exist on a bus of kind %s", r.table, d.bus.address.Kind)
	}
	if r.count == 0 || int(r.count) > limit {
		return fmt.Errorf("count %d is outside 1 to %d", r.count, limit)
	}
	end := int(r.address) + int(r.count)
	if end > 0x10000 || r.table == profile.Bytes && end > 0x100 {
		return errors.New("reads past the last address")
	}
	return nil
}
