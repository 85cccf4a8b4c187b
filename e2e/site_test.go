package e2e

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yunhe/internal/records"
)

// siteID is the site of every test; its gateways are gw-1 and gw-2.
const siteID = "park"

// site is an installation as `yunhe setup` writes it: mosquitto, collector and
// what their configuration folder holds.
type site struct {
	t           testing.TB
	dir         string // configuration folder
	mqttPort    int
	recordsPort int
	apiPort     int
	broker      *process
	collector   *process
}

// siteOptions say in what a test's site differs.
type siteOptions struct {
	influx  string // URL; empty means SQLite
	catalog string // text that replaces the catalog of setup
	tls     *tlsFiles
}

// newSite writes the folder; nothing runs yet.
func newSite(t testing.TB, o siteOptions) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "yunhe"), mqttPort: freePort(t), recordsPort: freePort(t), apiPort: freePort(t)}
	scheme := "mqtt"
	if o.tls != nil {
		scheme = "mqtts"
	}
	args := []string{
		"setup", s.dir, "--site", siteID, "--gateway", "gw-1", "--gateway", "gw-2", "--admin", "Test",
		"--mqtt", fmt.Sprintf("%s://127.0.0.1:%d", scheme, s.mqttPort),
		"--listen", fmt.Sprintf("127.0.0.1:%d", s.apiPort),
		"--records", fmt.Sprintf("127.0.0.1:%d", s.recordsPort),
		"--records-url", fmt.Sprintf("http://127.0.0.1:%d", s.recordsPort),
	}
	if o.influx != "" {
		args = append(args, "--influx", o.influx)
	}
	s.yunhe(args...)
	if o.catalog != "" {
		s.write("catalog.yaml", o.catalog)
	}
	s.configureBroker(o.tls)
	s.broker = newProcess(t, "mosquitto", mosquitto(t), "-c", s.path("mosquitto.conf"))
	s.collector = newProcess(t, "collector", program(t, "yunhe"), "collector", "--config", s.path("collector.yaml"), "--catalog", s.path("catalog.yaml"))
	return s
}

// configureBroker moves mosquitto's configuration to this folder and a port of
// its own; all else stays as setup wrote it.
func (s *site) configureBroker(tls *tlsFiles) {
	s.t.Helper()
	me, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	listener := fmt.Sprintf("listener %d 127.0.0.1", s.mqttPort)
	if tls != nil {
		listener += tls.listener()
		s.edit("collector.yaml", "  user: collector\n", "  user: collector\n"+tls.client())
	}
	s.edit("mosquitto.conf", "listener 1883", listener)
	s.edit("mosquitto.conf", "/etc/yunhe/", s.dir+"/")
	s.write("mosquitto.conf", s.read("mosquitto.conf")+"\nuser "+me.Username+"\n")
}

// start starts broker and collector and waits until the collector listens.
func (s *site) start() {
	s.t.Helper()
	s.startBroker()
	s.collector.start()
	s.awaitCollector()
}

func (s *site) startBroker() {
	s.t.Helper()
	s.broker.start()
	eventually(s.t, "mosquitto listens", 10*time.Second, func() bool { return listens(s.mqttPort) })
}

// awaitCollector waits until the collector has started and hears its broker.
func (s *site) awaitCollector() {
	s.t.Helper()
	eventually(s.t, "the collector listens to its broker", 20*time.Second, func() bool {
		if !s.collector.alive() {
			s.t.Fatal("the collector has ended by itself")
		}
		return listens(s.recordsPort) && s.collector.logged("msg=listening")
	})
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// edit replaces a text that must be there.
func (s *site) edit(name, old, new string) {
	s.t.Helper()
	text := s.read(name)
	if !strings.Contains(text, old) {
		s.t.Fatalf("%s does not hold %q", name, old)
	}
	s.write(name, strings.ReplaceAll(text, old, new))
}

// secret returns a one-line secret of setup.
func (s *site) secret(name string) string {
	s.t.Helper()
	return strings.TrimSpace(s.read("secrets/" + name))
}

// yunhe runs a command of the server program.
func (s *site) yunhe(args ...string) string {
	s.t.Helper()
	return run(s.t, program(s.t, "yunhe"), args...)
}

// enroll trusts a key for a gateway and waits until a running collector does.
func (s *site) enroll(gateway, key string) {
	s.t.Helper()
	s.yunhe("gateway", "enroll", "--file", s.path("gateways.yaml"), siteID, gateway, key)
	if s.collector.alive() {
		time.Sleep(1500 * time.Millisecond) // it looks every second
	}
}

// refused returns the lines of `yunhe quarantine list`.
func (s *site) refused() []string {
	s.t.Helper()
	out := s.yunhe("quarantine", "list", "--state-dir", s.path("state"))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[1:] // the first is the heading
}

// refusal waits for a refused message whose line holds a text.
func (s *site) refusal(text string, limit time.Duration) (line string) {
	s.t.Helper()
	eventually(s.t, "quarantine holds: "+text, limit, func() bool {
		for _, l := range s.refused() {
			if strings.Contains(l, text) {
				line = l
			}
		}
		return line != ""
	})
	return line
}

// gatewayRecord asks the collector's records listener, as the API does.
func (s *site) gatewayRecord(id string) records.Gateway {
	s.t.Helper()
	c, err := records.NewClient(fmt.Sprintf("http://127.0.0.1:%d", s.recordsPort), s.secret("records.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Gateways(s.t.Context(), records.Scope{All: true})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, g := range all {
		if g.Gateway == id {
			return g
		}
	}
	s.t.Fatalf("the records do not know %s: %+v", id, all)
	return records.Gateway{}
}

// grant gives somebody who is not part of setup an account at the broker, and
// returns the password.
func (s *site) grant(name string, rights ...string) (password string) {
	s.t.Helper()
	password = strings.TrimSpace(s.yunhe("gateway", "account", "--passwords", s.path("mqtt-passwords"), name))
	s.write("mqtt-acl", s.read("mqtt-acl")+"\nuser "+name+"\n"+strings.Join(rights, "\n")+"\n")
	return password
}
