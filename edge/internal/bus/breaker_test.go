package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"yunhe/internal/profile"
)

// TestDeadDeviceCost is the promise of the package: ten devices on one line,
// one dies. Once its breaker is open the cycles of the other nine grow by less
// than a tenth.
func TestDeadDeviceCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := false
		b := startBus(t, &fakeLine{answer: func(q question, n int) ([]byte, time.Duration, error) {
			if dead && q.unit == 10 {
				return nil, never, nil
			}
			return prompt(q, n)
		}})
		link := profile.Link{Timeout: time.Second, Retries: 2}
		var nine []*Device
		for unit := uint8(1); unit <= 9; unit++ {
			nine = append(nine, add(t, b, fmt.Sprint("d", unit), unit, link))
		}
		mortal := add(t, b, "d10", 10, link)

		// poll reads five blocks of a device, as a poller does: the first
		// failure that is no refusal ends the cycle.
		poll := func(d *Device) {
			for block := range uint16(5) {
				if read(d, block) != nil {
					return
				}
			}
		}
		const period = 2 * time.Second
		// cycles polls n times on the grid and returns how long the nine took
		// on average and at worst.
		cycles := func(n int) (mean, worst time.Duration) {
			stop := make(chan struct{})
			var other sync.WaitGroup
			other.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					poll(mortal)
					time.Sleep(time.Until(time.Now().Truncate(period).Add(period)))
				}
			})
			for range n {
				begin := time.Now().Truncate(period).Add(period)
				time.Sleep(time.Until(begin))
				var wg sync.WaitGroup
				for _, d := range nine {
					wg.Go(func() { poll(d) })
				}
				wg.Wait()
				took := time.Since(begin)
				mean, worst = mean+took, max(worst, took)
			}
			close(stop)
			other.Wait()
			return mean / time.Duration(n), worst
		}
		before, _ := cycles(30)
		dead = true
		if err := read(mortal, 0); !errors.Is(err, ErrTimeout) {
			t.Fatalf("the dead device: %v", err)
		}
		after, worst := cycles(150) // five minutes
		t.Logf("cycle of the nine: %v before, %v after (%.1f %%), at worst %v", before, after, 100*float64(after-before)/float64(before), worst)
		if after > before+before/10 {
			t.Errorf("a dead device makes cycles of %v into %v", before, after)
		}
	})
}

func TestBreakerFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alive := false
		f := &fakeLine{answer: func(q question, n int) ([]byte, time.Duration, error) {
			if !alive {
				return nil, never, nil
			}
			return prompt(q, n)
		}}
		b := startBus(t, f)
		d := add(t, b, "meter", 1, profile.Link{Timeout: 500 * time.Millisecond, Retries: 2})
		if err := read(d, 0); !errors.Is(err, ErrTimeout) {
			t.Fatalf("first read: %v", err)
		}
		if len(f.asked) != 3 {
			t.Errorf("asked %d times, want 1 and 2 retries", len(f.asked))
		}
		begin := time.Now()
		if err := read(d, 0); !errors.Is(err, ErrBackoff) || time.Since(begin) != 0 {
			t.Errorf("second read of the cycle: %v after %v; want back-off at once", err, time.Since(begin))
		}
		if h := d.Health(); h.Failures != 1 || !errors.Is(h.Err, ErrTimeout) || h.NextTry != 2*time.Second {
			t.Errorf("health %+v", h)
		}

		// Probes: one try each, ever further apart, never more than 5 minutes.
		var probes []time.Duration
		for last := time.Now(); len(probes) < 12; time.Sleep(100 * time.Millisecond) {
			n := len(f.asked)
			if read(d, 0); len(f.asked) > n {
				if len(f.asked) != n+1 {
					t.Errorf("a probe asked %d times", len(f.asked)-n)
				}
				probes = append(probes, f.asked[n].at.Sub(last))
				last = f.asked[n].at
			}
		}
		for i, gap := range probes {
			switch {
			case i > 0 && gap < 19*500*time.Millisecond:
				t.Errorf("probe %d comes %v after the one before: costs more than a twentieth", i, gap)
			case gap > 5*time.Minute+time.Second:
				t.Errorf("probe %d comes only after %v", i, gap)
			}
		}

		alive = true
		time.Sleep(5 * time.Minute)
		if err := read(d, 0); err != nil {
			t.Errorf("the device is back: %v", err)
		}
		if h := d.Health(); h.Failures != 0 || h.Err != nil {
			t.Errorf("health %+v", h)
		}
	})
}

// TestFullLineLetsAProbeThrough: a line without idle time still finds out that
// a device is back.
func TestFullLineLetsAProbeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		dead.Store(true)
		b := startBus(t, &fakeLine{answer: func(q question, n int) ([]byte, time.Duration, error) {
			if dead.Load() && q.unit == 9 {
				return nil, never, nil
			}
			return prompt(q, n)
		}})
		d := add(t, b, "dead", 9, profile.Link{Timeout: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for unit := uint8(1); unit <= 2; unit++ {
			busy := add(t, b, fmt.Sprint("busy", unit), unit, profile.Link{})
			wg.Go(func() {
				for ctx.Err() == nil {
					_ = read(busy, 0)
				}
			})
		}
		if err := read(d, 0); !errors.Is(err, ErrTimeout) {
			t.Errorf("dead device: %v", err)
		}
		dead.Store(false)
		time.Sleep(2 * time.Second)
		begin := time.Now()
		if err := read(d, 0); err != nil {
			t.Errorf("recovered device: %v", err)
		}
		if took := time.Since(begin); took > patience+time.Second {
			t.Errorf("the probe waited %v", took)
		}
		cancel()
		wg.Wait()
	})
}
