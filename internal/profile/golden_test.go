package profile_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// image puts hex bytes at addresses of a table.
func image(t testing.TB, table profile.Table, content map[uint16]string) profile.Image {
	t.Helper()
	im := profile.Image{table: {}}
	for a, s := range content {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		for len(b) > 0 {
			if table == profile.Bytes {
				im[table][a], b = uint16(b[0]), b[1:]
			} else {
				im[table][a], b = binary.BigEndian.Uint16(b), b[2:]
			}
			a++
		}
	}
	return im
}

// device answers reads from an image; what is not in it reads 0.
func device(im profile.Image) profile.ReadFunc {
	return func(_ context.Context, t profile.Table, a, n uint16) ([]byte, error) {
		im.Fill(profile.Range{Table: t, Address: a, Count: n})
		raw, ok := im.Read(t, a, n)
		if !ok {
			return nil, errIllegal
		}
		return raw, nil
	}
}

func everyName(p *profile.Profile) (names []string) {
	for i := range p.Points {
		names = append(names, p.Points[i].Name)
	}
	return names
}

func TestIdentityOfTheRainGauge(t *testing.T) {
	p := load(t, "dfrobot-sen0575")
	id, err := p.ReadIdentity(t.Context(), device(image(t, profile.Bytes, map[uint16]string{10: "0201"})))
	if err != nil || id.Firmware != "0102" {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestSDM630NeedsFewReads: 20 typical values in at most 5 reads, where one
// request a value would be 20; all values of the map in at most 7.
func TestSDM630NeedsFewReads(t *testing.T) {
	p := load(t, "eastron-sdm630")
	typical, err := p.Plan(profile.Options{Enable: []string{"active_energy_total", "reactive_energy_total"}})
	if err != nil || len(typical.Points()) != 20 || len(typical.Blocks) > 5 {
		t.Errorf("%d values in %d reads %v, %v", len(typical.Points()), len(typical.Blocks), typical.Blocks, err)
	}
	all, _ := p.Plan(profile.Options{Enable: everyName(p)})
	if len(all.Blocks) > 7 {
		t.Errorf("%d values in %d reads %v", len(all.Points()), len(all.Blocks), all.Blocks)
	}
	counters, _ := p.Plan(profile.Options{Counters: profile.OnlyCounters})
	if len(counters.Points()) != 4 || len(counters.Blocks) != 1 {
		t.Errorf("boundary batch: %d counters in %v", len(counters.Points()), counters.Blocks)
	}
	t.Logf("20 values: %v; %d values: %v", typical.Blocks, len(all.Points()), all.Blocks)
	if !p.Link.Even {
		t.Error("the meter refuses odd counts")
	}
	for _, b := range append(typical.Blocks, all.Blocks...) {
		if b.Count > 60 || b.Count%2 != 0 {
			t.Errorf("block %v: at most 60 registers and an even count", b)
		}
	}
}

// TestSimulatedDevicesDecode: what a simulator encodes comes back through the
// same profile.
func TestSimulatedDevicesDecode(t *testing.T) {
	for id, values := range map[string]map[string]float64{
		"eastron-sdm630":                  {"voltage_l1": 230.5, "active_power": -3000, "active_energy_import": 12345.5},
		"stiebel-isg-wpm":                 {"outdoor_temperature": -7.5, "volume_flow": 0.72, "thermal_energy_heating": 12777, "pressure": 165},
		"tuf2000m":                        {"volume": 100.75, "thermal_energy": 65538.125, "thermal_power": 250000},
		"dfrobot-sen0575":                 {"rainfall": 6.5537, "depth_per_tip": 0.2794},
		"generic-cn-rs485-raingauge":      {"rainfall": 25.3},
		"generic-rs485-level-transmitter": {"level": 1.234},
		"engelmann-sensostar":             {"thermal_energy_factor": 1, "thermal_energy": 4711},
	} {
		p := load(t, id)
		in := map[string]telemetry.Value{}
		for k, v := range values {
			in[k] = telemetry.Float(v)
		}
		im, err := p.Encode(in)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		plan, _ := p.Plan(profile.Options{Enable: everyName(p)})
		for _, r := range readAll(t, plan, device(im)) {
			want, given := values[r.Point]
			if got, ok := r.Value.AsFloat(); given && (!ok || got < want-0.02 || got > want+0.02) {
				t.Errorf("%s: %s %v became %v", id, r.Point, want, r.Value.Text())
			}
		}
	}
}

func TestCheckSteps(t *testing.T) {
	const head = `profile: x
version: 1
kind: heat_meter
vendor: v
model: m
confidence: low
sources: [s]
table: holding
link: {protocol: modbus, max_registers: 10}
points: [{name: a, quantity: voltage, address: 0, type: u16}]
match:
  - `
	read := device(image(t, profile.Holding, map[uint16]string{0: "12345A41 42330000 FFF6"}))
	for step, matches := range map[string]bool{
		"{address: 0, type: u16, mask: 0xFF00, equals: [0x1200]}":         true,
		"{address: 0, type: u16, equals: [0x1200]}":                       false,
		"{address: 0, type: u16, equals: [7, 4660]}":                      true,
		"{address: 1, type: string, length: 2, equals: [ZAB3]}":           true,
		"{address: 1, type: string, length: 2, equals: [ZAB]}":            false,
		"{address: 4, type: s16, between: [-11, -10]}":                    true,
		"{address: 4, type: s16, between: [-9, 0]}":                       false,
		"{address: 4, type: s16, equals: [-10]}":                          true,
		"{address: 0, type: u16, bits: {from: 4, count: 4}, equals: [3]}": true,
	} {
		p, err := profile.Parse("x.yaml", []byte(head+step+"\n"))
		if err != nil {
			t.Error(err)
			continue
		}
		if err := p.Check(t.Context(), read); errors.Is(err, profile.ErrNoMatch) == matches || (err == nil) != matches {
			t.Errorf("%s: %v, want a match: %v", step, err, matches)
		}
	}
	p := load(t, "eastron-sdm630")
	if err := p.Check(t.Context(), (&sunspecMap{}).read); err == nil || errors.Is(err, profile.ErrNoMatch) {
		t.Errorf("a device that does not answer: %v", err)
	}
}

func BenchmarkEncode(b *testing.B) {
	p := load(b, "eastron-sdm630")
	plan, _ := p.Plan(profile.Options{})
	in := map[string]telemetry.Value{}
	for _, pt := range plan.Points() {
		in[pt.Name] = telemetry.Float(230.517)
	}
	im := profile.Image{}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.EncodeInto(im, in); err != nil {
			b.Fatal(err)
		}
	}
}
