package device_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
	"yunhe/internal/telemetry"
)

const text = `
profile: test-meter
version: 1
kind: electricity_meter
vendor: Test
model: Meter
table: input
word_order: msw
byte_order: big
link: {protocol: modbus, max_registers: 10, timeout: 1s, retries: 0}
points:
  - {name: voltage, quantity: voltage, address: 10, type: u16, scale: 0.1}
  - {name: energy, quantity: active_energy_import, address: 12, type: u32, scale: 0.01}
confidence: low
sources: [made up]
`

func newDevice(t *testing.T, o device.Options) *device.Device {
	t.Helper()
	p, err := profile.Parse("test-meter.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o.Name, o.Profile = "meter", p
	if o.Source == nil {
		o.Source = func(time.Time) map[string]telemetry.Value {
			return map[string]telemetry.Value{"voltage": telemetry.Float(230.4), "energy": telemetry.Float(655.37)}
		}
	}
	if o.Now == nil {
		o.Now = func() time.Time { return time.UnixMilli(0) }
	}
	d, err := device.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnswers(t *testing.T) {
	d := newDevice(t, device.Options{Fixed: profile.Image{profile.Input: {10: 9, 11: 7}, profile.Holding: {0: 5}}})
	refused := device.Answer{Exception: 2}
	for name, c := range map[string]struct {
		table          profile.Table
		address, count uint16
		want           device.Answer
	}{
		"point":                 {profile.Input, 10, 1, device.Answer{Raw: []byte{0x09, 0x00}}},
		"fixed between points":  {profile.Input, 10, 4, device.Answer{Raw: []byte{0x09, 0x00, 0, 7, 0, 1, 0, 1}}},
		"table without points":  {profile.Holding, 0, 1, device.Answer{Raw: []byte{0, 5}}},
		"register not there":    {profile.Input, 9, 1, refused},
		"last one not there":    {profile.Input, 12, 3, refused},
		"table not there":       {profile.Coil, 0, 1, refused},
		"nothing":               {profile.Input, 10, 0, refused},
		"past the last address": {profile.Input, 65535, 2, refused},
	} {
		if diff := cmp.Diff(c.want, d.Answer(c.table, c.address, c.count)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestValuesMoveWithTime(t *testing.T) {
	now := time.Unix(1000, 0)
	calls := 0
	d := newDevice(t, device.Options{
		Now: func() time.Time { return now }, Grid: 10 * time.Second,
		Source: func(at time.Time) map[string]telemetry.Value {
			calls++
			return map[string]telemetry.Value{"voltage": telemetry.Float(float64(at.Unix() % 100))}
		},
	})
	volts := func() float64 {
		a := d.Answer(profile.Input, 10, 1)
		return float64(int(a.Raw[0])<<8|int(a.Raw[1])) / 10
	}
	if got := volts(); got != 0 {
		t.Errorf("at 1000 s: %v", got)
	}
	now = now.Add(9 * time.Second)
	if got := volts(); got != 0 || calls != 1 {
		t.Errorf("within the grid: %v after %d calls", got, calls)
	}
	now = now.Add(2 * time.Second)
	if got := volts(); got != 10 {
		t.Errorf("at 1011 s: %v, want the value of 1010 s", got)
	}
}

func TestFaults(t *testing.T) {
	var told int
	d := newDevice(t, device.Options{OnReply: func(device.Reply) { told++ }})
	ask := func() device.Answer { return d.Answer(profile.Input, 10, 1) }
	good := ask()
	for _, c := range []struct {
		name   string
		faults []device.Fault
		want   []device.Answer
	}{
		{"dead", []device.Fault{device.Dead()}, []device.Answer{{Raw: good.Raw, Silent: true}}},
		{"slow", []device.Fault{device.Slow(time.Second)}, []device.Answer{{Raw: good.Raw, Delay: time.Second}, {Raw: good.Raw, Delay: time.Second}}},
		{"late", []device.Fault{device.Late(1, time.Minute)}, []device.Answer{{Raw: good.Raw, Delay: time.Minute}, good}},
		{"busy", []device.Fault{device.Busy(1)}, []device.Answer{{Exception: 6}, good}},
		{"refuse", []device.Fault{device.Refuse(profile.Input, 10, 3)}, []device.Answer{{Exception: 3}}},
		{"refuse another", []device.Fault{device.Refuse(profile.Input, 11, 3), device.Refuse(profile.Holding, 10, 3)}, []device.Answer{good}},
		{"slow and busy", []device.Fault{device.Slow(time.Second), device.Busy(9)}, []device.Answer{{Exception: 6, Delay: time.Second}}},
		{"well again", nil, []device.Answer{good}},
	} {
		d.Misbehave(c.faults...)
		for i, want := range c.want {
			before := told
			got := ask()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, answer %d (-want +got):\n%s", c.name, i, diff)
			}
			if isGood := got.Exception == 0 && !got.Silent; (told != before) != isGood {
				t.Errorf("%s, answer %d: told is %v", c.name, i, told != before)
			}
		}
	}
}

func TestSourceThatDoesNotFit(t *testing.T) {
	p, err := profile.Parse("test-meter.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	_, err = device.New(device.Options{
		Name: "m", Profile: p, Now: time.Now,
		Source: func(time.Time) map[string]telemetry.Value {
			return map[string]telemetry.Value{"volts": telemetry.Float(1)}
		},
	})
	if err == nil || !strings.Contains(err.Error(), `simulate m`) || !strings.Contains(err.Error(), "volts") {
		t.Errorf("got %v", err)
	}
}
