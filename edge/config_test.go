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
