package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
	"yunhe/internal/simulate/modbusserver"
	"yunhe/internal/telemetry"
)

// countingMeter is a device both of whose points give the number of its
// answer, so that each reply can be told from every other wherever it is found.
const (
	countingMeter   = "counting-meter"
	countingProfile = `profile: counting-meter
version: 1
kind: electricity_meter
vendor: Test
model: Counting
table: input
word_order: msw
byte_order: big
link: {protocol: modbus, max_registers: 10, timeout: 2s, retries: 0}
points:
  - {name: power, quantity: active_power, address: 10, type: u32}
  - {name: energy, quantity: active_energy_import, address: 12, type: u32, scale: 0.01}
confidence: low
sources: [made up for tests]
`
)

// reply is one answer of a meter.
type reply struct {
	device string
	number uint64 // from 1
	at     time.Time
}

// meters are counting meters, two on a line, that remember every reply.
type meters struct {
	lines []*modbusserver.TCP
	names []string

	mu      sync.Mutex
	replies []reply
}

// newMeters serves n meters until the test ends.
func newMeters(t testing.TB, n int) *meters {
	t.Helper()
	p, err := profile.Parse(countingMeter+".yaml", []byte(countingProfile))
	if err != nil {
		t.Fatal(err)
	}
	m := &meters{}
	for first := 0; first < n; first += 2 {
		units := modbusserver.Units{}
		for i := first; i < min(n, first+2); i++ {
			name := fmt.Sprintf("meter-%d", i+1)
			m.names = append(m.names, name)
			units[uint8(i-first+1)] = m.meter(t, name, p)
		}
		line, err := modbusserver.ListenTCP("127.0.0.1:0", units)
		if err != nil {
			t.Fatal(err)
		}
		m.lines = append(m.lines, line)
	}
	ctx, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	for _, l := range m.lines {
		g.Go(func() error { return l.Run(ctx) })
	}
	t.Cleanup(func() {
		stop()
		_ = g.Wait() // nobody is connected any more
	})
	return m
}

func (m *meters) meter(t testing.TB, name string, p *profile.Profile) *device.Device {
	t.Helper()
	var number uint64 // the device asks for values under its own lock
	d, err := device.New(device.Options{
		Name: name, Profile: p, Now: time.Now,
		Source: func(time.Time) map[string]telemetry.Value {
			v := map[string]telemetry.Value{"power": telemetry.Float(float64(number)), "energy": telemetry.Float(energy(number))}
			number++
			return v
		},
		OnReply: m.note,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// energy is what the counter of reply n shows, in kWh.
func energy(n uint64) float64 { return float64(n) / 100 }

func (m *meters) note(r device.Reply) {
	power, _ := r.Values["power"].AsFloat()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replies = append(m.replies, reply{r.Device, uint64(power), r.At})
}

// taken returns the replies so far.
func (m *meters) taken() []reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]reply(nil), m.replies...)
}

// config returns the parts buses and devices of an agent's config.
func (m *meters) config() string {
	var b strings.Builder
	b.WriteString("buses:\n")
	for i, l := range m.lines {
		fmt.Fprintf(&b, "  - {id: line-%d, address: \"tcp://%s\"}\n", i+1, l.Addr())
	}
	b.WriteString("devices:\n")
	for i, name := range m.names {
		fmt.Fprintf(&b, "  - {id: %s, profile: %s, bus: line-%d, unit: %d}\n", name, countingMeter, i/2+1, i%2+1)
	}
	return b.String()
}
