package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yunhe/cmd/yunhe/internal/server"
	"yunhe/collector"
	"yunhe/internal/catalog"
)

// yunhe runs one command line and returns what it printed.
func yunhe(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, logged bytes.Buffer
	if code := run(args, &out, &logged); code != want {
		t.Fatalf("yunhe %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), logged.String())
	}
	return out.String(), logged.String()
}

func TestUsage(t *testing.T) {
	if out, _ := yunhe(t, 0, "--help"); !strings.Contains(out, "demo") {
		t.Errorf("help does not name the demo:\n%s", out)
	}
	if out, _ := yunhe(t, 0, "--version"); !strings.Contains(out, version) {
		t.Errorf("version: %q", out)
	}
	if _, log := yunhe(t, 2, "nonsense"); !strings.Contains(log, "--help") {
		t.Errorf("a wrong command line gets no hint: %s", log)
	}
	if _, log := yunhe(t, 1, "demo", "--listen", "0.0.0.0:0"); !strings.Contains(log, "loopback only") {
		t.Errorf("the demo offers itself to the network: %s", log)
	}
}

// TestSetup: what setup writes is what the programs read, with no secret that
// everybody knows, and a second run changes nothing.
func TestSetup(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags []string
		alone bool // API in a process of its own
	}{
		{"one machine", nil, false},
		{"apart", []string{"--mqtt", "mqtt://mosquitto:1883", "--influx", "http://influxdb:8086", "--records", "0.0.0.0:8481", "--records-url", "http://collector:8481"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"setup", dir, "--site", "park", "--gateway", "gw-1", "--gateway", "gw-2"}, tt.flags...)
			if out, _ := yunhe(t, 0, args...); !strings.Contains(out, "yunhe serve "+dir) {
				t.Errorf("setup does not say what comes next:\n%s", out)
			} else if _, err := os.Stat(filepath.Join(dir, "secrets/mqtt-gw-1.password")); err != nil || !strings.Contains(out, "secrets/mqtt-gw-1.password") {
				t.Errorf("setup does not say where the gateway's password is: %v\n%s", err, out)
			}
			cfg, err := collector.Load(filepath.Join(dir, server.CollectorFile))
			if err != nil {
				t.Error(err)
			}
			if _, err := server.Secret(cfg.Broker.PasswordFile); err != nil {
				t.Error(err)
			}
			if _, err := server.LoadAPI(filepath.Join(dir, server.APIFile), tt.alone); err != nil {
				t.Error(err)
			}
			if _, err := catalog.Load(filepath.Join(dir, "catalog.yaml")); err != nil {
				t.Error(err)
			}
			before := snapshot(t, dir)
			yunhe(t, 0, args...)
			if after := snapshot(t, dir); after != before {
				t.Errorf("a second run changed something:\n%s\n%s", before, after)
			}
		})
	}
}

func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if info, err := e.Info(); err == nil && strings.Contains(path, "secrets") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		all.WriteString(path + "\n" + string(b) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	secret, _ := yunhe(t, 0, "key", "create", "--file", file, "--person", "Li Wei", "--role", "accountant", "--site", "park")
	secret = strings.TrimSpace(secret)
	if !strings.HasPrefix(secret, "yh_") {
		t.Fatalf("key %q", secret)
	}
	list, _ := yunhe(t, 0, "key", "list", "--file", file)
	if !strings.Contains(list, "Li Wei") || strings.Contains(list, secret) {
		t.Errorf("list:\n%s", list)
	}
	id := strings.Split(secret, "_")[1]
	yunhe(t, 0, "key", "revoke", "--file", file, id)
	yunhe(t, 1, "key", "revoke", "--file", file, "nobody")
	yunhe(t, 1, "key", "create", "--file", file, "--person", "x", "--role", "king", "--all-sites")
}

