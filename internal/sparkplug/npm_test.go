package sparkplug

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"yunhe/internal/telemetry"
)

// peerPayload and peerMetric are what testdata/npm/decode.js prints.
type peerPayload struct {
	Timestamp any          `json:"timestamp"`
	Seq       any          `json:"seq"`
	Body      string       `json:"body"`
	Metrics   []peerMetric `json:"metrics"`
}

type peerMetric struct {
	Name         string         `json:"name"`
	Type         string         `json:"type"`
	Timestamp    any            `json:"timestamp"`
	Value        any            `json:"value"`
	IsNull       bool           `json:"isNull"`
	IsHistorical bool           `json:"isHistorical"`
	Properties   map[string]any `json:"properties"`
}

// installPeer installs sparkplug-payload as its lock file says and returns the
// folder.
func installPeer(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/npm")
	if err != nil {
		t.Fatal(err)
	}
	const remedy = "install Node.js with npm, then run: npm ci --ignore-scripts --prefix internal/sparkplug/testdata/npm"
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not here, and a stranger's decoder must read our messages: %s", program, remedy)
		}
	}
	installed, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	lock, lockErr := os.Stat(filepath.Join(dir, "package-lock.json"))
	if lockErr != nil {
		t.Fatal(lockErr)
	}
	if err == nil && !installed.ModTime().Before(lock.ModTime()) {
		return dir
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci in %s: %v\n%s\n%s", dir, err, out, remedy)
	}
	return dir
}

func decodeWithPeer(t *testing.T, msgs []Message) []peerPayload {
	t.Helper()
	dir := installPeer(t)
	var in []string
	for _, m := range msgs {
		in = append(in, hex.EncodeToString(m.Payload))
	}
	stdin, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "decode.js")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("decode with sparkplug-payload: %v\n%s", err, stderr.Bytes())
	}
	var got []peerPayload
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return got
}

// asPeer says how the peer must print our payload: 64-bit integers as text,
// what is null as null, properties as objects.
func asPeer(t *testing.T, m Message) peerPayload {
	t.Helper()
	var p Payload
	if err := Decode(m.Payload, &p); err != nil {
		t.Fatal(err)
	}
	millis := func(at time.Time) any { return strconv.FormatInt(at.UnixMilli(), 10) }
	out := peerPayload{Timestamp: millis(p.Time), Body: hex.EncodeToString(p.Body)}
	if p.HasSeq {
		out.Seq = strconv.FormatUint(p.Seq, 10)
	}
	for _, m := range p.Metrics {
		pm := peerMetric{Name: m.Name, Type: m.Type.String(), Timestamp: millis(m.Time), IsNull: m.Null, IsHistorical: m.Historical, Properties: map[string]any{}}
		if f, ok := m.Value.Number(); ok && m.Type == Int64 {
			pm.Value = strconv.FormatInt(int64(f), 10)
		} else if ok && m.Type == Double {
			pm.Value = f
		} else if u, ok := m.Value.AsUint(); ok {
			pm.Value = strconv.FormatUint(u, 10)
		} else if b, ok := m.Value.AsBool(); ok {
			pm.Value = b
		} else if s, ok := m.Value.AsString(); ok {
			pm.Value = s
		}
		switch m.Quality {
		case telemetry.Bad:
			pm.Properties["Quality"] = map[string]any{"type": "Int32", "value": 0.0}
		case telemetry.Uncertain:
			pm.Properties["uncertain"] = map[string]any{"type": "Boolean", "value": true}
		}
		if m.Unit != "" {
			pm.Properties["engUnit"] = map[string]any{"type": "String", "value": m.Unit}
		}
		out.Metrics = append(out.Metrics, pm)
	}
	return out
}

func TestSparkplugPayloadReadsOurMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("needs npm, and the network the first time")
	}
	s := NewSession("tongzhou", "gw-1", 41)
	last := testReadings()[0]
	offset := 3 * time.Millisecond
	status := Status{NextSeq: "9:12", KeyID: "00ff", ClockState: telemetry.Synchronised, ClockOffset: &offset, Backlog: 1 << 60}
	body := bytes.Repeat([]byte{0x8b, 0, 0xff, 10}, 64)
	rs := testReadings()
	rs[4].Value = telemetry.Float(math.SmallestNonzeroFloat64) // JSON has no minus zero
	msgs := []Message{
		s.Will(at),
		s.NodeBirth(status, at),
		s.DeviceBirth("meter", []BirthPoint{
			{Name: "active_power", Type: telemetry.TypeFloat, Unit: "W", Last: &last},
			{Name: "running", Type: telemetry.TypeBool, Unit: "1"},
		}, at),
		s.DeviceData("meter", rs, body, false, at),
		s.DeviceData("meter", rs, body, true, at),
		s.DeviceData("meter", rs, nil, false, at),
		s.Attached("", "event", body, false, at),
		s.NodeData(Status{}, at),
		s.DeviceDeath("meter", at),
		NewCommand("tongzhou", "gw-1", Command{Ack: "9:1-200", Rebirth: true}, at),
	}
	got := decodeWithPeer(t, msgs)
	if len(got) != len(msgs) {
		t.Fatalf("%d payloads came back of %d", len(got), len(msgs))
	}
	for i, m := range msgs {
		if diff := cmp.Diff(asPeer(t, m), got[i], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s:\n%s", m.Topic, diff)
		}
	}
	// The same readings with and without evidence are the same to others.
	if diff := cmp.Diff(got[3].Metrics, got[5].Metrics); diff != "" {
		t.Errorf("the body disturbs the metrics:\n%s", diff)
	}
}
