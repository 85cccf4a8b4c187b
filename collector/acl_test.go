package collector

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func TestACLRefuses(t *testing.T) {
	good := ACLUser{User: "u", Site: "tz", Gateway: "gw"}
	for name, f := range map[string]func() (string, error){
		"space in user": func() (string, error) { u := good; u.User = "a b"; return GatewayACL("c", "h", nil, []ACLUser{u}) },
		"newline in user": func() (string, error) {
			u := good
			u.User = "a\nuser b"
			return GatewayACL("c", "h", nil, []ACLUser{u})
		},
		"wildcard site":    func() (string, error) { u := good; u.Site = "#"; return GatewayACL("c", "h", nil, []ACLUser{u}) },
		"wildcard node":    func() (string, error) { u := good; u.Gateway = "+"; return GatewayACL("c", "h", nil, []ACLUser{u}) },
		"same user twice":  func() (string, error) { return GatewayACL("c", "h", nil, []ACLUser{good, good}) },
		"collector's user": func() (string, error) { return GatewayACL("u", "h", nil, []ACLUser{good}) },
		"bad host":         func() (string, error) { return GatewayACL("c", "h/x", nil, nil) },
		"bad own site":     func() (string, error) { return GatewayACL("c", "h", []string{"+"}, nil) },
	} {
		if text, err := f(); err == nil {
			t.Errorf("%s gives\n%s", name, text)
		}
	}
}

// TestACLOnMosquitto: with the generated file a real mosquitto lets a gateway
// write its own topics only and read nothing of others.
func TestACLOnMosquitto(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts a real mosquitto")
	}
	url := startMosquitto(t, []ACLUser{{User: "gw-1", Site: "tz", Gateway: "gw-1"}, {User: "gw-2", Site: "tz", Gateway: "gw-2"}})
	heard := listen(t, url, "collector", "spBv1.0/tz/#", "spBv1.0/STATE/host-1")
	stolen := dial(t, url, "gw-1")
	for topic, through := range map[string]bool{
		"spBv1.0/tz/NBIRTH/gw-1":      true,
		"spBv1.0/tz/NDATA/gw-1":       true,
		"spBv1.0/tz/NDEATH/gw-1":      true,
		"spBv1.0/tz/DDATA/gw-1/m1":    true,
		"spBv1.0/tz/DBIRTH/gw-1/m1":   true,
		"spBv1.0/tz/NBIRTH/gw-2":      false,
		"spBv1.0/tz/DDATA/gw-2/m1":    false,
		"spBv1.0/tz/NCMD/gw-1":        false,
		"spBv1.0/tz/NCMD/gw-2":        false,
		"spBv1.0/other/NDATA/gw-1":    false,
		"spBv1.0/STATE/host-1":        false,
		"spBv1.0/tz/DDATA/gw-1/m1/m2": false,
	} {
		publish(t, stolen, topic)
		publish(t, stolen, "spBv1.0/tz/NDATA/gw-1") // comes after whatever came through
		var got []string
		for m := range heard {
			if got = append(got, m); m == "spBv1.0/tz/NDATA/gw-1" && (len(got) > 1 || topic != m) {
				break
			}
		}
		if came := len(got) == 2 && got[0] == topic; came != through {
			t.Errorf("%s: came through %v, want %v", topic, came, through)
		}
	}
	commands := listen(t, url, "gw-2", "spBv1.0/tz/NCMD/gw-2", "spBv1.0/tz/NCMD/gw-1", "spBv1.0/tz/#")
	host := dial(t, url, "collector")
	publish(t, host, "spBv1.0/tz/NCMD/gw-1")
	publish(t, host, "spBv1.0/tz/NCMD/gw-2")
	if m := <-commands; m != "spBv1.0/tz/NCMD/gw-2" {
		t.Errorf("gw-2 reads %s", m)
	}
}

func startMosquitto(t *testing.T, users []ACLUser) (url string) {
	t.Helper()
	binary, err := exec.LookPath("mosquitto")
	if err != nil {
		if binary = "/usr/sbin/mosquitto"; !fileExists(binary) {
			t.Fatal("mosquitto is not installed: run `make tools`")
		}
	}
	dir := t.TempDir()
	acl, err := GatewayACL("collector", "host-1", []string{"tz"}, users)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	// Anonymous clients may name a user here: the rights are tested, not passwords.
	config := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nacl_file %s\nuser root\n", address.Port, filepath.Join(dir, "acl"))
	for name, text := range map[string]string{"acl": acl, "mosquitto.conf": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "-c", filepath.Join(dir, "mosquitto.conf"))
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", address.String())
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "mqtt://" + address.String()
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }

func dial(t *testing.T, url, user string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID(t.Name() + user + time.Now().String()).SetUsername(user).
		SetProtocolVersion(4).SetAutoReconnect(false))
	if tok := c.Connect(); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
		t.Fatalf("connect: %v", tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func publish(t *testing.T, c mqtt.Client, topic string) {
	t.Helper()
	if tok := c.Publish(topic, 1, false, "x"); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
		t.Fatalf("publish: %v", tok.Error())
	}
}

// listen subscribes and gives the topics of what comes; the channel closes
// when nothing comes for long.
func listen(t *testing.T, url, user string, filters ...string) <-chan string {
	t.Helper()
	out := make(chan string, 256)
	c := dial(t, url, user)
	closing := time.AfterFunc(20*time.Second, func() { close(out) })
	t.Cleanup(func() { closing.Stop() })
	var once sync.Mutex
	for _, f := range filters {
		tok := c.Subscribe(f, 1, func(_ mqtt.Client, m mqtt.Message) {
			once.Lock()
			defer once.Unlock()
			out <- m.Topic()
		})
		tok.WaitTimeout(5 * time.Second) // a refusal shows in what is heard
	}
	return out
}
