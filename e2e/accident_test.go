package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yunhe/internal/evidence"
)

// installed is a site whose collector and one gateway run; if its key is
// enrolled, its first readings are stored.
func installed(t testing.TB, enrolled bool) (*site, *gateway) {
	t.Helper()
	s := newSite(t, siteOptions{})
	g := s.newGateway("gw-1", gatewayOptions{devices: newMeters(t, 1).config()})
	if enrolled {
		g.enroll()
	}
	s.start()
	g.start()
	if enrolled {
		eventually(t, "the first readings are acknowledged", 20*time.Second, func() bool {
			st, ok := g.status()
			return ok && st.Session.Acked > 6
		})
	}
	return s, g
}

// TestClonedDisk: a second machine runs from a copy of the gateway's disk.
// Each start has an epoch of its own, so no number is signed twice and the data
// of both are stored; both epochs name the same one before, and that is told.
func TestClonedDisk(t *testing.T) {
	t.Parallel()
	s, g := installed(t, true)
	g.stop()
	twin := s.newGateway("gw-1", gatewayOptions{devices: newMeters(t, 1).config()})
	copyDir(t, filepath.Join(g.dir, "state"), filepath.Join(twin.dir, "state"))
	g.start()
	twin.start()
	// They have one account, so each ends the other's session; it goes on in turns.
	eventually(t, "the fork is told", 60*time.Second, func() bool { return len(s.alarms("fork")) > 0 })
	if text := s.alarms("fork")[0]; !strings.Contains(text, "two machines run from one disk image") {
		t.Errorf("alarm: %s", text)
	}
	if gw := s.gatewayRecord("gw-1"); !strings.Contains(gw.LastError, "both follow epoch") {
		t.Errorf("the records say of the gateway: %q", gw.LastError)
	}
	twin.stop()
	g.stop()
	if r := s.refused(); len(r) > 0 {
		t.Errorf("%d messages are in quarantine: %s", len(r), r[0])
	}
	s.complete(g, twin)
	first, second := journalled(t, g), journalled(t, twin)
	own := func(es, others entries) (n int) {
		for k := range es {
			if _, shared := others[k]; !shared {
				n++
			}
		}
		return n
	}
	if a, b := own(first, second), own(second, first); a < 4 || b < 4 {
		t.Errorf("%d and %d entries are in one journal only: the two have not both worked", a, b)
	}
}

// copyDir copies a folder with its files and their modes; sockets stay.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case !info.Mode().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMissingDefinition: the collector lost a definition. It asks for it, the
// gateway signs it anew, and what cited it is stored.
func TestMissingDefinition(t *testing.T) {
	t.Parallel()
	s, g := installed(t, true)
	s.collector.stop()
	db := openRecords(t, s)
	result, err := db.Exec(`DELETE FROM definitions`)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d definitions were stored: %v", n, err)
	}
	db.Close()
	s.collector.start()
	g.drained(90 * time.Second)
	s.complete(g)
	definitions := map[uint64]int{} // by epoch: a quarter hour may bring the boundary journal and its own
	for _, e := range keptBy(t, s).entries {
		if e.Content.Kind == evidence.KindDefinition {
			definitions[e.Content.JID]++
		}
	}
	asked := 0
	for _, n := range definitions {
		if n == 2 {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("definitions by epoch %v: want one epoch with the first and the one that was asked for", definitions)
	}
}

// TestUnknownKey: a gateway nobody has enrolled keeps everything; enrolled, it
// loses nothing of what it kept.
func TestUnknownKey(t *testing.T) {
	t.Parallel()
	s, g := installed(t, false)
	g.await("entries wait", 20*time.Second, func(c counts) bool { return c.backlog > 15 })
	s.refusal("unknown_key", 10*time.Second)
	if c := g.counts(); c.held != 0 || c.dropped != 0 {
		t.Errorf("the gateway holds %d entries as refused and has dropped %d", c.held, c.dropped)
	}
	g.enroll()
	g.drained(100 * time.Second)
	s.complete(g)
}

// TestRevokedKey: what comes under a compromised key is held, not stored, and
// the gateway keeps it; under a key that was merely replaced, what was recorded
// before is still taken.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	t.Run("compromised", func(t *testing.T) {
		t.Parallel()
		s, g := installed(t, true)
		_, fingerprint := g.key()
		s.yunhe("gateway", "revoke", "--file", s.path("gateways.yaml"), fingerprint, "--compromised-since", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
		g.await("entries are held", 20*time.Second, func(c counts) bool { return c.held > 3 })
		s.refusal("the key was revoked as compromised since", 10*time.Second)
		before := len(indexed(t, s))
		time.Sleep(time.Second)
		if after := len(indexed(t, s)); after != before {
			t.Errorf("%d entries were stored under a compromised key", after-before)
		}
		if c := g.counts(); c.dropped != 0 {
			t.Errorf("the gateway has dropped %d entries", c.dropped)
		}
	})
	t.Run("replaced", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, siteOptions{})
		s.start()
		f, c := s.thief("gw-1")
		opening := f.opening("m-1")
		before := f.sign(f.power(1000))
		time.Sleep(1100 * time.Millisecond) // enrolments have whole seconds
		s.yunhe("gateway", "revoke", "--file", s.path("gateways.yaml"), f.key.Public().Fingerprint())
		time.Sleep(1500 * time.Millisecond)
		after := f.sign(f.power(2000))
		for _, e := range append(opening, before, after) {
			m := f.message("m-1", e)
			c.send(m.Topic.String(), m.Payload)
		}
		ack, reject := c.commands(10*time.Second, func(ack, reject evidence.Ranges) bool { return ack.Len()+reject.Len() == 4 })
		if !ack.Contains(f.jid, 3) || ack.Len() != 3 || !reject.Contains(f.jid, 4) {
			t.Errorf("acknowledged %q, rejected %q; entries 1 to 3 were recorded before the key was replaced", ack, reject)
		}
	})
}

// renamed is a catalog in which gw-1 has become gw-new.
const renamed = `sites:
  - id: park
    name: {en: Park, zh: Park}
    zone: Asia/Shanghai
    gateways:
      - id: gw-new
`

// TestRenamedGateway: the key is enrolled under the new id while the gateway
// still signs the old one. That is held until the catalog names the old id;
// then a replay of the quarantine stores it.
func TestRenamedGateway(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{catalog: renamed})
	g := s.newGateway("gw-1", gatewayOptions{devices: newMeters(t, 1).config()})
	key, _ := g.key()
	s.enroll("gw-new", key)
	s.start()
	g.start()
	g.await("entries are held", 30*time.Second, func(c counts) bool { return c.held > 5 })
	s.refusal("name the old id as an alias in the catalog", 10*time.Second)
	if n := len(indexed(t, s)); n != 0 {
		t.Errorf("%d entries are stored", n)
	}

	s.edit("catalog.yaml", "      - id: gw-new\n", "      - id: gw-new\n        aliases: [gw-1]\n")
	s.collector.stop()
	s.collector.start()
	eventually(t, "the collector takes commands", 10*time.Second, func() bool {
		_, err := try(program(t, "yunhe"), "quarantine", "list", "--state-dir", s.path("state"))
		return err == nil
	})
	s.yunhe("quarantine", "replay", "--state-dir", s.path("state"))
	if left := s.refused(); len(left) > 0 {
		t.Errorf("%d messages stay in quarantine: %s", len(left), left[0])
	}
	g.await("nothing is held any more", 60*time.Second, func(c counts) bool { return c.held == 0 && c.backlog == 0 })
	s.complete(g)
}
