package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"yunhe/internal/profile"
)

func TestReadStampsTheReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBus(t, &fakeLine{answer: prompt})
		d := add(t, b, "meter", 1, profile.Link{})
		begin := time.Now()
		raw, at, err := d.Read(t.Context(), profile.Input, 72, 4)
		if err != nil || len(raw) != 8 || at.Sub(begin) != 20*time.Millisecond {
			t.Errorf("got %d bytes after %v, %v; want 8 after 20ms", len(raw), at.Sub(begin), err)
		}
		if h := d.Health(); !h.LastReply.Equal(at) || h.Failures != 0 {
			t.Errorf("health %+v", h)
		}
	})
}

func TestReadRefusesNonsense(t *testing.T) {
	b := newBus(Options{Name: "t", Address: Address{Kind: ModbusTCP}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil)
	d := add(t, b, "meter", 1, profile.Link{})
	for _, c := range []struct {
		table          profile.Table
		address, count uint16
	}{
		{profile.Holding, 0, 0}, {profile.Holding, 0, 126}, {profile.Coil, 0, 2001},
		{profile.Holding, 65530, 7}, {profile.Bytes, 0, 4}, {0, 0, 1}, {99, 0, 1},
	} {
		if _, _, err := d.Read(t.Context(), c.table, c.address, c.count); err == nil {
			t.Errorf("%v is sent", c)
		}
	}
	for _, unit := range []uint8{0, 248} {
		r := newBus(Options{Address: Address{Kind: ModbusRTU}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil)
		if _, err := r.Add("d", unit, profile.Link{}); err == nil {
			t.Errorf("unit %d is accepted on RTU", unit)
		}
	}
	if _, err := b.Add("d", 1, profile.Link{Timeout: -1}); err == nil {
		t.Error("a negative timeout is accepted")
	}
}

// TestFair: two devices queue six reads each at once; the line turns from one
// to the other, and within a device the order stays.
func TestFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLine{answer: prompt}
		b := startBus(t, f)
		var wg sync.WaitGroup
		for unit := uint8(1); unit <= 2; unit++ {
			d := add(t, b, fmt.Sprint("d", unit), unit, profile.Link{})
			wg.Go(func() {
				for i := range uint16(6) {
					if err := read(d, i); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		last := map[uint8]uint16{}
		for i, a := range f.asked {
			if i > 0 && f.asked[i-1].unit == a.unit {
				t.Errorf("read %d is for unit %d again", i, a.unit)
			}
			if a.address != last[a.unit] {
				t.Errorf("unit %d: address %d, want %d", a.unit, a.address, last[a.unit])
			}
			last[a.unit]++
		}
	})
}

// TestSlowDeviceWaits: a device that takes 50 times as long as its neighbour
// does not make the neighbour wait for each of its reads.
func TestSlowDeviceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBus(t, &fakeLine{answer: func(q question, n int) ([]byte, time.Duration, error) {
			raw, took, err := prompt(q, n)
			if q.unit == 1 {
				took *= 40
			}
			return raw, took, err
		}})
		slow, quick := add(t, b, "slow", 1, profile.Link{}), add(t, b, "quick", 2, profile.Link{})
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 10 {
				if err := read(slow, 0); err != nil {
					t.Error(err)
				}
			}
		})
		var took time.Duration
		wg.Go(func() {
			for range 10 {
				if err := read(quick, 0); err != nil {
					t.Error(err)
				}
			}
			took = time.Since(begin)
		})
		wg.Wait()
		if took > 1100*time.Millisecond {
			t.Errorf("ten quick reads of 20 ms took %v beside a slow device of 800 ms a read", took)
		}
	})
}

