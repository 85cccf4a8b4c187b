package bus

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"

	"yunhe/internal/profile"
)

func TestI2C(t *testing.T) {
	tape := &i2ctest.Playback{
		Ops: []i2ctest.IO{
			{Addr: 0x1D, W: []byte{0x00}, R: []byte{0xC0, 0x00, 0x43, 0x73}},
			{Addr: 0x1D, W: []byte{0x14}, R: []byte{0x0A, 0, 0, 0}},
		},
		DontPanic: true,
	}
	opened := 0
	b := runBus(t, Options{Address: Address{Kind: I2C, Path: "/dev/i2c-7"}, OpenI2C: func(path string) (i2c.BusCloser, error) {
		if opened++; path != "/dev/i2c-7" {
			t.Errorf("asked to open %s", path)
		}
		return keepOpen{tape}, nil
	}})
	gauge := add(t, b, "gauge", 0x1D, profile.Link{})
	if raw, _, err := gauge.Read(t.Context(), profile.Bytes, 0, 4); err != nil || !bytes.Equal(raw, []byte{0xC0, 0x00, 0x43, 0x73}) {
		t.Errorf("identity: % x, %v", raw, err)
	}
	if raw, _, err := gauge.Read(t.Context(), profile.Bytes, 0x14, 4); err != nil || raw[0] != 10 {
		t.Errorf("tips: % x, %v", raw, err)
	}
	// The tape is at its end: a device that does not acknowledge.
	if _, _, err := gauge.Read(t.Context(), profile.Bytes, 0x14, 4); !errors.Is(err, ErrTimeout) {
		t.Errorf("no acknowledge: %v", err)
	}
	if _, err := b.Add("x", 0x78, profile.Link{}); err == nil || !strings.Contains(err.Error(), "0x08 to 0x77") {
		t.Errorf("a reserved address: %v", err)
	}
	if _, _, err := gauge.Read(t.Context(), profile.Holding, 0, 4); err == nil || !strings.Contains(err.Error(), "holding") {
		t.Errorf("a Modbus table: %v", err)
	}
	if _, _, err := gauge.Read(t.Context(), profile.Bytes, 250, 10); err == nil {
		t.Error("reads past register 255")
	}
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
	if err := tape.Close(); err != nil {
		t.Error(err)
	}
}

// keepOpen leaves the check for unplayed transactions to the test.
type keepOpen struct{ i2c.Bus }

func (keepOpen) Close() error { return nil }

func TestI2COpenFaults(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		says string
	}{
		"no right":  {Options{Address: Address{Kind: I2C, Path: "/dev/i2c-1"}, OpenI2C: func(string) (i2c.BusCloser, error) { return nil, os.ErrPermission }}, "group i2c"},
		"no device": {Options{Address: Address{Kind: I2C, Path: "/dev/ttyUSB0"}}, "use /dev/i2c-1"},
		"no bus":    {Options{Address: Address{Kind: I2C, Path: "/dev/i2c-9999"}}, "/dev/i2c-9999"},
	} {
		b := runBus(t, c.o)
		_, _, err := add(t, b, "d", 0x1D, profile.Link{}).Read(t.Context(), profile.Bytes, 0, 1)
		if !errors.Is(err, ErrLinkDown) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
