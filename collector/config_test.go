package collector

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

func TestLoad(t *testing.T) {
	path := filepath.Join("testdata", "collector.yaml")
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join("testdata", name) }
	want := Config{
		Host: "collector-1", Sites: []string{"tongzhou", "majuqiao"}, StateDir: in("state"), KeysFile: in("state/keys.yaml"), Queue: 8192, QueueBytes: 64 << 20,
		Broker: Broker{URL: "mqtts://broker.example:8883", ClientID: "yunhe-collector-1", User: "collector",
			PasswordFile: in("secrets/broker"), CAFile: in("secrets/ca.pem")},
		Series:     Series{Kind: SeriesInflux, URL: "http://127.0.0.1:8086", Org: "yunhe", Bucket: "readings", TokenFile: in("secrets/influx")},
		Evidence:   Evidence{RawRetention: 400 * 24 * time.Hour},
		Flush:      Flush{Entries: 500, Interval: 50 * time.Millisecond},
		Quarantine: Quarantine{MaxBytes: 256 << 20, MaxEntries: 20000},
		Records:    Records{Listen: "127.0.0.1:8091", TokenFile: in("secrets/records")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestDefaults: a file of the needed keys alone equals the full one where
// that shows the defaults.
func TestDefaults(t *testing.T) {
	full, err := Load(filepath.Join("testdata", "collector.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("c.yaml", []byte("host: collector-1\nsites: [tongzhou]\nstate_dir: /s\nbroker: {url: mqtt://h:1883}\nseries: {kind: sqlite}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Queue != full.Queue || got.QueueBytes != full.QueueBytes || got.Flush != full.Flush || got.Evidence != full.Evidence || got.Quarantine != full.Quarantine || got.Broker.ClientID != full.Broker.ClientID {
		t.Errorf("defaults %+v", got)
	}
	if got.KeysFile != "/s/keys.yaml" || got.Series.Path != "/s/series.db" {
		t.Errorf("paths %+v", got)
	}
}

// TestBadFiles: every *.bad.yaml names its faults in *.bad.txt, all of them at
// once, each with file, line and key.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.bad.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no bad files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(filepath.Base(file), b)
			if err == nil {
				t.Fatal("accepted")
			}
			var all strictyaml.Faults
			if !errors.As(err, &all) {
				t.Errorf("%T is no list of faults", err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			want, readErr := os.ReadFile(golden)
			if readErr != nil {
				t.Fatalf("%v; the faults are:\n%s", readErr, err)
			}
			if d := cmp.Diff(string(want), err.Error()+"\n"); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestValidateNeedsNoFile(t *testing.T) {
	err := Config{}.WithDefaults().Validate()
	if err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("an empty config gives %v", err)
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "collector.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("a: [1, {b: c}]\n---\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("c.yaml", b)
		if err == nil && c.Validate() != nil {
			t.Error("accepted and not valid")
		}
	})
}
