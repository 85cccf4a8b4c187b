package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yunhe/internal/profile"
)

// fakeLine answers by a rule and enforces what a line may expect: one question
// at a time, only while open.
type fakeLine struct {
	t      *testing.T
	answer func(q question, n int) ([]byte, time.Duration, error) // n: how often this unit was asked before
	dial   func(n int) (time.Duration, error)
	gap    time.Duration

	isOpen atomic.Bool
	mu     sync.Mutex
	asking bool
	opens  int
	count  map[uint8]int
	asked  []asked
}

type asked struct {
	unit    uint8
	address uint16
	at      time.Time
}

func (f *fakeLine) open(_ context.Context, timeout time.Duration) error {
	f.mu.Lock()
	if f.isOpen.Load() {
		f.t.Error("line is opened twice")
	}
	f.opens++
	n := f.opens
	f.mu.Unlock()
	if f.dial != nil {
		took, err := f.dial(n)
		time.Sleep(min(took, timeout))
		if err != nil {
			return err
		}
	}
	f.isOpen.Store(true)
	return nil
}

func (f *fakeLine) ask(_ context.Context, q question) ([]byte, error) {
	f.mu.Lock()
	if !f.isOpen.Load() || f.asking {
		f.t.Errorf("asked unit %d with open=%v asking=%v", q.unit, f.isOpen.Load(), f.asking)
	}
	f.asking = true
	if f.count == nil {
		f.count = map[uint8]int{}
	}
	n := f.count[q.unit]
	f.count[q.unit]++
	f.asked = append(f.asked, asked{q.unit, q.address, time.Now()})
	f.mu.Unlock()
	raw, took, err := f.answer(q, n)
	if took > q.timeout {
		took, raw, err = q.timeout, nil, ErrTimeout
	}
	time.Sleep(took)
	f.mu.Lock()
	f.asking = false
	f.mu.Unlock()
	return raw, err
}

func (f *fakeLine) close() error {
	if !f.isOpen.Load() {
		f.t.Error("closed line is closed")
	}
	f.isOpen.Store(false)
	return nil
}

func (f *fakeLine) quiet() time.Duration { return f.gap }

// never is longer than any timeout.
const never = time.Hour

// prompt answers every question with zeros after 20 ms.
func prompt(q question, _ int) ([]byte, time.Duration, error) {
	return make([]byte, q.table.ByteCount(int(q.count))), 20 * time.Millisecond, nil
}

// startBus runs a bus on a fake line until the test ends.
func startBus(t *testing.T, f *fakeLine) *Bus {
	t.Helper()
	f.t = t
	b := newBus(Options{Name: "test", Address: Address{Kind: ModbusTCP, Host: "test:502"}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, f)
	b.jitter = func() float64 { return 0.5 } // none
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

func add(t *testing.T, b *Bus, name string, unit uint8, link profile.Link) *Device {
	t.Helper()
	d, err := b.Add(name, unit, link)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(d *Device, address uint16) error {
	_, _, err := d.Read(context.Background(), profile.Holding, address, 10)
	return err
}

func isException(err error, code uint8) bool {
	var e Exception
	return errors.As(err, &e) && e.Code == code
}
