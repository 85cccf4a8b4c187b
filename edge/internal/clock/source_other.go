//go:build !linux

package clock

import (
	"crypto/rand"
	"fmt"
	"time"

	"yunhe/internal/telemetry"
)

// Options as on Linux; Marker and Root have no use here.
type Options struct {
	Built  time.Time
	Marker string
	Root   string
}

// Source on a machine that is no gateway (a developer's): nothing is known
// about its clock, so the state is U.
type Source struct {
	bootID [16]byte
	start  time.Time
}

// Open takes the start of the program for the start of the machine.
func Open(Options) (*Source, error) {
	s := &Source{start: time.Now()}
	if _, err := rand.Read(s.bootID[:]); err != nil {
		return nil, fmt.Errorf("make boot id: %w", err)
	}
	return s, nil
}

// Now returns the wall time in UTC.
func (s *Source) Now() time.Time { return time.Now().UTC() }

// Readable returns nil: there is nothing to read.
func (s *Source) Readable() error { return nil }

// Clock returns state U.
func (s *Source) Clock() telemetry.Clock {
	return telemetry.Clock{State: telemetry.Unsynchronised, BootID: s.bootID, Mono: time.Since(s.start)}
}
