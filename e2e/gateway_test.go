package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yunhe/edge"
)

// gateway is one agent with its configuration folder.
type gateway struct {
	*process
	t      testing.TB
	site   *site
	id     string
	dir    string
	config string // of the command line
}

// gatewayOptions say in what a test's gateway differs.
type gatewayOptions struct {
	devices string // the parts buses and devices of the config
	account string // gateway whose account is used; empty means its own
	dir     string // folder; empty means a new one
	tls     *tlsFiles
}

// pollEvery and syncEvery are the agent's fast period and its group commit.
const (
	pollEvery = 200 * time.Millisecond
	syncEvery = 100 * time.Millisecond
)

// newGateway writes the agent's folder; it does not run yet.
func (s *site) newGateway(id string, o gatewayOptions) *gateway {
	s.t.Helper()
	if o.account == "" {
		o.account = id
	}
	if o.dir == "" {
		o.dir = filepath.Join(s.t.TempDir(), id)
	}
	g := &gateway{t: s.t, site: s, id: id, dir: o.dir, config: filepath.Join(o.dir, "edge.yaml")}
	scheme, certificates := "mqtt", ""
	if o.tls != nil {
		scheme, certificates = "mqtts", o.tls.client()
	}
	text := fmt.Sprintf(`gateway: %s
site: %s
state_dir: state
profile_dir: profiles
broker:
  url: %s://127.0.0.1:%d
  user: %s.%s
%s  password_file: %s
journal: {max_size: 64MB, floor: 24h, sync: %s}
poll: {fast: %s, slow: 1s}
%s`, id, siteID, scheme, s.mqttPort, siteID, o.account, certificates,
		s.path("secrets/mqtt-"+o.account+".password"), syncEvery, pollEvery, o.devices)
	if err := os.MkdirAll(filepath.Join(o.dir, "profiles"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	for name, text := range map[string]string{"edge.yaml": text, "profiles/" + countingMeter + ".yaml": countingProfile} {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	g.process = newProcess(s.t, "edge-"+id, program(s.t, "yunhe-edge"), "run", "-c", g.config)
	return g
}

// edit replaces a text in the config that must be there.
func (g *gateway) edit(old, new string) {
	g.t.Helper()
	b, err := os.ReadFile(g.config)
	if err != nil {
		g.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		g.t.Fatalf("%s does not hold %q", g.config, old)
	}
	if err := os.WriteFile(g.config, []byte(strings.ReplaceAll(string(b), old, new)), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// state returns a path in the agent's state folder.
func (g *gateway) state(name string) string { return filepath.Join(g.dir, "state", name) }

// key returns the public key as it is enrolled, and its fingerprint.
func (g *gateway) key() (text, fingerprint string) {
	g.t.Helper()
	lines := strings.Fields(run(g.t, program(g.t, "yunhe-edge"), "key", "-c", g.config))
	if len(lines) != 3 {
		g.t.Fatalf("yunhe-edge key prints %q", lines)
	}
	return lines[0] + " " + lines[1], lines[2]
}

// enroll enrols the agent's key under its own id.
func (g *gateway) enroll() {
	g.t.Helper()
	key, _ := g.key()
	g.site.enroll(g.id, key)
}

// status asks the running agent; ok is false while it does not answer.
func (g *gateway) status() (s edge.Status, ok bool) {
	g.t.Helper()
	if !g.alive() {
		g.t.Fatalf("%s has ended by itself", g.name)
	}
	out, err := try(program(g.t, "yunhe-edge"), "status", "--json", "-c", g.config)
	if err != nil {
		return s, false
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		g.t.Fatalf("status: %v\n%s", err, out)
	}
	return s, true
}

// counts are the sums over an agent's journals.
type counts struct{ backlog, held, dropped uint64 }

func sum(s edge.Status) (c counts) {
	for _, j := range s.Journals {
		c.backlog, c.held, c.dropped = c.backlog+j.Backlog, c.held+j.Held, c.dropped+j.Dropped
	}
	return c
}

// counts asks an agent that must answer.
func (g *gateway) counts() counts {
	g.t.Helper()
	s, ok := g.status()
	if !ok {
		g.t.Fatalf("%s does not tell its status", g.name)
	}
	return sum(s)
}

// await waits until the agent's counts are as wanted.
func (g *gateway) await(what string, limit time.Duration, check func(counts) bool) {
	g.t.Helper()
	var last counts
	defer func() {
		if g.t.Failed() {
			g.t.Logf("%s: last seen: %+v", g.name, last)
		}
	}()
	eventually(g.t, g.name+": "+what, limit, func() bool {
		s, ok := g.status()
		if ok {
			last = sum(s)
		}
		return ok && s.Session.Connected && check(last)
	})
}

// drained waits until everything is acknowledged.
func (g *gateway) drained(limit time.Duration) {
	g.t.Helper()
	g.await("nothing waits to be acknowledged", limit, func(c counts) bool { return c.backlog == 0 })
}

// settle stops the agent, lets it send what its last polls left, and stops it
// for good: with periods of a day it reads nothing more, so journals and
// stores stand still and can be compared.
func (g *gateway) settle() {
	g.t.Helper()
	g.stop()
	g.edit(fmt.Sprintf("poll: {fast: %s, slow: 1s}", pollEvery), "poll: {fast: 24h, slow: 24h}")
	g.start()
	g.drained(time.Minute)
	g.stop()
}