func TestRetries(t *testing.T) {
	illegal := Exception{Function: 3, Code: IllegalAddress}
	for name, c := range map[string]struct {
		link   profile.Link
		errs   []error // of the answers, then good
		want   error
		asked  int
		closes int
	}{
		"lost once":             {link: profile.Link{Retries: 1}, errs: []error{ErrTimeout}, asked: 2, closes: 1},
		"garbled once":          {link: profile.Link{Retries: 1}, errs: []error{ErrReply}, asked: 2, closes: 1},
		"lost twice, one retry": {link: profile.Link{Retries: 1}, errs: []error{ErrTimeout, ErrTimeout}, want: ErrTimeout, asked: 2, closes: 2},
		"refused":               {link: profile.Link{Retries: 3}, errs: []error{illegal}, want: illegal, asked: 1},
		"busy":                  {link: profile.Link{BusyRetries: 3}, errs: []error{Exception{3, Busy}, Exception{3, Acknowledge}}, asked: 3},
		"busy for ever":         {link: profile.Link{BusyRetries: 1}, errs: []error{Exception{3, Busy}, Exception{3, Busy}}, want: Exception{3, Busy}, asked: 2},
		"busy, no patience":     {link: profile.Link{Retries: 3}, errs: []error{Exception{3, Busy}}, want: Exception{3, Busy}, asked: 1},
		"lost, then busy":       {link: profile.Link{Retries: 1, BusyRetries: 1}, errs: []error{ErrTimeout, Exception{3, Busy}}, asked: 3, closes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeLine{answer: func(q question, n int) ([]byte, time.Duration, error) {
					if n < len(c.errs) {
						return nil, time.Millisecond, c.errs[n]
					}
					return prompt(q, n)
				}}
				b := startBus(t, f)
				err := read(add(t, b, "d", 1, c.link), 0)
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				synctest.Wait()
				if len(f.asked) != c.asked || f.opens-1 != c.closes && !(f.opens == c.closes) {
					t.Errorf("asked %d times on %d connections; want %d times, %d closed", len(f.asked), f.opens, c.asked, c.closes)
				}
			})
		})
	}
}

// TestExceptionIsAlive: a refusal opens no breaker; a gateway's word that the
// device behind it is dead does.
func TestExceptionIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBus(t, &fakeLine{answer: func(q question, _ int) ([]byte, time.Duration, error) {
			return nil, time.Millisecond, Exception{3, q.unit}
		}})
		present := add(t, b, "present", IllegalAddress, profile.Link{})
		absent := add(t, b, "absent", TargetNotAnswering, profile.Link{})
		for range 2 {
			if err := read(present, 0); !isException(err, IllegalAddress) {
				t.Errorf("present: %v", err)
			}
		}
		if err := read(absent, 0); !isException(err, TargetNotAnswering) {
			t.Errorf("absent: %v", err)
		}
		if err := read(absent, 0); !errors.Is(err, ErrBackoff) {
			t.Errorf("absent again: %v", err)
		}
	})
}

func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLine{answer: prompt, gap: 4 * time.Millisecond}
		b := startBus(t, f)
		shy := add(t, b, "shy", 1, profile.Link{MinGap: 500 * time.Millisecond, UnitPause: 200 * time.Millisecond})
		plain := add(t, b, "plain", 2, profile.Link{ConnectDelay: 2 * time.Second})
		begin := time.Now()
		for _, d := range []*Device{shy, shy, plain, plain, shy} {
			if err := read(d, 0); err != nil {
				t.Fatal(err)
			}
		}
		ms := time.Millisecond
		want := []time.Duration{
			2004 * ms,                           // connect delay (of any device), frame gap
			2024*ms + 500*ms,                    // min gap
			2544*ms + 200*ms,                    // the unit changes
			2764*ms + 4*ms,                      // frame gap
			max(2788*ms+200*ms, 2544*ms+500*ms), // the unit changes; min gap is over by then
		}
		for i, a := range f.asked {
			if got := a.at.Sub(begin); got != want[i] {
				t.Errorf("question %d after %v, want %v", i, got, want[i])
			}
		}
	})
}

// TestTurnsAreSaved: where turning to another unit costs a pause, the line stays
// with a device for several blocks, and still serves both.
func TestTurnsAreSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLine{answer: prompt}
		b := startBus(t, f)
		link := profile.Link{UnitPause: 200 * time.Millisecond, MinGap: 50 * time.Millisecond}
		var wg sync.WaitGroup
		for unit := uint8(1); unit <= 3; unit++ {
			d := add(t, b, fmt.Sprint("d", unit), unit, link)
			wg.Go(func() {
				for i := range uint16(6) {
					_ = read(d, i)
				}
			})
		}
		wg.Wait()
		turns := 0
		for i := 1; i < len(f.asked); i++ {
			if f.asked[i].unit != f.asked[i-1].unit {
				turns++
			}
		}
		if turns > 5 || len(f.asked) != 18 {
			t.Errorf("%d reads with %d turns, want 18 with at most 5", len(f.asked), turns)
		}
	})
}

