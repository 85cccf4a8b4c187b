package edge

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"yunhe/edge/internal/clock"
	"yunhe/edge/internal/poll"
	"yunhe/internal/profile"
)

// idle is a device whose registers are zero and cost nothing to read.
type idle struct{}

func (idle) Read(_ context.Context, table profile.Table, _, count uint16) ([]byte, time.Time, error) {
	return make([]byte, table.ByteCount(int(count))), time.Now(), nil
}

// twenty are the points of the reference meter.
var twenty = []string{"voltage_l1", "voltage_l2", "voltage_l3", "current_l1", "current_l2", "current_l3",
	"active_power_l1", "active_power_l2", "active_power_l3", "active_power", "apparent_power", "reactive_power",
	"power_factor", "frequency", "phase_angle", "current_sum",
	"active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export"}

// BenchmarkSecond is one second of 50 meters with 20 values each: decode,
// sign, journal with a group commit each second. cpu-ms is the processor time
// of the process for it, 10 being 1 % of a core; disk-KB is what the journal
// grew by.
func BenchmarkSecond(b *testing.B) {
	a := openBench(b)
	p, err := a.cfg.loadProfile("eastron-sdm630")
	if err != nil {
		b.Fatal(err)
	}
	p.Match = nil // registers that are zero are no voltage
	var devices []*poll.Device
	for i := range 50 {
		d, err := poll.New(poll.Config{
			Site: "s", Gateway: "g", Device: fmt.Sprintf("meter-%d", i), Profile: p, Points: twenty,
			Fast: time.Second, Slow: time.Second, Reader: idle{}, Sink: a.recorder, Clock: a.deps.Clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		devices = append(devices, d)
	}
	// Off the quarter hours: those are one second in 900.
	tick := time.Date(2026, 11, 1, 0, 0, 1, 0, time.UTC)
	if err := pollAll(b.Context(), devices, tick); err != nil { // definitions
		b.Fatal(err)
	}
	a.recorder.wait()
	bytes, cpu := a.journals.Journal(rawJournal).Stats().Bytes, processorTime(b)
	b.ResetTimer()
	for range b.N {
		if err := pollAll(b.Context(), devices, tick); err != nil {
			b.Fatal(err)
		}
	}
	a.recorder.wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(a.journals.Journal(rawJournal).Stats().Bytes-bytes)/1000/float64(b.N), "disk-KB/op")
	if err, _, lost := a.recorder.state(); lost > 0 {
		b.Fatal(err)
	}
}

func openBench(b *testing.B) *Agent {
	b.Helper()
	cfg := Config{
		Gateway: "g", Site: "s", StateDir: b.TempDir(), Broker: Broker{URL: "mqtt://127.0.0.1:1"},
		Buses:   []Bus{{ID: "a", Address: "tcp://127.0.0.1:1"}},
		Devices: []Device{{ID: "m", Profile: "eastron-sdm630", Bus: "a"}},
	}
	source, err := clock.Open(clock.Options{})
	if err != nil {
		b.Fatal(err)
	}
	a, err := Open(b.Context(), cfg, Deps{Clock: source})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	return a
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