// TestEnroll: what `yunhe-edge key` prints may be given whole or as its first
// line; a fingerprint of another key under it is noticed.
func TestEnroll(t *testing.T) {
	const line = "yunhe-ed25519 9CLR0HIS6f56Jv+TwnGtXuZLK4xqfQQZLkQ+WykA8II="
	const fingerprint = "SHA256:WQcGPfJlXhsf+jnEbXk+7/ROU4jmdkYTaAC6wPmtSQI"
	for _, tt := range []struct {
		name, key string
		want      int
	}{
		{"line", line, 0},
		{"both lines", line + "\n" + fingerprint + "\n", 0},
		{"both lines from Windows", line + "\r\n" + fingerprint + "\r\n", 0},
		{"another's fingerprint", line + "\nSHA256:AAAAPfJlXhsf+jnEbXk+7/ROU4jmdkYTaAC6wPmtSQI", 1},
		{"cut off", line[:40], 1},
		{"fingerprint alone", fingerprint, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "gateways.yaml")
			out, _ := yunhe(t, tt.want, "gateway", "enroll", "--file", file, "park", "gw-1", tt.key)
			if tt.want == 0 && !strings.Contains(out, fingerprint) {
				t.Errorf("the fingerprint is not shown:\n%s", out)
			}
			if list, _ := yunhe(t, 0, "gateway", "list", "--file", file); strings.Contains(list, "gw-1") != (tt.want == 0) {
				t.Errorf("list:\n%s", list)
			}
		})
	}
}

// TestAccountInto: the password lands in a file of its owner's, whoever put
// something in its way before.
func TestAccountInto(t *testing.T) {
	dir := t.TempDir()
	into, victim := filepath.Join(dir, "secret"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{into, into + ".new"} {
		if err := os.Symlink(victim, name); err != nil {
			t.Fatal(err)
		}
	}
	out, log := yunhe(t, 0, "gateway", "account", "--passwords", filepath.Join(dir, "passwords"), "--into", into, "park.gw-1")
	info, err := os.Lstat(into)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("the secret's file: %v, %v", info, err)
	}
	b, err := os.ReadFile(into)
	if err != nil || len(b) < 40 || strings.Contains(out+log, strings.TrimSpace(string(b))) {
		t.Errorf("the secret has %d bytes, %v, and is shown too:\n%s%s", len(b), err, out, log)
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
		t.Errorf("the file behind the links holds %q, %v", b, err)
	}
}

// TestSetupAfterKeysAreLost: a new first key that nobody would ever see is not
// made.
func TestSetupAfterKeysAreLost(t *testing.T) {
	dir := t.TempDir()
	args := []string{"setup", dir, "--site", "park", "--gateway", "gw-1"}
	yunhe(t, 0, args...)
	keys := filepath.Join(dir, "api-keys.yaml")
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	if _, log := yunhe(t, 1, args...); !strings.Contains(log, "api-admin.key is there") {
		t.Errorf("no reason given: %s", log)
	}
	if _, err := os.Stat(keys); err == nil {
		t.Error("a key was made all the same")
	}
}

// TestSetupEnrolsLater: a gateway whose key was made and not enrolled, because
// setup was cut short, is enrolled by the next run, once.
func TestSetupEnrolsLater(t *testing.T) {
	dir := t.TempDir()
	args := []string{"setup", filepath.Join(dir, "server"), "--site", "park", "--gateway", "gw-1",
		"--edge-dir", filepath.Join(dir, "edge"), "--edge-state", filepath.Join(dir, "state")}
	yunhe(t, 0, args...)
	keys := filepath.Join(dir, "server", "gateways.yaml")
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		yunhe(t, 0, args...)
		if all, err := collector.ListKeys(keys); err != nil || len(all) != 1 {
			t.Errorf("%d keys are enrolled, %v; want 1", len(all), err)
		}
	}
}

func TestServeNamesEveryFault(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		server.CollectorFile: "host: yunhe\nsites: [park]\nstate_dir: state\nbrokr: {}\n",
		server.APIFile:       "listen: nowhere\ncatalog: c.yaml\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, log := yunhe(t, 1, "serve", dir)
	for _, want := range []string{"collector.yaml:4: brokr: ", "api.yaml:1: listen: ", "keys_file: is missing"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
}

func TestHealth(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (healthCommand{URL: "http://127.0.0.1:1/healthz"}).Run(&terminal{ctx: ctx}); err == nil {
		t.Error("a server that is not there is well")
	}
}