// TestMinGapYields: while one device must be left in peace the line serves others.
func TestMinGapYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLine{answer: prompt}
		b := startBus(t, f)
		shy, plain := add(t, b, "shy", 1, profile.Link{MinGap: time.Second}), add(t, b, "plain", 2, profile.Link{})
		var wg sync.WaitGroup
		for _, d := range []*Device{shy, plain} {
			wg.Go(func() {
				for range 4 {
					_ = read(d, 0)
				}
			})
		}
		wg.Wait()
		var last time.Time
		for _, a := range f.asked {
			if a.unit == 2 {
				last = a.at
			}
		}
		if d := last.Sub(f.asked[0].at); d > 200*time.Millisecond {
			t.Errorf("the plain device was done after %v", d)
		}
	})
}

func TestLineDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		up := false
		f := &fakeLine{answer: prompt, dial: func(int) (time.Duration, error) {
			if !up {
				return 10 * time.Millisecond, refused
			}
			return 0, nil
		}}
		b := startBus(t, f)
		one, two := add(t, b, "one", 1, profile.Link{Retries: 5}), add(t, b, "two", 2, profile.Link{})
		if err := read(one, 0); !errors.Is(err, ErrLinkDown) || !errors.Is(err, refused) {
			t.Errorf("first: %v", err)
		}
		if err := read(two, 0); !errors.Is(err, ErrLinkDown) || f.opens != 1 {
			t.Errorf("second: %v, %d connects; want line down without another try", err, f.opens)
		}
		// In ten minutes of constant asking: few connects, at most 31 s apart.
		for range 6000 {
			_ = read(one, 0)
			time.Sleep(100 * time.Millisecond)
		}
		if f.opens < 20 || f.opens > 30 {
			t.Errorf("%d connects in ten minutes, want about 24", f.opens)
		}
		if h := one.Health(); h.Failures != 0 {
			t.Errorf("the line's fault is put on the device: %+v", h)
		}
		up = true
		time.Sleep(31 * time.Second)
		for _, d := range []*Device{one, two} {
			if err := read(d, 0); err != nil {
				t.Errorf("line is up: %v", err)
			}
		}
	})
}

// TestIdleConnection: a connection that nobody uses is given back, and the next
// read keeps the pause that a device asks for after connecting.
func TestIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLine{answer: prompt}
		b := startBus(t, f)
		d := add(t, b, "d", 1, profile.Link{ConnectDelay: 2 * time.Second})
		_ = read(d, 0)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if !f.isOpen.Load() {
			t.Error("closed within a minute")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if f.isOpen.Load() {
			t.Error("still open after a minute")
		}
		begin := time.Now()
		if err := read(d, 0); err != nil || time.Since(begin) != 2020*time.Millisecond {
			t.Errorf("read after %v, %v; want the pause after connecting", time.Since(begin), err)
		}
	})
}

func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLine{answer: func(q question, n int) ([]byte, time.Duration, error) {
			raw, _, err := prompt(q, n)
			return raw, 900 * time.Millisecond, err
		}}
		b := startBus(t, f)
		one, two := add(t, b, "one", 1, profile.Link{}), add(t, b, "two", 2, profile.Link{})
		go func() { _ = read(one, 0) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, _, err := two.Read(ctx, profile.Holding, 0, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		time.Sleep(5 * time.Second)
		if len(f.asked) != 1 {
			t.Errorf("%d questions: the one nobody waits for was asked", len(f.asked))
		}
		if h := two.Health(); h.Failures != 0 {
			t.Errorf("leaving counts against the device: %+v", h)
		}
	})
}

func TestStopAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLine{t: t, answer: func(q question, n int) ([]byte, time.Duration, error) { return nil, never, nil }}
		b := newBus(Options{Name: "t", Address: Address{Kind: ModbusTCP}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, f)
		d := add(t, b, "d", 1, profile.Link{})
		errs := make(chan error, maxQueue+1)
		for range maxQueue + 1 {
			go func() { errs <- read(d, 0) }()
		}
		synctest.Wait()
		if err := <-errs; !errors.Is(err, ErrQueueFull) {
			t.Errorf("one too many: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		time.Sleep(500 * time.Millisecond)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		for range maxQueue {
			if err := <-errs; !errors.Is(err, ErrStopped) {
				t.Errorf("waiting request: %v", err)
			}
		}
		if err := read(d, 0); !errors.Is(err, ErrStopped) {
			t.Errorf("late request: %v", err)
		}
		if f.isOpen.Load() {
			t.Error("the line is still open")
		}
	})
}
