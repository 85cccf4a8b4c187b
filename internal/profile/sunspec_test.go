package profile_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// sunspecMap is the content of an inverter's holding registers.
type sunspecMap struct {
	words map[uint16]uint16
	next  uint16
}

func newSunspecMap(base uint16) *sunspecMap {
	m := &sunspecMap{words: map[uint16]uint16{base: 0x5375, base + 1: 0x6E53}, next: base + 2}
	return m
}

// model appends a model with its data registers.
func (m *sunspecMap) model(id uint16, data ...uint16) *sunspecMap {
	return m.header(id, uint16(len(data)), data...)
}

func (m *sunspecMap) header(id, length uint16, data ...uint16) *sunspecMap {
	for i, w := range append([]uint16{id, length}, data...) {
		m.words[m.next+uint16(i)] = w
	}
	m.next += 2 + length
	return m
}

var errIllegal = errors.New("illegal data address")

func (m *sunspecMap) read(_ context.Context, t profile.Table, a, n uint16) ([]byte, error) {
	if t != profile.Holding || n == 0 || n > 125 {
		return nil, fmt.Errorf("read of %d from %s", n, t)
	}
	var out []byte
	for i := range n {
		w, ok := m.words[a+i]
		if !ok {
			return nil, errIllegal
		}
		out = binary.BigEndian.AppendUint16(out, w)
	}
	return out, nil
}

