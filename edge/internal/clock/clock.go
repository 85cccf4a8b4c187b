// Package clock tells what time it is on a gateway and how far that may be
// trusted. Source reads the machine, StepDetector finds jumps of the wall
// clock; everything else in the agent is given a telemetry.Source.
//
// The states follow from four facts: whether the kernel says its clock is
// disciplined (adjtimex), whether it ever was in this boot, whether a real-time
// clock exists, and whether the time is later than this program was built.
//
//	S  the kernel's clock is synchronised (STA_UNSYNC clear); the offset is the
//	   kernel's bound on the error (maxerror)
//	R  not now, but earlier in this boot: running free; the offset still grows
//	   with maxerror until the kernel gives up at 16 s, then it is unknown
//	I  never in this boot; a real-time clock exists and shows a time after the
//	   build: plausible and unchecked
//	U  anything else: no real-time clock, or a time before the build (1970, a
//	   flat battery). What is signed now can be re-timed later from boot id and
//	   monotonic time, once the same boot reaches S.
package clock

import (
	"math"
	"time"

	"yunhe/internal/telemetry"
)

// facts is what State is derived from.
type facts struct {
	synchronised bool // now
	wasInBoot    bool // at some time in this boot
	rtc          bool // a real-time clock exists
	plausible    bool // the time is later than the build
	maxError     time.Duration
}

// giveUp is where the kernel stops counting the error of a free-running
// clock: NTP_PHASE_LIMIT, 16 s.
const giveUp = 16 * time.Second

// state applies the rules of the package comment.
func (f facts) state() (telemetry.ClockState, *time.Duration) {
	offset := &f.maxError
	if f.maxError < 0 || f.maxError >= giveUp {
		offset = nil
	}
	switch {
	case !f.plausible:
		return telemetry.Unsynchronised, nil
	case f.synchronised:
		return telemetry.Synchronised, offset
	case f.wasInBoot:
		return telemetry.Relative, offset
	case f.rtc:
		return telemetry.Informative, nil
	default:
		return telemetry.Unsynchronised, nil
	}
}

// Step is one jump of the wall clock.
type Step struct {
	From time.Time // what the clock would have shown
	To   time.Time // what it showed
}

// StepDetector compares the wall clock with the time since boot. The zero
// value is ready; it is not safe for concurrent use.
type StepDetector struct {
	wall time.Time
	mono time.Duration
	seen bool
}

const (
	// stepThreshold keeps scheduling delays between two clock readings from
	// counting as a step.
	stepThreshold = 500 * time.Millisecond
	// slewRate is the fastest a kernel slews a clock: adjtime's 500 ppm, and
	// chrony's default of 1/12 while it corrects.
	slewRate = 1.0 / 10
)

// Observe takes the two clocks as read together. It reports a step when the
// wall clock moved further from the monotonic one than slewing explains.
func (d *StepDetector) Observe(wall time.Time, mono time.Duration) (Step, bool) {
	wall = wall.Round(0) // without Go's monotonic reading, which Sub would prefer
	defer func() { d.wall, d.mono, d.seen = wall, mono, true }()
	if !d.seen || mono < d.mono {
		return Step{}, false
	}
	elapsed := mono - d.mono
	expected := d.wall.Add(elapsed)
	off := math.Abs(float64(wall.Sub(expected)))
	if off <= float64(stepThreshold)+float64(elapsed)*slewRate {
		return Step{}, false
	}
	return Step{From: expected, To: wall}, true
}
