package profile_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// TestRegistersToReadings: for each profile registers written down from its
// vendor's document and what they must read, raw bytes of counters included.
// A dash is a reading without value.
//
// Every point of every embedded profile is among them with a value that is
// neither 0 nor missing, so that a wrong address or scale shows.
func TestRegistersToReadings(t *testing.T) {
	proven := map[string]map[string]bool{}
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
		{"eastron-sdm630", profile.Input, map[uint16]string{ // what differs by phase, and the rest
			0: "43658000", 8: "40C00000", 10: "40F00000", // 229.5 V, 6 A, 7.5 A
			14: "C4480000", 16: "44160000", 18: "44960000", 20: "444E4000", 22: "44200000", // -800, 600 W, 1200, 825, 640 VA
			24: "C2B40000", 26: "42F10000", 28: "42040000", 30: "BF000000", 32: "3F400000", 34: "3F600000", // var, factors
			36: "41A00000", 38: "C1F00000", 40: "41780000", 42: "43664000", 70: "42470000", // degrees, 230.25 V, 49.75 Hz
			76: "429A8000", 78: "42B10000", 202: "43C8C000", 204: "43C78000", // 77.25, 88.5 kvarh, 401.5, 399 V
			236: "3FC00000", 238: "3FE00000", 240: "41000000", 242: "41180000",
			348: "45802000", 350: "45834400", 352: "3FA00000", 354: "40200000",
		}, map[string]string{
			"current_l2": "6", "current_l3": "7.5", "active_power_l2": "-800", "active_power_l3": "600",
			"apparent_power_l1": "1200", "apparent_power_l2": "825", "apparent_power_l3": "640",
			"reactive_power_l1": "-90", "reactive_power_l2": "120.5", "reactive_power_l3": "33",
			"power_factor_l1": "-0.5", "power_factor_l2": "0.75", "power_factor_l3": "0.875",
			"phase_angle_l1": "20", "phase_angle_l2": "-30", "phase_angle_l3": "15.5", "voltage_ln_avg": "230.25", "frequency": "49.75",
			"reactive_energy_import": "77.25 raw 429a8000", "reactive_energy_export": "88.5 raw 42b10000",
			"voltage_l23": "401.5", "voltage_l31": "399", "thd_voltage_l2": "1.5", "thd_voltage_l3": "1.75",
			"thd_current_l1": "8", "thd_current_l2": "9.5",
			"active_energy_import_l2": "4100 raw 45802000", "active_energy_import_l3": "4200.5 raw 45834400",
			"active_energy_export_l1": "1.25 raw 3fa00000", "active_energy_export_l2": "2.5 raw 40200000",
		}},
		{"stiebel-isg-wpm", profile.Input, map[uint16]string{ // in summer, a second circuit, a WPM 3
			507: "00F1", 510: "00DC 00E6", 513: "0163", 518: "0186", 522: "01F4", 541: "0127 0145",
			2500: "03A0", 2503: "0003", 3503: "0009 0001 0000", 3508: "02BC 0003", 3510: "0005", 3513: "0006 0064 0002",
			3517: "0123 0456", 5001: "0186",
		}, map[string]string{
			"hc1_temperature": "24.1", "hc2_temperature": "22", "hc2_setpoint": "23", "supply_temperature_aux": "35.5",
			"buffer_setpoint": "39", "dhw_setpoint": "50", "hp1_return_temperature": "29.5", "hp1_supply_temperature": "32.5",
			"heating_active": "false", "hot_water_active": "true", "compressor_active": "false", "summer_active": "true",
			"cooling_active": "true", "defrost_active": "true", "error_status": "3",
			"thermal_energy_dhw_day": "9 raw 0009", "thermal_energy_dhw": "1 raw 00010000", "thermal_energy_aux_dhw": "3700 raw 02bc0003",
			"active_energy_heating_day": "5 raw 0005", "active_energy_dhw_day": "6 raw 0006", "active_energy_dhw": "2100 raw 00640002",
			"operating_time_dhw": "291 raw 0123", "operating_time_cooling": "1110 raw 0456",
		}},
		{"tuf2000m", profile.Holding, map[uint16]string{1436: "0004"}, map[string]string{"flow_unit": "4"}},
		{"engelmann-sensostar", profile.Input, map[uint16]string{
			14: "00000064 0064 6B576820 461C4000", // 100 × 100 kWh, 10000 kWh
		}, map[string]string{
			"thermal_energy_tariff_1": "10000 raw 000000646b5768200064", "thermal_energy_tariff_1_factor": "100",
			"thermal_energy_tariff_1_f32": "10000 raw 461c40006b576820",
		}},
		{"generic-cn-rs485-raingauge", profile.Holding, map[uint16]string{2: "0FA0"}, map[string]string{"rainfall_3": "400 raw 0fa0"}},
		{"generic-rs485-level-transmitter", profile.Holding, map[uint16]string{
			0: "0001 0003 0008 0002 04D2 FE0C 1388", // mm of water, two decimals
		}, map[string]string{"level": "0.01234", "range_zero": "-0.005", "range_full": "0.05"}},
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
			"thermal_energy_f32": "12345 raw 4640e4006b576820", "thermal_energy_cooling_factor": "1", "thermal_energy_cooling_unit": "MWh",
			"thermal_energy_cooling":     "3000 raw 000000034d5768000001",
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
		if proven[c.id] == nil {
			proven[c.id] = map[string]bool{}
		}
		for name, want := range c.want {
			if got[name] != want {
				t.Errorf("%s: %s is %q, want %q", c.id, name, got[name], want)
			}
			if v, _, _ := strings.Cut(want, " raw"); v != "-" && v != "0" && v != "false" {
				proven[c.id][name] = true
			}
		}
		if err := p.Check(t.Context(), read); err != nil && c.id != "tuf2000m" {
			t.Errorf("%s: its own registers do not match: %v", c.id, err)
		}
		if err := p.Check(t.Context(), device(image(t, c.table, nil))); len(p.Match) > 0 && !errors.Is(err, profile.ErrNoMatch) {
			t.Errorf("%s: a device of zeros matches: %v", c.id, err)
		}
	}
	files, err := firmwareconfig.Profiles.ReadDir("profiles")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		id := strings.TrimSuffix(f.Name(), ".yaml")
		for _, name := range everyName(load(t, id)) {
			if !proven[id][name] {
				t.Errorf("%s: no hand-worked register for %s", id, name)
			}
		}
	}
}
