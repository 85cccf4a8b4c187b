package clock

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"yunhe/internal/telemetry"
)

// Options for the machine's clock.
type Options struct {
	// Built is when this program was made: an earlier wall time is no time.
	Built time.Time
	// Marker is a file that remembers the boot in which the clock was last
	// synchronised, so that a restarted agent still knows; empty forgets.
	Marker string
	// Root is where /proc and /sys are; empty means /.
	Root string
}

// Source is the clock of the machine: CLOCK_REALTIME, CLOCK_BOOTTIME and the
// kernel's synchronisation state.
type Source struct {
	opts   Options
	bootID [16]byte
	rtc    bool
	synced atomic.Bool // at some time in this boot
}

// Open reads what stays the same until the machine restarts.
func Open(opts Options) (*Source, error) {
	if opts.Root == "" {
		opts.Root = "/"
	}
	s := &Source{opts: opts}
	text, err := os.ReadFile(filepath.Join(opts.Root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err != nil || len(b) != len(s.bootID) {
		return nil, fmt.Errorf("read boot id: %q is no UUID", text)
	}
	copy(s.bootID[:], b)
	clocks, _ := filepath.Glob(filepath.Join(opts.Root, "sys/class/rtc/rtc*"))
	s.rtc = len(clocks) > 0
	if opts.Marker != "" {
		marked, _ := os.ReadFile(opts.Marker) // no marker is the ordinary first start
		s.synced.Store(string(marked) == string(text))
	}
	return s, nil
}

// Now returns the wall time in UTC.
func (s *Source) Now() time.Time { return time.Now().UTC() }

// Clock returns the state of the clock at this moment.
func (s *Source) Clock() telemetry.Clock {
	f := facts{rtc: s.rtc, plausible: time.Now().After(s.opts.Built)}
	var tx unix.Timex
	if state, err := unix.Adjtimex(&tx); err == nil {
		f.synchronised = state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
		f.maxError = time.Duration(tx.Maxerror) * time.Microsecond
	} else {
		f.maxError = -1
	}
	if f.synchronised && s.synced.CompareAndSwap(false, true) {
		s.mark()
	}
	f.wasInBoot = s.synced.Load()
	state, offset := f.state()
	return telemetry.Clock{State: state, Offset: offset, BootID: s.bootID, Mono: sinceBoot()}
}

// Readable fails where the kernel's clock state is hidden: then the state can
// never be S, and a collector takes every time for doubtful.
func (s *Source) Readable() error {
	var tx unix.Timex
	if _, err := unix.Adjtimex(&tx); err != nil {
		return fmt.Errorf("read clock state (adjtimex): %w; allow this call, in a systemd unit by leaving out ProtectClock=, which blocks reading too", err)
	}
	return nil
}

// mark writes the marker. Failing costs state R after a restart, no more.
func (s *Source) mark() {
	if s.opts.Marker == "" {
		return
	}
	text, err := os.ReadFile(filepath.Join(s.opts.Root, "proc/sys/kernel/random/boot_id"))
	if err == nil {
		_ = os.WriteFile(s.opts.Marker, text, 0o600)
	}
}

// sinceBoot includes the time the machine slept.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // cannot fail on Linux 2.6.39 and later
	}
	return time.Duration(ts.Nano())
}
