package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/host/v3/sysfs"
)

// i2cLine reads byte registers: one transaction writes the register's address
// and reads, with a repeated start between, so that nobody else comes between.
//
// A device that is reset or unplugged inside a transaction can hold SDA low.
// The kernel's drivers clock it free (up to nine pulses, I2C specification
// UM10204 3.1.16) when the next transfer finds the bus busy; closing and
// opening the file after every failure, which the bus does, gives a hung
// adapter a fresh start too. What neither frees needs a power cycle.
type i2cLine struct {
	path   string
	opener func(path string) (i2c.BusCloser, error)
	bus    i2c.BusCloser
}

func (l *i2cLine) open(context.Context, time.Duration) error {
	b, err := l.opener(l.path)
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open %s: %w; add the user to the group i2c", l.path, err)
	case err != nil:
		return fmt.Errorf("open %s: %w", l.path, err)
	}
	l.bus = b
	return nil
}

// ask reads q.count bytes. The kernel bounds a transaction itself (1 s by
// default), so q.timeout is not needed. A missing acknowledge is silence.
func (l *i2cLine) ask(_ context.Context, q question) ([]byte, error) {
	raw := make([]byte, q.count)
	if err := l.bus.Tx(uint16(q.unit), []byte{byte(q.address)}, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return raw, nil
}

func (l *i2cLine) close() error { return l.bus.Close() }

func (l *i2cLine) quiet() time.Duration { return 0 }

// openHostI2C opens a bus of this machine. It goes to the driver directly and
// past periph's global registry, which would probe the whole board.
func openHostI2C(path string) (i2c.BusCloser, error) {
	number, ok := strings.CutPrefix(filepath.Base(path), "i2c-")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 0 || filepath.Dir(path) != "/dev" {
		return nil, fmt.Errorf("%s is no I2C device file; use /dev/i2c-1", path)
	}
	return sysfs.NewI2C(n)
}
