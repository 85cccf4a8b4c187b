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

// TestRegistersToReadings: for each profile registers written down from its
// vendor's document and what they must read, raw bytes of counters included.
// A dash is a reading without value.
func TestRegistersToReadings(t *testing.T) {
	for _, c := range []struct {
		id    string
		table profile.Table
		words map[uint16]string
		want  map[string]string
	}{
		{"eastron-sdm630", profile.Input, map[uint16]string{
			0: "43668000", 2: "43660000", 4: "43670000", // 230.5, 230, 231 V
			6: "40A00000", 12: "C4BB8800", // 5 A, -1500.25 W
			46: "3F800000", 48: "41700000", // 1 A, 15 A
			52: "C53B8000", 56: "453B8000", 60: "C2C80000", 62: "BF7AE148", // -3000 W, 3000 VA, -100 var, about -0.98
			66: "41200000", 70: "42480000", // 10 degrees, 50 Hz
			72: "4640E600", 74: "3F000000", 76: "00000000", 78: "7FC00000", 80: "42C80000", // 12345.5 kWh, 0.5, 0, NaN, 100
			84: "447A0000", 86: "44FA0000", // 1000 W, 2000 W
			200: "43C80000", 206: "43C88000", 224: "3DCCCCCD", 234: "40200000", 244: "41480000",
			342: "4640E800", 344: "41200000", 346: "457A0000", 356: "3E800000", 384: "40000000", 388: "40400000", 390: "40800000",
		}, map[string]string{
			"voltage_l1": "230.5", "voltage_l2": "230", "voltage_l3": "231", "current_l1": "5", "current_l2": "0",
			"active_power_l1": "-1500.25", "current_avg": "1", "current_sum": "15", "active_power": "-3000", "apparent_power": "3000",
			"reactive_power": "-100", "power_factor": "-0.9800000190734863", "phase_angle": "10", "frequency": "50",
			"active_energy_import": "12345.5 raw 4640e600", "active_energy_export": "0.5 raw 3f000000",
			"reactive_energy_import": "0 raw 00000000", "reactive_energy_export": "- raw 7fc00000", "apparent_energy": "100 raw 42c80000",
			"active_power_demand": "1000", "active_power_demand_max": "2000", "voltage_l12": "400", "voltage_ll_avg": "401",
			"current_n": "0.10000000149011612", "thd_voltage_l1": "2.5", "thd_current_l3": "12.5",
			"active_energy_total": "12346 raw 4640e800", "reactive_energy_total": "10 raw 41200000",
			"active_energy_import_l1": "4000 raw 457a0000", "active_energy_export_l3": "0.25 raw 3e800000",
			"active_energy_total_resettable": "2 raw 40000000", "active_energy_import_resettable": "3 raw 40400000",
			"active_energy_export_resettable": "4 raw 40800000",
		}},
		{"stiebel-isg-wpm", profile.Input, map[uint16]string{
			506: "FFB5 8000 0113", // -7.5 °C outside, circuit 1 absent, setpoint 27.5
			512: "015E", 514: "0168", 515: "0122", 517: "0190", 519: "00A5", 520: "04B0", 521: "01E0", 535: "FFE7", 543: "02F3",
			2500: "0050", 2501: "0001", 2503: "8000", 2506: "0011",
			3500: "0011 0309 000C", 3503: "8000 03E7 0001", 3506: "0001 0000", 3508: "8000 0002", 3510: "0004 00FA 0003",
			3513: "0002 0001 8000", 3516: "FFFF", 3517: "8000", 5000: "0002", 5001: "01C1",
		}, map[string]string{
			"outdoor_temperature": "-7.5", "hc1_temperature": "- raw 8000", "hc1_setpoint": "27.5", "supply_temperature_heatpump": "35",
			"supply_temperature": "36", "return_temperature": "29", "buffer_temperature": "40", "pressure": "165", "volume_flow": "0.72",
			"dhw_temperature": "48", "source_temperature": "-2.5", "hp1_hot_gas_temperature": "75.5",
			"status": "80", "heating_active": "true", "hot_water_active": "false", "compressor_active": "true", "defrost_active": "false",
			"power_off_state": "1", "error_status": "- raw 8000", "active_error": "17",
			"thermal_energy_heating_day": "17 raw 0011", "thermal_energy_heating": "12777 raw 0309000c",
			"thermal_energy_dhw_day": "- raw 8000", "thermal_energy_dhw": "1999 raw 03e70001",
			"thermal_energy_aux_heating": "1 raw 00010000", "thermal_energy_aux_dhw": "- raw 80000002",
			"active_energy_heating": "3250 raw 00fa0003", "active_energy_dhw": "- raw 00018000",
			"operating_time_heating": "65535 raw ffff", "operating_time_dhw": "- raw 8000", "sg_ready_state": "2",
		}},
		{"tuf2000m", profile.Holding, map[uint16]string{
			0: "806B 4212", 2: "0000 3E80", // 36.6 m3/h, 0.25 GJ/h
			4: "0000 BF80", 6: "4000 44B9", // -1 m/s, 1482 m/s
			8: "0064 0000 0000 3F40", 12: "FFFF FFFF 0000 BF00", // 100.75 m3; -1 and -0.5
			16: "0002 0001 0000 3E00", 32: "0000 4296", 34: "CCCD 4246", // 65538.125 kWh; 75, 49.7 °C
			71: "8001", 91: "1260 0305 0306", 102: "0001 0002", 1436: "0000 0003",
		}, map[string]string{
			"volume_flow": "36.62540817260742", "thermal_power": "69444.44444444444", "velocity": "-1", "sound_speed": "1482",
			"volume": "100.75 raw 0064000000003f40", "volume_reverse": "-1.5 raw ffffffff0000bf00",
			"thermal_energy": "65538.125 raw 0002000100003e00", "supply_temperature": "75", "return_temperature": "49.70000076293945",
			"error_bits": "32769", "signal_quality": "96", "signal_upstream": "773", "signal_downstream": "774",
			"working_seconds": "131073", "flow_unit": "0", "totalizer_unit": "3",
		}},
		{"engelmann-sensostar", profile.Input, map[uint16]string{
			0:  "000004D2 000A 6B576820 4640E400", // 1234 × 10 kWh, 12345 kWh
			7:  "00000003 0001 4D576800 40400000", // 3 × 1 MWh, 3 MWh
			14: "00000001 0001 474A2020 3F800000", // 1 GJ: no decimal factor
		}, map[string]string{
			"thermal_energy": "12340 raw 000004d26b576820000a", "thermal_energy_factor": "10", "thermal_energy_unit": "kWh",
			"thermal_energy_f32": "12345 raw 4640e4006b576820", "thermal_energy_cooling": "3000 raw 000000034d5768000001",
			"thermal_energy_cooling_f32": "3000 raw 404000004d576800", "thermal_energy_tariff_1": "- raw 00000001474a20200001",
			"thermal_energy_tariff_1_f32": "- raw 3f800000474a2020",
		}},
		{"dfrobot-sen0575", profile.Bytes, map[uint16]string{
			0: "C0004373", 10: "0201", 12: "D6150000", 16: "01000100", 20: "0A000000", 24: "FFFF", 38: "18", 40: "EA0A",
		}, map[string]string{
			"bucket_tips": "10 raw 0a000000", "rainfall": "6.5537 raw 01000100", "working_time": "65535 raw ffff",
			"rainfall_window": "0.559", "depth_per_tip": "0.2794", "window_hours": "24",
		}},
		{"generic-cn-rs485-raingauge", profile.Holding, map[uint16]string{0: "00FD FFFF 0000"}, map[string]string{
			"rainfall": "25.3 raw 00fd", "rainfall_2": "6553.5 raw ffff", "rainfall_3": "0 raw 0000",
		}},
		{"generic-rs485-level-transmitter", profile.Holding, map[uint16]string{
			0: "0001 0003 0007 0003 04D2 0000 1388", 12: "FFF6",
		}, map[string]string{
			"level": "1.234", "pressure": "- raw 04d200030007", "unit_code": "7", "decimals": "3", "unit_id": "1", "baud_code": "3",
			"range_zero": "0", "range_full": "5", "zero_offset": "-0.01",
		}},
		{"generic-rs485-level-transmitter", profile.Holding, map[uint16]string{0: "0001 0003 0004 0001 FF9C"}, map[string]string{
			"level": "- raw ff9c00010004", "pressure": "-1",
		}},
	} {
		p := load(t, c.id)
		read := device(image(t, c.table, c.words))
		got := map[string]string{}
		plan, err := p.Plan(profile.Options{Enable: everyName(p)})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range readAll(t, plan, read) {
			s := r.Value.Text()
			if r.Quality == telemetry.Bad {
				s = "-"
			}
			if r.Raw != nil {
				s += " raw " + hex.EncodeToString(r.Raw)
			}
			got[r.Point] = s
		}
		for name, want := range c.want {
			if got[name] != want {
				t.Errorf("%s: %s is %q, want %q", c.id, name, got[name], want)
			}
		}
		if err := p.Check(t.Context(), read); err != nil && c.id != "tuf2000m" {
			t.Errorf("%s: its own registers do not match: %v", c.id, err)
		}
		if err := p.Check(t.Context(), device(image(t, c.table, nil))); len(p.Match) > 0 && !errors.Is(err, profile.ErrNoMatch) {
			t.Errorf("%s: a device of zeros matches: %v", c.id, err)
		}
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
