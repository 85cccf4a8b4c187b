package telemetry

import (
	"fmt"
	"time"
)

// ClockState says how far the wall clock of a gateway may be trusted. The
// letters are those of OCMF's time status.
type ClockState byte

const (
	Synchronised   ClockState = 'S' // disciplined by NTP or better
	Unsynchronised ClockState = 'U' // nothing is known; the time may be 1970
	Informative    ClockState = 'I' // a real-time clock that nothing has checked since start
	Relative       ClockState = 'R' // was synchronised in this boot, is running free now
)

// Valid reports whether s is one of the four states.
func (s ClockState) Valid() bool {
	return s == Synchronised || s == Unsynchronised || s == Informative || s == Relative
}

// String returns the letter.
func (s ClockState) String() string {
	if !s.Valid() {
		return fmt.Sprintf("invalid clock state %d", byte(s))
	}
	return string(rune(s))
}

// Clock is the state of a gateway's clock at the moment something was signed.
// Boot id and monotonic time let a batch signed before the clock was set be
// re-timed afterwards.
type Clock struct {
	State ClockState
	// Offset is the estimated error of the wall clock, nil if unknown.
	Offset *time.Duration
	// BootID names the boot of the machine: 16 bytes.
	BootID [16]byte
	// Mono is the time since boot, sleep included.
	Mono time.Duration
}

// Source gives wall time and clock state. The agent, the demo and tests pass
// different ones; nothing in Yunhe reads time.Now inside a pure package.
type Source interface {
	Now() time.Time
	Clock() Clock
}
