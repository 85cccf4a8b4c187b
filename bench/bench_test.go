package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yunhe/internal/profile"
)

// TestSmoke runs the cheapest benchmark, with broker, collector, agent and
// meters, so that the benchmarks cannot rot. It measures nothing of use.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the programs; the race detector has nothing to find in them")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if _, err := realDisk("."); err != nil {
		t.Skipf("the module does not lie on a disk: %v", err)
	}
	out := filepath.Join(t.TempDir(), "figures.json")
	o := options{only: "metered", short: true, json: out}
	if err := run(ctx, o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "one 20-value meter on a SIM") {
		t.Errorf("the figure is missing:\n%s", text)
	}
}

// TestMeterProfile holds the profile without pauses to the embedded one.
func TestMeterProfile(t *testing.T) {
	text, err := fastProfile()
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(meterProfile+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	values := household(0, time.Unix(1_800_000_000, 0))
	for _, name := range meterPoints() {
		if _, ok := p.Point(name); !ok {
			t.Errorf("the profile has no point %s", name)
		}
		if _, ok := values[name]; !ok {
			t.Errorf("the simulated meter has no value for %s", name)
		}
	}
	if len(meterPoints()) != 20 {
		t.Errorf("%d points, the figures speak of 20", len(meterPoints()))
	}
}

func TestFigureText(t *testing.T) {
	for want, f := range map[string]figure{
		"1.50":                {Values: []float64{1.5}},
		"2.00 (1.00–9.00)":    {Values: []float64{9, 1, 2}},
		"1500 (1000–2000)":    {Values: []float64{1000, 2000}},
		"too short to tell":   {},
		"0.500 (-0.250–12.5)": {Values: []float64{0.5, 12.5, -0.25}},
	} {
		if got := f.text(); got != want {
			t.Errorf("%v: %q, want %q", f.Values, got, want)
		}
	}
}

func TestMemoryIsNoDisk(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err != nil {
		t.Skip("this machine has no /dev/shm")
	}
	if name, err := realDisk("/dev/shm"); err == nil {
		t.Errorf("/dev/shm counts as a real disk: %s", name)
	}
}
