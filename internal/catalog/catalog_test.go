package catalog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/strictyaml"
)

func TestExample(t *testing.T) {
	c, err := Load("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, ok := c.Site("canal-1")
	if !ok || s.Zone.String() != "Asia/Shanghai" || s.Name.ZH != "运河办公楼" {
		t.Fatalf("site is %+v", s)
	}
	m, ok := s.Meter("e-main", Import)
	if !ok {
		t.Fatal("no meter e-main import")
	}
	for _, at := range []struct{ t, point string }{
		{"2026-02-28T15:59:59Z", ""}, // 1 March begins at 16:00 UTC
		{"2026-02-28T16:00:00Z", "active_energy_import_total"},
		{"2026-10-05T06:29:59Z", "active_energy_import_total"},
		{"2026-10-05T06:30:00Z", ""}, // the quarter hour of the exchange
		{"2026-10-05T06:45:00Z", "active_energy_import"},
		{"2036-01-01T00:00:00Z", "active_energy_import"},
	} {
		when, _ := time.Parse(time.RFC3339, at.t)
		src, ok := m.At(when)
		if src.Point.Point != at.point || ok != (at.point != "") {
			t.Errorf("at %s: %q, want %q", at.t, src.Point.Point, at.point)
		}
	}
	want := []Storage{{ID: "tank-1", Name: Name{"Retention tank", "调蓄池"}, Level: PointRef{"gw-1", "tank-level", "level"}, CapacityM3: 120}}
	if d := cmp.Diff(want, s.Storages); d != "" {
		t.Error(d)
	}
}

func TestCurrent(t *testing.T) {
	c, err := Load("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		site, gateway, device string
		want                  string
	}{
		{"canal-1", "gw-1", "meter-main", "canal-1/gw-1/meter-main"},
		{"canal-1", "raspi-old", "meter-main", "canal-1/gw-1/meter-main"},
		{"canal-1", "raspi-old", "", "canal-1/gw-1/"},
		{"canal-1", "gw-2", "", "//"},
		{"canal-2", "gw-1", "", "//"},
		{"canal-1", "gw-1", "nothing", "//"},
	} {
		s, g, d, _ := c.Current(tc.site, tc.gateway, tc.device)
		if got := s + "/" + g + "/" + d; got != tc.want {
			t.Errorf("%s/%s/%s: %s, want %s", tc.site, tc.gateway, tc.device, got, tc.want)
		}
	}
}

// TestBadFiles loads every *.bad.yaml and compares all messages with the
// "# want:" lines of the file, in order and complete.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad files", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(b)) {
				if w, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSuffix(w, "\n"))
				}
			}
			_, err = Parse(filepath.Base(path), b)
			var faults strictyaml.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v", err)
			}
			if d := cmp.Diff(want, strings.Split(faults.Error(), "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLoadFaults(t *testing.T) {
	if _, err := Load("testdata/nothere.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, make([]byte, MaxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("f.yaml", b)
		var faults strictyaml.Faults
		if err != nil {
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("an error without a fault: %v", err)
			}
			return
		}
		for _, s := range c.Sites {
			if s.ID == "" || s.Zone == nil {
				t.Fatalf("an incomplete site was accepted: %+v", s)
			}
			for _, m := range s.Meters {
				if len(m.Sources) == 0 || m.Channel.quantities() == nil {
					t.Fatalf("an incomplete meter was accepted: %+v", m)
				}
			}
		}
	})
}
