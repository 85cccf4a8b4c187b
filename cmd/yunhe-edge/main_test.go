package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yunhe/edge"
)

const good = `
gateway: gw
site: s
state_dir: state
broker: {url: "mqtt://127.0.0.1:1883"}
buses: [{id: a, address: "tcp://127.0.0.1:502"}]
devices: [{id: meter, profile: eastron-sdm630, bus: a, unit: 1}]
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodes(t *testing.T) {
	bad := write(t, "gateway: gw\nsite: s\nbrokr: {}\n")
	missing := write(t, strings.Replace(good, "eastron-sdm630", "no-such-model", 1))
	fine := write(t, good)
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"help", []string{"--help"}, 0, "Gateway agent of Yunhe", ""},
		{"version", []string{"--version"}, 0, "dev", ""},
		{"no command", nil, exitUsage, "", "expected one of"},
		{"unknown command", []string{"fly"}, exitUsage, "", "fly"},
		{"config faults", []string{"check", "-c", bad}, exitConfig, "", bad + ":3: brokr: is no known key"},
		{"run with config faults", []string{"run", "-c", bad}, exitConfig, "", "state_dir: is missing"},
		{"no config", []string{"plan", "-c", "/no/such/file"}, exitConfig, "", "read config"},
		{"missing profile", []string{"check", "-c", missing}, exitCheck, "FAULT  device meter, profile no-such-model: there is no profile", "would not work"},
		{"check", []string{"check", "-c", fine}, 0, "ok     device meter, profile eastron-sdm630", ""},
		{"plan", []string{"plan", "-c", fine}, 0, "the link carries about", ""},
		{"no agent", []string{"status", "-c", fine}, exitFailed, "", "reach the agent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tt.args, &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stdout %q\nstderr %q", stdout.String(), stderr.String())
			}
		})
	}
}

func TestKey(t *testing.T) {
	path := write(t, good)
	var first, second edge.PublicKey
	for i, k := range []*edge.PublicKey{&first, &second} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"key", "--json", "-c", path}, &stdout, &stderr); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr.String())
		}
		if err := json.Unmarshal(stdout.Bytes(), k); err != nil {
			t.Fatal(err)
		}
		if k.Created != (i == 0) {
			t.Errorf("call %d: created %v", i, k.Created)
		}
	}
	if first.Text != second.Text || !strings.HasPrefix(first.Fingerprint, "SHA256:") {
		t.Errorf("%+v then %+v", first, second)
	}
}

func TestPlanJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"plan", "--json", "-c", write(t, good)}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var p edge.PlanReport
	if err := json.Unmarshal(stdout.Bytes(), &p); err != nil || len(p.Buses) != 1 || p.Buses[0].Devices[0].Points != 18 {
		t.Errorf("%v: %s", err, stdout.String())
	}
}

// TestFirstReading: the configuration that docs/first-reading.md shows loads.
func TestFirstReading(t *testing.T) {
	doc, err := os.ReadFile("../../docs/first-reading.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no configuration")
	}
	cfg, err := edge.Load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edge.Plan(cfg); err != nil {
		t.Error(err)
	}
}
