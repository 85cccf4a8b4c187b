package clock

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"yunhe/internal/telemetry"
)

func TestState(t *testing.T) {
	ms := time.Millisecond
	for name, tt := range map[string]struct {
		facts  facts
		want   telemetry.ClockState
		offset time.Duration // -1: unknown
	}{
		"disciplined":             {facts{synchronised: true, wasInBoot: true, plausible: true, maxError: 12 * ms}, 'S', 12 * ms},
		"free after discipline":   {facts{wasInBoot: true, plausible: true, rtc: true, maxError: 900 * ms}, 'R', 900 * ms},
		"free for long":           {facts{wasInBoot: true, plausible: true, maxError: 16 * time.Second}, 'R', -1},
		"real-time clock only":    {facts{rtc: true, plausible: true, maxError: 16 * time.Second}, 'I', -1},
		"no real-time clock":      {facts{plausible: true}, 'U', -1},
		"1970 with a clock":       {facts{rtc: true}, 'U', -1},
		"1970 and kernel says ok": {facts{rtc: true, synchronised: true, wasInBoot: true}, 'U', -1},
		"adjtimex refused":        {facts{wasInBoot: true, plausible: true, maxError: -1}, 'R', -1},
	} {
		t.Run(name, func(t *testing.T) {
			state, offset := tt.facts.state()
			got := time.Duration(-1)
			if offset != nil {
				got = *offset
			}
			if state != tt.want || got != tt.offset {
				t.Errorf("state %s offset %s, want %s %s", state, got, tt.want, tt.offset)
			}
		})
	}
}

func TestStepDetector(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	type at struct {
		wall, mono time.Duration
		stepped    bool
	}
	for name, tt := range map[string][]at{
		"steady":                  {{0, 0, false}, {time.Second, time.Second, false}, {time.Hour, time.Hour, false}},
		"forward":                 {{0, 0, false}, {time.Hour, time.Second, true}, {time.Hour + time.Second, 2 * time.Second, false}},
		"backward":                {{0, 0, false}, {-time.Second, time.Second, true}},
		"slewed":                  {{0, 0, false}, {65 * time.Minute, time.Hour, false}},
		"late goroutine":          {{0, 0, false}, {time.Second + 300*time.Millisecond, time.Second, false}},
		"monotonic of a new boot": {{0, time.Hour, false}, {time.Hour, time.Second, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var d StepDetector
			for i, a := range tt {
				step, ok := d.Observe(start.Add(a.wall), a.mono)
				if ok != a.stepped {
					t.Fatalf("observation %d: stepped %v, want %v (%v)", i, ok, a.stepped, step)
				}
				if ok && !step.To.Equal(start.Add(a.wall)) {
					t.Errorf("step to %s, want %s", step.To, start.Add(a.wall))
				}
			}
		})
	}
}

// Times of the machine carry a monotonic reading, which neither a step of the
// wall clock nor the sleep of the machine moves; Sub would prefer it. Such a
// time cannot be made in a test, so this looks at what is compared.
func TestStepDetectorReadsTheWall(t *testing.T) {
	var d StepDetector
	if _, stepped := d.Observe(time.Now(), 0); stepped || d.wall != d.wall.Round(0) {
		t.Errorf("%s is compared with its monotonic reading: no step would ever be seen", d.wall)
	}
}

func TestOpen(t *testing.T) {
	s, err := Open(Options{Built: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.Clock(), s.Clock()
	if !a.State.Valid() || b.Mono < a.Mono || a.BootID == [16]byte{} {
		t.Errorf("clock %+v then %+v", a, b)
	}
	if late, err := Open(Options{Built: time.Now().Add(time.Hour)}); err != nil || late.Clock().State != telemetry.Unsynchronised {
		t.Errorf("a wall time before the build: %v %v, want U", late.Clock(), err)
	}
}

// A restarted agent still knows that its clock was right earlier in the boot;
// after a restart of the machine it does not.
func TestMarker(t *testing.T) {
	root := t.TempDir()
	bootID := filepath.Join(root, "proc/sys/kernel/random/boot_id")
	if err := os.MkdirAll(filepath.Dir(bootID), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	marker := filepath.Join(root, "marker")
	write(bootID, "01234567-89ab-cdef-0123-456789abcdef\n")
	write(marker, "01234567-89ab-cdef-0123-456789abcdef\n")
	open := func() *Source {
		t.Helper()
		s, err := Open(Options{Root: root, Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if !open().synced.Load() {
		t.Error("same boot: the marker was not believed")
	}
	write(bootID, "ffffffff-89ab-cdef-0123-456789abcdef\n")
	if open().synced.Load() {
		t.Error("other boot: the marker was believed")
	}
	write(bootID, "nonsense")
	if _, err := Open(Options{Root: root}); err == nil {
		t.Error("a boot id that is no UUID was accepted")
	}
}
