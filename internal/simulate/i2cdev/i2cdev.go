// Package i2cdev puts simulated devices on an I2C bus that exists in memory
// only: a [periph.io/x/conn/v3/i2c.BusCloser] whose devices have byte
// registers behind an address pointer.
package i2cdev

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
)

// Bus is an I2C bus with devices on it by 7-bit address.
type Bus struct {
	name    string
	devices map[uint16]*device.Device

	mu      sync.Mutex      // one transaction at a time, as on wires
	pointer map[uint16]byte // where the next read of a device starts
}

// errNoAcknowledge is what the kernel says when nobody answers an address.
var errNoAcknowledge = errors.New("remote I/O error: no acknowledge")

// NewBus returns a bus called name, such as /dev/i2c-1.
func NewBus(name string, devices map[uint8]*device.Device) *Bus {
	b := &Bus{name: name, devices: map[uint16]*device.Device{}, pointer: map[uint16]byte{}}
	for a, d := range devices {
		b.devices[uint16(a)] = d
	}
	return b
}

// Open stands in for opening a device file: any path but the bus's own name
// fails like one that is not there.
func (b *Bus) Open(path string) (i2c.BusCloser, error) {
	if path != b.name {
		return nil, fmt.Errorf("no such bus %s; there is %s", path, b.name)
	}
	return b, nil
}

// String returns the name of the bus.
func (b *Bus) String() string { return b.name }

// Close does nothing: the bus stays there for who opens it next.
func (b *Bus) Close() error { return nil }

// SetSpeed accepts any speed.
func (b *Bus) SetSpeed(physic.Frequency) error { return nil }

// Tx writes, then reads. The first byte written sets the device's address
// pointer; reading starts there and moves it on. More written bytes would be a
// write to the device, which is refused.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.devices[addr]
	switch {
	case !ok:
		return fmt.Errorf("address %#02x: %w", addr, errNoAcknowledge)
	case len(w) > 1:
		return fmt.Errorf("address %#02x: write of %d bytes to a read-only device: %w", addr, len(w)-1, errNoAcknowledge)
	case len(w) == 1:
		b.pointer[addr] = w[0]
	}
	if len(r) == 0 {
		return nil
	}
	a := d.Answer(profile.Bytes, uint16(b.pointer[addr]), uint16(len(r)))
	time.Sleep(a.Delay) // the device stretches the clock
	if a.Silent || a.Exception != 0 {
		return fmt.Errorf("address %#02x: %w", addr, errNoAcknowledge)
	}
	copy(r, a.Raw)
	b.pointer[addr] += byte(len(r))
	return nil
}
