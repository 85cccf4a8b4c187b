package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"yunhe/internal/profile"
)

// Options describe a bus.
type Options struct {
	Name    string // for logs
	Address Address
	Now     func() time.Time // stamps replies
	Logger  *slog.Logger
	// OpenI2C opens an I2C bus by its device file; nil opens the host's own.
	OpenI2C func(path string) (i2c.BusCloser, error)
}

// line carries one question and its answer at a time. Only the bus's own
// goroutine calls it. An error other than an Exception leaves the line in an
// unknown state: the bus closes it.
type line interface {
	open(ctx context.Context, timeout time.Duration) error
	ask(ctx context.Context, q question) ([]byte, error)
	close() error
	// quiet is the silence that the line needs between frames.
	quiet() time.Duration
}

// question is a request as a line sees it.
type question struct {
	unit           uint8
	table          profile.Table
	address, count uint16
	timeout        time.Duration
}

// Bus owns one line. Add its devices, then let Run go.
type Bus struct {
	name    string
	address Address
	now     func() time.Time
	log     *slog.Logger
	jitter  func() float64
	wake    chan struct{}

	mu      sync.Mutex
	devices []*Device
	served  time.Duration // bus time used by the device served last: where newcomers start
	stopped bool
	stats   Stats
	link    struct {
		breaker breaker
		delay   time.Duration // the longest ConnectDelay of the devices
	}

	// Owned by Run.
	line   line
	opened bool
	last   *Device   // who was asked last
	idle   time.Time // since when the line is silent
}

// Stats counts what a bus did since it was made.
type Stats struct {
	Requests   uint64 // questions sent, retries included
	Replies    uint64 // good answers
	Exceptions uint64
	Failures   uint64        // no answer, or an unusable one
	Connects   uint64        // times the line was opened
	Busy       time.Duration // time spent asking
}

// New returns a bus that nobody has opened yet.
func New(o Options) (*Bus, error) {
	if o.Now == nil || o.Logger == nil {
		return nil, errors.New("make bus: Now and Logger must be set")
	}
	l, err := newLine(o)
	if err != nil {
		return nil, fmt.Errorf("make bus %s: %w", o.Name, err)
	}
	return newBus(o, l), nil
}

func newBus(o Options, l line) *Bus {
	b := &Bus{
		name: o.Name, address: o.Address, now: o.Now, line: l,
		log:    o.Logger.With("bus", o.Name),
		jitter: rand.Float64,
		wake:   make(chan struct{}, 1),
	}
	b.link.breaker.backoff = linkBackoff()
	return b
}

func newLine(o Options) (line, error) {
	switch o.Address.Kind {
	case ModbusTCP:
		return newTCPLine(o.Address.Host), nil
	case ModbusRTU:
		return newRTULine(serialPort(o.Address), frameGap(o.Address)), nil
	case RTUOverTCP:
		return newRTULine(networkPort(o.Address.Host), 0), nil
	case I2C:
		open := o.OpenI2C
		if open == nil {
			open = openHostI2C
		}
		return &i2cLine{path: o.Address.Path, opener: open}, nil
	default:
		return nil, fmt.Errorf("address has %s; %s", o.Address.Kind, addressForms)
	}
}

// Add puts a device on the bus. unit is the Modbus unit id, 0 to 255 over
// TCP and 1 to 247 on RTU, or the 7-bit I2C address; link is what the device
// asks of its line, as its profile says.
func (b *Bus) Add(name string, unit uint8, link profile.Link) (*Device, error) {
	switch k := b.address.Kind; {
	case k == I2C && (unit < 0x08 || unit > 0x77):
		return nil, fmt.Errorf("add %s: %#02x is no 7-bit I2C address; use 0x08 to 0x77", name, unit)
	case (k == ModbusRTU || k == RTUOverTCP) && (unit == 0 || unit > 247):
		return nil, fmt.Errorf("add %s: unit id %d cannot be read on RTU; use 1 to 247", name, unit)
	case min(link.Retries, link.BusyRetries) < 0 || min(link.Timeout, link.MinGap, link.UnitPause, link.ConnectDelay) < 0:
		return nil, fmt.Errorf("add %s: a time or a number of retries is negative", name)
	}
	if link.Timeout == 0 {
		link.Timeout = defaultTimeout
	}
	d := &Device{bus: b, name: name, unit: unit, link: link, breaker: breaker{backoff: deviceBackoff()}}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.devices = append(b.devices, d)
	b.link.delay = max(b.link.delay, link.ConnectDelay)
	return d, nil
}

// Stats returns the counts so far.
func (b *Bus) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Run serves requests until ctx ends, at most one device timeout longer. Then
// the line is closed and waiting requests end with ErrStopped. A bus runs once.
func (b *Bus) Run(ctx context.Context) error {
	defer b.stop()
	for ctx.Err() == nil {
		b.mu.Lock()
		d, r, wait := b.pick(time.Now())
		b.mu.Unlock()
		if r == nil {
			b.rest(ctx, wait)
			continue
		}
		r.done <- b.serve(ctx, d, r)
	}
	return nil
}

// idleClose is how long an unused connection is kept. Many inverters and
// converters serve one client only, and some drop an idle one unseen.
const idleClose = time.Minute

// rest waits for requests, or for wait if that is set, and gives an unused
// connection back. Serial ports and I2C stay open: nobody else may use them.
func (b *Bus) rest(ctx context.Context, wait time.Duration) {
	if b.opened && (b.address.Kind == ModbusTCP || b.address.Kind == RTUOverTCP) {
		left := idleClose - time.Since(b.idle)
		if left <= 0 {
			b.closeLine()
		} else if wait == 0 || left < wait {
			wait = left
		}
	}
	var due <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-due:
	}
}

func (b *Bus) closeLine() {
	if !b.opened {
		return
	}
	b.opened = false
	if err := b.line.close(); err != nil {
		b.log.Debug("close line", "err", err)
	}
}

func (b *Bus) stop() {
	b.closeLine()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, d := range b.devices {
		for _, r := range d.queue {
			r.done <- result{err: ErrStopped}
		}
		d.queue = nil
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
