//go:build unix

package edge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stateLock is held for as long as an agent uses its state directory: two
// agents with one key and one journal would sign one number twice.
type stateLock struct{ file *os.File }

func lockState(dir string) (*stateLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock state directory: another agent uses %s; stop it, or give this one a state_dir of its own", dir)
		}
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	return &stateLock{f}, nil
}

// nonBlock keeps the opening of a serial port from waiting for a carrier.
const nonBlock = unix.O_NONBLOCK

// release lets the next agent in; it may be called on nil.
func (l *stateLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
