package i2cdev_test

import (
	"bytes"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"

	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
	"yunhe/internal/simulate/i2cdev"
	"yunhe/internal/telemetry"
)

// TestSEN0575 reads the rain gauge's map as DFRobot's own library does: write
// the register, read its bytes, least significant first.
func TestSEN0575(t *testing.T) {
	text, err := firmwareconfig.Profiles.ReadFile("profiles/dfrobot-sen0575.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse("dfrobot-sen0575.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	d, err := device.New(device.Options{
		Name: "gauge", Profile: p, Now: time.Now,
		Source: func(time.Time) map[string]telemetry.Value {
			return map[string]telemetry.Value{
				"bucket_tips": telemetry.Uint(0x01020304), "rainfall": telemetry.Float(27.94),
				"working_time": telemetry.Uint(90), "depth_per_tip": telemetry.Float(0.2794),
			}
		},
		Fixed: profile.Image{profile.Bytes: {0: 0xC0, 1: 0x00, 2: 0x43, 3: 0x73}},
	})
	if err != nil {
		t.Fatal(err)
	}
	made := i2cdev.NewBus("/dev/i2c-1", map[uint8]*device.Device{0x1D: d})
	if _, err := made.Open("/dev/i2c-2"); err == nil {
		t.Error("another bus opens too")
	}
	bus, err := made.Open("/dev/i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	gauge := &i2c.Dev{Bus: bus, Addr: 0x1D}
	for register, want := range map[byte][]byte{
		0:  {0xC0, 0x00, 0x43, 0x73},
		16: {0x68, 0x43, 0x04, 0x00}, // 279400 ten-thousandths of a millimetre
		20: {0x04, 0x03, 0x02, 0x01},
		24: {90, 0},
		40: {0xEA, 0x0A}, // 2794
	} {
		got := make([]byte, len(want))
		if err := gauge.Tx([]byte{register}, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("register %d: % x, %v; want % x", register, got, err, want)
		}
	}
	// In two transactions, and on from where the last one ended.
	two := make([]byte, 2)
	if err := gauge.Tx([]byte{20}, nil); err != nil {
		t.Error(err)
	}
	for _, want := range [][]byte{{4, 3}, {2, 1}} {
		if err := gauge.Tx(nil, two); err != nil || !bytes.Equal(two, want) {
			t.Errorf("reading on: % x, %v; want % x", two, err, want)
		}
	}
	if err := bus.Tx(0x2A, []byte{0}, two); err == nil {
		t.Error("nobody is at 0x2A and it answers")
	}
	if err := gauge.Tx([]byte{38, 5}, nil); err == nil {
		t.Error("a write is taken")
	}
	if err := gauge.Tx([]byte{200}, two); err == nil {
		t.Error("a register that is not there answers")
	}
	d.Misbehave(device.Dead())
	if err := gauge.Tx([]byte{20}, two); err == nil {
		t.Error("a dead device answers")
	}
}