func ascii(s string, registers int) []uint16 {
	b := make([]byte, 2*registers)
	copy(b, s)
	out := make([]uint16, registers)
	for i := range out {
		out[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return out
}

func commonModel(serial string) []uint16 {
	var d []uint16
	d = append(d, ascii("Fronius", 16)...)
	d = append(d, ascii("Symo 10.0-3-M", 16)...)
	d = append(d, ascii("", 8)...)
	d = append(d, ascii("3.30.2-1", 8)...)
	d = append(d, ascii(serial, 16)...)
	return append(d, 1, 0x8000) // unit id, pad: length 66
}

// inverter103 is model 103 by hand: 10 A, 230 V, 6.9 kW, 50 Hz, 12345.678 kWh.
func inverter103() []uint16 {
	return []uint16{
		1000, 333, 334, 333, 0xFFFE, // A 10.00, 3.33, 3.34, 3.33; sf -2
		4000, 4001, 3999, 2301, 2299, 2300, 0xFFFF, // V; sf -1
		690, 1, // W 690 × 10^1
		5001, 0xFFFE, // Hz 50.01
		690, 1, // VA
		0xFFFB, 1, // VAr -5 × 10 = -50
		0xFC3B, 0xFFFF, // PF -96.5 %
		0x00BC, 0x614E, 0, // WH 12345678; sf 0
		0xFFFF, 0x8000, // DCA not implemented, neither its sf
		6123, 0xFFFF, // DCV 612.3
		0x8000, 1, // DCW not available now, its sf is
		412, 0x8000, 0x8000, 0x8000, 0xFFFF, // TmpCab 41.2
		4, 0xFFFF, // St MPPT, StVnd not implemented
		0, 0, 0, 1, // Evt1 0, Evt2 1
		0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF,
	}
}

func TestDiscoverReadsAnInverterBehindAnUnknownModel(t *testing.T) {
	m := newSunspecMap(40000).model(1, commonModel("29123456")...)
	m.model(64900, 1, 2, 3) // a vendor's own model is skipped by its length
	m.model(103, inverter103()...).model(0xFFFF)
	p, err := profile.Discover(t.Context(), m.read)
	if err != nil {
		t.Fatal(err)
	}
	want := profile.Identity{Manufacturer: "Fronius", Model: "Symo 10.0-3-M", Serial: "29123456", Firmware: "3.30.2-1"}
	if diff := cmp.Diff(want, p.Found); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if w, _ := p.Point("active_power"); w.Address != 40000+2+68+5+14 || w.Exponent.Address != w.Address+1 {
		t.Errorf("active power at %d, scale factor at %d", w.Address, w.Exponent.Address)
	}
	plan, err := p.Plan(profile.Options{})
	if err != nil || len(plan.Blocks) != 1 {
		t.Fatalf("blocks %v, %v: one model is one read", plan.Blocks, err)
	}
	got := readAll(t, plan, m.read)
	values := map[string]string{}
	for _, r := range got {
		values[r.Point] = r.Quality.String() + " " + r.Value.Text()
		if err := r.Check(); err != nil {
			t.Error(err)
		}
	}
	for name, v := range map[string]string{
		"current": "good 10", "current_l2": "good 3.34", "voltage_l12": "good 400", "voltage_l3": "good 230",
		"active_power": "good 6900", "frequency": "good 50.01", "reactive_power": "good -50", "power_factor": "good -0.965",
		"active_energy_generation": "good 12345.678", "dc_voltage": "good 612.3", "dc_power": "bad ",
		"cabinet_temperature": "good 41.2", "status": "good 4", "event_1": "good 0", "event_2": "good 1",
	} {
		if values[name] != v {
			t.Errorf("%s: %q, want %q", name, values[name], v)
		}
	}
	for _, name := range []string{"dc_current", "vendor_status", "vendor_event_1", "heat_sink_temperature"} {
		if v, there := values[name]; there {
			t.Errorf("%s is read (%q) though the device does not implement it", name, v)
		}
	}
	for _, r := range got {
		if r.Point == "active_energy_generation" && !cmp.Equal(r.Raw, []byte{0, 0xBC, 0x61, 0x4E, 0, 0}) {
			t.Errorf("raw % x: want counter and scale factor", r.Raw)
		}
	}
}

// readAll reads the blocks of a plan and decodes them.
func readAll(t testing.TB, plan *profile.Plan, read profile.ReadFunc) []telemetry.Reading {
	t.Helper()
	var rs []profile.Result
	for _, b := range plan.Blocks {
		raw, err := read(context.Background(), b.Table, b.Address, b.Count)
		rs = append(rs, profile.Result{Block: b, Raw: raw, At: at, Err: err})
	}
	return plan.Decode(at, rs)
}

var at = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestDiscoverTakesThePhasesOfTheModel(t *testing.T) {
	for id, phases := range map[uint16]int{101: 1, 102: 2, 103: 3} {
		m := newSunspecMap(50000).model(1, commonModel("1")...).model(id, inverter103()...).model(0xFFFF)
		p, err := profile.Discover(t.Context(), m.read)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range p.Points {
			if strings.HasPrefix(p.Points[i].Name, "current_l") {
				n++
			}
		}
		if n != phases {
			t.Errorf("model %d has %d phase currents, want %d", id, n, phases)
		}
	}
}

// TestDiscoverLeavesOutWhatIsNeverThere: an inverter without line-to-line
// voltages has their scale factor, for its phase voltages. By day that is
// plain; at night, when nothing is measured, nothing is given up.
func TestDiscoverLeavesOutWhatIsNeverThere(t *testing.T) {
	noLines := inverter103()
	noLines[5], noLines[6], noLines[7] = 0xFFFF, 0xFFFF, 0xFFFF
	oneLine := inverter103()
	oneLine[6] = 0xFFFF
	night := inverter103()
	for _, i := range []int{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 14, 25, 27} {
		night[i] = 0xFFFF // currents, voltages, frequency
	}
	for _, i := range []int{12, 16, 18, 20, 29, 31} {
		night[i] = 0x8000 // powers, temperature
	}
	dead := append([]uint16(nil), night...)
	dead[11] = 0x8000 // nor a scale factor of voltages
	for name, c := range map[string]struct {
		data            []uint16
		lines, dcPower  bool
		second, cabinet bool
	}{
		"all there":               {inverter103(), true, true, true, true},
		"no line voltages":        {noLines, false, true, false, true},
		"one line voltage absent": {oneLine, true, true, false, true},
		"night":                   {night, true, true, true, true},
		"no scale factor":         {dead, false, true, false, true},
	} {
		m := newSunspecMap(40000).model(1, commonModel("1")...).model(103, c.data...).model(0xFFFF)
		p, err := profile.Discover(t.Context(), m.read)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for point, want := range map[string]bool{
			"voltage_l12": c.lines, "voltage_l31": c.lines, "voltage_l23": c.second, "dc_power": c.dcPower,
			"voltage_l1": true, "active_energy_generation": true, "cabinet_temperature": c.cabinet,
		} {
			if pt, _ := p.Point(point); pt.Enabled != want {
				t.Errorf("%s: %s is enabled: %v, want %v", name, point, pt.Enabled, want)
			}
		}
	}
}

func TestEnergyOfZeroIsNotAvailable(t *testing.T) {
	data := inverter103()
	data[22], data[23] = 0, 0
	m := newSunspecMap(0).model(1, commonModel("1")...).model(103, data...).model(0xFFFF)
	p, err := profile.Discover(t.Context(), m.read)
	if err != nil {
		t.Fatal(err)
	}
	plan, _ := p.Plan(profile.Options{Counters: profile.OnlyCounters})
	for _, r := range readAll(t, plan, m.read) {
		if r.Quality != telemetry.Bad || !r.Value.IsZero() || len(r.Raw) != 6 {
			t.Errorf("an accumulator of 0 gave %+v, want bad with raw", r)
		}
	}
}

func TestDiscoverRefusesBrokenMaps(t *testing.T) {
	full := func() *sunspecMap { return newSunspecMap(40000).model(1, commonModel("1")...) }
	endless := full()
	for range 200 {
		endless.model(64001, 0)
	}
	past := newSunspecMap(40000).model(1, commonModel("1")...).header(64001, 25000)
	past.header(64002, 25000)
	for name, c := range map[string]struct {
		read profile.ReadFunc
		want string
	}{
		"no mark":          {(&sunspecMap{words: map[uint16]uint16{0: 1, 1: 2}}).read, "no SunSpec map"},
		"nothing answers":  {(&sunspecMap{}).read, "illegal data address"},
		"first not common": {newSunspecMap(40000).model(103, inverter103()...).read, "starts with model 103"},
		"length 0":         {full().header(103, 0).read, "model 103 at 40070 has length 0"},
		"id 0":             {full().header(0, 5).read, "chain is broken"},
		"torn chain":       {full().read, "read model header"},
		"endless":          {endless.read, "more than 128 models"},
		"past the end":     {past.read, "past register 65535"},
		"measures nothing": {full().model(64001, 1).model(0xFFFF).read, "is known to measure anything"},
	} {
		p, err := profile.Discover(t.Context(), c.read)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error with %q", name, p, err, c.want)
		}
	}
}

func TestDiscoverWithoutEndModelAndWithSecondDevice(t *testing.T) {
	open := newSunspecMap(40000).model(1, commonModel("1")...).model(103, inverter103()...)
	if _, err := profile.Discover(t.Context(), open.read); err != nil {
		t.Errorf("a map without end model: %v", err)
	}
	two := newSunspecMap(40000).model(1, commonModel("1")...).model(103, inverter103()...)
	two.model(1, commonModel("2")...).model(101, inverter103()...).model(0xFFFF)
	p, err := profile.Discover(t.Context(), two.read)
	if err != nil || p.Found.Serial != "1" {
		t.Fatalf("%v, %v", p, err)
	}
	for _, a := range p.Areas {
		if a.From > 40000+2+68+52 {
			t.Errorf("area %+v belongs to the second device", a)
		}
	}
}

func TestDiscoverEndsWhenTheContextDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := profile.Discover(ctx, func(ctx context.Context, _ profile.Table, _, _ uint16) ([]byte, error) { return nil, ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzSunSpecWalk(f *testing.F) {
	var seed []byte
	for _, w := range append([]uint16{1, 66}, append(commonModel("1"), append([]uint16{103, 50}, inverter103()...)...)...) {
		seed = binary.BigEndian.AppendUint16(seed, w)
	}
	f.Add(seed, uint16(0))
	f.Add(seed[:150], uint16(7))
	f.Fuzz(func(t *testing.T, data []byte, fill uint16) {
		reads := 0
		p, err := profile.Discover(context.Background(), func(_ context.Context, _ profile.Table, a, n uint16) ([]byte, error) {
			if reads++; reads > 1000 {
				t.Fatal("more than 1000 reads")
			}
			if n == 0 || n > 125 || int(a)+int(n) > 65536 {
				t.Fatalf("read of %d from %d", n, a)
			}
			m := sunspecMap{words: map[uint16]uint16{40000: 0x5375, 40001: 0x6E53}}
			for i := range n {
				at := a + i
				if at >= 40002 {
					k := 2 * int(at-40002)
					m.words[at] = fill
					if k+1 < len(data) {
						m.words[at] = binary.BigEndian.Uint16(data[k:])
					}
				}
			}
			return m.read(context.Background(), profile.Holding, a, n)
		})
		if err == nil && len(p.Points) == 0 {
			t.Fatal("a profile without points")
		}
	})
}

func TestSecondModelOfAKindHasNamesOfItsOwn(t *testing.T) {
	m := newSunspecMap(40000).model(1, commonModel("1")...).model(103, inverter103()...).model(103, inverter103()...).model(0xFFFF)
	p, err := profile.Discover(t.Context(), m.read)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := p.Point("active_power")
	b, ok := p.Point("active_power_2")
	if !ok || b.Address != a.Address+52 {
		t.Errorf("%+v, %+v", a, b)
	}
}
