package edge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBadConfigs loads every testdata/*.bad.yaml and compares all faults with
// the lines "# want LINE: key: sentence" at its head.
func TestBadConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad configs: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for line := range strings.Lines(string(text)) {
				if w, ok := strings.CutPrefix(line, "# want "); ok {
					want[fmt.Sprintf("%s:%s", path, strings.TrimSpace(w))] = true
				}
			}
			_, err = Load(path)
			if err == nil {
				t.Fatal("accepted")
			}
			got := map[string]bool{}
			for line := range strings.Lines(err.Error()) {
				got[strings.TrimSpace(line)] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGoodConfig(t *testing.T) {
	got, err := Load("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Gateway: "gw-east", Site: "tongzhou-1", StateDir: "testdata/state",
		KeyFile: "/etc/yunhe-edge/gateway.key", ProfileDir: "testdata/profiles",
		Broker: Broker{URL: "mqtts://broker.example:8883", ClientID: "gw-east", User: "gw-east",
			PasswordFile: "testdata/secrets/password", CAFile: "testdata/ca.pem"},
		Link:    Link{Kind: Metered, Batch: 15 * time.Minute, Deadband: 0, MaxRows: DefaultMaxRows},
		Journal: Journal{MaxSize: 1 << 30, Floor: DefaultFloor, Sync: 0},
		Poll:    Poll{Fast: 5 * time.Minute, Slow: 5 * time.Minute},
		Control: Control{Socket: "testdata/state/control.sock"},
		Buses: []Bus{{ID: "meters", Address: "rtu:///dev/ttyUSB0?baud=19200&parity=even"},
			{ID: "rain", Address: "i2c:/dev/i2c-1"}},
		Devices: []Device{
			{ID: "main-meter", Profile: "eastron-sdm630", Bus: "meters", Unit: 16, Points: []string{"active_power"},
				Fast: time.Minute, Slow: 5 * time.Minute},
			{ID: "rain-1", Profile: "dfrobot-sen0575", Bus: "rain", I2CAddress: 0x1d,
				Fast: 5 * time.Minute, Slow: 5 * time.Minute},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("what Load accepts, Validate refuses: %v", err)
	}
}

// A config built by a program is told the same faults, without lines.
func TestValidate(t *testing.T) {
	err := Config{Gateway: "gw", Site: "s", StateDir: "x"}.WithDefaults().Validate()
	if err == nil || !strings.Contains(err.Error(), "buses: is missing; give at least one bus\n") {
		t.Errorf("got %v", err)
	}
}

// One device under two names would be counted twice; one unit read by two
// profiles is two devices.
func TestSameDeviceTwice(t *testing.T) {
	cfg := Config{Gateway: "gw", Site: "s", StateDir: "x", Broker: Broker{URL: "mqtt://b:1"},
		Buses: []Bus{{ID: "a", Address: "tcp://h:502"}},
		Devices: []Device{{ID: "m", Profile: "sunspec", Bus: "a", Unit: 1}, {ID: "n", Profile: "eastron-sdm630", Bus: "a", Unit: 1},
			{ID: "o", Profile: "sunspec", Bus: "a", Unit: 2}},
	}.WithDefaults()
	if err := cfg.Validate(); err != nil {
		t.Errorf("refused: %v", err)
	}
	cfg.Devices[2].Unit = 1
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "devices[2]: reads what m reads") {
		t.Errorf("one device under two names: %v", err)
	}
}

func TestPeriods(t *testing.T) {
	for d, good := range map[time.Duration]bool{
		100 * time.Millisecond: true, time.Second: true, 10 * time.Second: true, 5 * time.Minute: true,
		15 * time.Minute: true, time.Hour: true, 24 * time.Hour: true,
		0: false, 7 * time.Second: false, 20 * time.Minute: false, 25 * time.Minute: false,
		5 * time.Hour: false, 48 * time.Hour: false, 40 * time.Minute: false,
	} {
		var fault string
		checkPeriod(func(_, format string, args ...any) { fault = fmt.Sprintf(format, args...) }, "k", d)
		if good != (fault == "") {
			t.Errorf("%s: fault %q", d, fault)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"testdata/good.yaml", "testdata/all.bad.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f.yaml", text)
		if err == nil && c.Validate() != nil {
			t.Errorf("Parse accepts what Validate refuses: %v", c.Validate())
		}
	})
}

// Every example loads, finds its profiles and can be planned.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../firmware-config/gateways/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("examples: %v %v", files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cfg, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Plan(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range p.Buses {
				for _, d := range b.Devices {
					t.Logf("%s: %d points in %d reads, %.0f ms, bus %.1f %%, %.2f MB a month %s", d.ID, d.Points, len(d.Reads), d.CycleMs, 100*b.Load, d.MonthMB, d.Note)
					if d.Note == "" && (d.Points == 0 || len(d.Reads) == 0 || d.CycleMs <= 0 || d.MonthMB <= 0) {
						t.Errorf("%s: nothing planned: %+v", d.ID, d)
					}
				}
				if b.Load > 0.5 {
					t.Errorf("bus %s is busy %.0f %% of the time", b.ID, 100*b.Load)
				}
			}
			t.Logf("%.2f MB a month", p.MonthMB)
			if cfg.Link.Kind == Metered && p.MonthMB > 10 {
				t.Errorf("the metered example costs %.1f MB a month, want at most 10", p.MonthMB)
			}
		})
	}
}

// A meter of twenty values and the fewest reads: the goals of a metered link
// and of a cycle.
func TestPlanGoals(t *testing.T) {
	cfg, err := Load("../firmware-config/gateways/metered.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Devices[0].Points = []string{"voltage_l1", "voltage_l2", "voltage_l3", "current_l1", "current_l2", "current_l3",
		"active_power_l1", "active_power_l2", "active_power_l3", "active_power", "apparent_power", "reactive_power",
		"power_factor", "frequency", "phase_angle", "current_sum",
		"active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export"}
	p, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := p.Buses[0].Devices[0]
	t.Logf("20 values: %d reads, %.2f MB a month", len(d.Reads), p.MonthMB)
	if d.Points != 20 || len(d.Reads) > 5 || p.MonthMB > 10 {
		t.Errorf("%d points in %d reads, %.2f MB a month; want 20, at most 5, at most 10", d.Points, len(d.Reads), p.MonthMB)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Gateway: "gw", Site: "s", StateDir: filepath.Join(dir, "state", "deep"),
		Broker: Broker{URL: "mqtts://b:8883", User: "u", PasswordFile: password, CAFile: password},
		Buses:  []Bus{{ID: "a", Address: "rtu:///dev/no-such-port"}},
		Devices: []Device{{ID: "m", Profile: "eastron-sdm630", Bus: "a", Unit: 1},
			{ID: "n", Profile: "no-such-profile", Bus: "a", Unit: 2},
			{ID: "o", Profile: "dfrobot-sen0575", Bus: "a", Unit: 3},
			{ID: "p", Profile: "eastron-sdm630", Bus: "a", Unit: 4, Points: []string{"no_such_point"}}},
	}
	findings, ok := Check(cfg)
	if ok {
		t.Error("found in order")
	}
	want := map[string]string{
		"device n": "there is no profile", "device o": "speaks i2c", "device p": "no_such_point",
		"password": "chmod 600", "CA": "holds no PEM certificate", "bus a": "does not exist",
		"config": "", "state directory": "", "key": "", "device m": "",
	}
	for prefix, text := range want {
		found := false
		for _, f := range findings {
			if strings.HasPrefix(f.What, prefix) {
				found = true
				if (text == "") != (f.Fault == "") || !strings.Contains(f.Fault, text) {
					t.Errorf("%s: %q, want %q", f.What, f.Fault, text)
				}
			}
		}
		if !found {
			t.Errorf("nothing was said about %s", prefix)
		}
	}
}
