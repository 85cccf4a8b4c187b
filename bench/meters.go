package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
	"yunhe/internal/simulate/modbusserver"
	"yunhe/internal/telemetry"
)

// meterPoints are the 20 values of the meters in all benchmarks: 16 gauges
// and 4 counters of an SDM630.
func meterPoints() []string {
	return []string{
		"voltage_l1", "voltage_l2", "voltage_l3", "current_l1", "current_l2", "current_l3",
		"active_power_l1", "active_power_l2", "active_power_l3", "active_power", "apparent_power", "reactive_power",
		"power_factor", "frequency", "voltage_ln_avg", "current_sum",
		"active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export",
	}
}

const meterProfile = "eastron-sdm630"

// fastProfile is the embedded profile without the pauses that a slow RS-485
// line needs.
func fastProfile() (string, error) {
	text, err := firmwareconfig.Profiles.ReadFile("profiles/" + meterProfile + ".yaml")
	if err != nil {
		return "", err
	}
	var out strings.Builder
	removed := 0
	for line := range strings.Lines(string(text)) {
		if t := strings.TrimSpace(line); strings.HasPrefix(t, "min_gap:") || strings.HasPrefix(t, "unit_pause:") {
			removed++
			continue
		}
		out.WriteString(line)
	}
	if removed != 2 {
		return "", fmt.Errorf("profile %s has no min_gap and unit_pause any more: look at bench/meters.go", meterProfile)
	}
	return out.String(), nil
}

// meters are simulated meters, a few on each socket.
type meters struct {
	servers []*modbusserver.TCP
}

// metersPerLine is how many meters share a socket, as behind a converter.
const metersPerLine = 5

// newMeters makes n meters. values gives the values of meter i at a time.
func newMeters(n int, now func() time.Time, values func(i int, at time.Time) map[string]telemetry.Value) (*meters, error) {
	text, err := fastProfile()
	if err != nil {
		return nil, err
	}
	p, err := profile.Parse(meterProfile+".yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	fixed := profile.Image{}
	fixed.Fill(profile.Range{Table: profile.Input, Address: 0, Count: 400})
	m := &meters{}
	units := modbusserver.Units{}
	for i := range n {
		d, err := device.New(device.Options{
			Name: fmt.Sprintf("meter-%d", i+1), Profile: p, Now: now, Fixed: fixed, Grid: time.Second,
			Source: func(at time.Time) map[string]telemetry.Value { return values(i, at) },
		})
		if err != nil {
			return nil, err
		}
		units[uint8(i%metersPerLine+1)] = d
		if len(units) < metersPerLine && i < n-1 {
			continue
		}
		s, err := modbusserver.ListenTCP("127.0.0.1:0", units)
		if err != nil {
			return nil, err
		}
		m.servers, units = append(m.servers, s), modbusserver.Units{}
	}
	return m, nil
}

func (m *meters) addresses() []string {
	out := make([]string, len(m.servers))
	for i, s := range m.servers {
		out[i] = s.Addr()
	}
	return out
}

func (m *meters) run(ctx context.Context) error {
	var g errgroup.Group
	for _, s := range m.servers {
		g.Go(func() error { return s.Run(ctx) })
	}
	return g.Wait()
}

// household is a meter with a load that moves: a daily swing, and on top what
// is switched on and off, which makes gauges leave any deadband now and then.
func household(i int, at time.Time) map[string]telemetry.Value {
	t := float64(at.UnixMilli()) / 1000
	day := math.Sin(2 * math.Pi * (t/86400 - 0.3))
	wobble := math.Sin(t/7+float64(i)) * math.Cos(t/41+2*float64(i))
	watts := 2400 + 1500*day + 300*wobble + 900*math.Floor(1+math.Sin(t/1300+float64(i)))
	volts := 231 + 2*wobble
	kWh := 12_000 + float64(i) + 2.4*math.Mod(t, 100_000_000)/3600
	v := map[string]telemetry.Value{}
	set := func(name string, x float64) { v[name] = telemetry.Float(x) }
	for k, l := range []string{"_l1", "_l2", "_l3"} {
		share := []float64{0.5, 0.3, 0.2}[k]
		set("voltage"+l, volts+float64(k))
		set("current"+l, share*watts/volts)
		set("active_power"+l, share*watts)
	}
	set("active_power", watts)
	set("apparent_power", watts*1.04)
	set("reactive_power", watts*0.28)
	set("power_factor", 0.96)
	set("frequency", 50+0.02*wobble)
	set("voltage_ln_avg", volts+1)
	set("current_sum", watts/volts)
	set("active_energy_import", kWh)
	set("active_energy_export", kWh/10)
	set("reactive_energy_import", kWh/4)
	set("reactive_energy_export", kWh/50)
	return v
}

// serveMeters is the mode of the simulator: it writes the addresses to a file
// when they listen.
func serveMeters(ctx context.Context, file, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("number of meters: %w", err)
	}
	m, err := newMeters(n, time.Now, household)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", []byte(strings.Join(m.addresses(), "\n")), 0o600); err != nil {
		return err
	}
	return errors.Join(os.Rename(file+".new", file), m.run(ctx))
}

// startMeters runs the simulator in a process of its own.
func (b *bench) startMeters(n int) ([]string, error) {
	file := filepath.Join(b.dir, b.group, "meters")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	p, err := b.start("meters", b.ownMode(modeMeters, file, strconv.Itoa(n)))
	if err != nil {
		return nil, err
	}
	var addresses []string
	err = b.until("the meters listen", 20*time.Second, p, func() bool {
		text, err := os.ReadFile(file)
		addresses = strings.Fields(string(text))
		return err == nil
	})
	return addresses, err
}
