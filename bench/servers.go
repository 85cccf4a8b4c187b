package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"yunhe/collector"
	"yunhe/internal/sparkplug"
)

// startBroker runs mosquitto with the limits that `yunhe setup` writes, open
// to everybody on loopback, and with TLS on a second port.
func (b *bench) startBroker() (plain, tls string, err error) {
	cert, err := b.certificates()
	if err != nil {
		return "", "", err
	}
	var ports [2]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return "", "", err
		}
	}
	text := fmt.Sprintf(`allow_anonymous true
persistence false
max_queued_messages 100000
max_packet_size 1048576
log_type error
listener %d 127.0.0.1
listener %d 127.0.0.1
certfile %s
keyfile %s
`, ports[0], ports[1], cert.cert, cert.key)
	if os.Geteuid() == 0 {
		text = "user root\n" + text // else it could not read the key
	}
	path, err := b.file("mosquitto.conf", text)
	if err != nil {
		return "", "", err
	}
	p, err := b.start("mosquitto", exec.Command(b.tools.mosquitto, "-c", path))
	if err != nil {
		return "", "", err
	}
	plain, tls = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	return plain, tls, b.until("mosquitto listens", 10*time.Second, p, func() bool { return listens(tls) })
}

func listens(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// influxConfig keeps everything in one folder, on loopback.
const influxConfig = `reporting-disabled = true
bind-address = "127.0.0.1:%d"
[meta]
  dir = %q
[data]
  dir = %q
  wal-dir = %q
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:%d"
  log-enabled = false
[logging]
  level = "error"
  suppress-logo = true
`

// startInflux runs influxd and returns its URL.
func (b *bench) startInflux() (string, error) {
	rpc, err := freePort()
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, b.group, "influx")
	path, err := b.file(filepath.Join(b.group, "influxdb.conf"), fmt.Sprintf(influxConfig, rpc,
		filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), port))
	if err != nil {
		return "", err
	}
	p, err := b.start("influxd", exec.Command(b.tools.influxd, "run", "-config", path))
	if err != nil {
		return "", err
	}
	at := fmt.Sprintf("http://127.0.0.1:%d", port)
	return at, b.until("influxd answers", 30*time.Second, p, func() bool { return createDatabase(at, "yunhe") == nil })
}

func createDatabase(influx, name string) error {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.PostForm(influx+"/query", url.Values{"q": {"CREATE DATABASE " + name}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("create database: %s", resp.Status)
	}
	return nil
}

// collectorSetup says how a collector of a run is set up.
type collectorSetup struct {
	name    string // of its state folder
	broker  string // host:port
	influx  string // URL; empty means SQLite
	bucket  string // database of influx
	records string // host:port of the records listener; empty means none
}

func (b *bench) stateDir(s collectorSetup) string {
	return filepath.Join(b.dir, b.group, "collector-"+s.name)
}

// enroll makes a key known to a collector that may not have been started yet.
func (b *bench) enroll(s collectorSetup, gateway, key string) error {
	if err := os.MkdirAll(b.stateDir(s), 0o700); err != nil {
		return err
	}
	_, err := collector.Enroll(filepath.Join(b.stateDir(s), "keys.yaml"), site, gateway, key, time.Now())
	return err
}

// startCollector runs `yunhe collector` and waits until it listens to the
// broker. Keys are enrolled before.
func (b *bench) startCollector(s collectorSetup) (*process, error) {
	text := fmt.Sprintf("host: %s\nsites: [%s]\nstate_dir: %s\nbroker: {url: \"mqtt://%s\"}\n", host, site, b.stateDir(s), s.broker)
	text += b.seriesText(s)
	if s.records != "" {
		token, err := b.file("records.token", "a-token-of-this-benchmark-run-alone-0123456789\n")
		if err != nil {
			return nil, err
		}
		text += fmt.Sprintf("records: {listen: %q, token_file: %q}\n", s.records, token)
	}
	path, err := b.file(filepath.Join(b.group, "collector-"+s.name+".yaml"), text)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.tools.yunhe, "collector", "--config", path)
	if b.profile != "" {
		cmd = b.ownMode(modeCollector, path, filepath.Join(b.profile, "collector-"+s.name+".pprof"))
	}
	p, err := b.start("collector-"+s.name, cmd)
	if err != nil {
		return nil, err
	}
	return p, b.awaitHost(s.broker, p)
}

// seriesText is the section that says where readings are, for collector and
// API.
func (b *bench) seriesText(s collectorSetup) string {
	if s.influx == "" {
		return fmt.Sprintf("series: {kind: sqlite, path: %q}\n", filepath.Join(b.stateDir(s), "series.db"))
	}
	return fmt.Sprintf("series: {kind: influx, url: %q, bucket: %q}\n", s.influx, s.bucket+"/autogen")
}

// awaitHost waits until the collector has told that it is online.
func (b *bench) awaitHost(broker string, p *process) error {
	online := make(chan struct{}, 16)
	client, err := connect(broker, "bench-watch", func(_ mqtt.Client, m mqtt.Message) {
		if s, err := sparkplug.DecodeState(m.Payload()); err == nil && s.Online {
			select {
			case online <- struct{}{}:
			default:
			}
		}
	}, sparkplug.StateTopic(host))
	if err != nil {
		return err
	}
	defer client.Disconnect(0)
	return b.until("the collector is online", 30*time.Second, p, func() bool {
		select {
		case <-online:
			return true
		default:
			return false
		}
	})
}

// connect opens an MQTT session and subscribes.
func connect(broker, id string, handle mqtt.MessageHandler, filters ...string) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker("mqtt://" + broker).SetClientID(id).SetProtocolVersion(4).
		SetAutoReconnect(false).SetDefaultPublishHandler(handle).SetOrderMatters(true)
	client := mqtt.NewClient(o)
	if t := client.Connect(); !t.WaitTimeout(10*time.Second) || t.Error() != nil {
		return nil, fmt.Errorf("connect %s to the broker: %w", id, t.Error())
	}
	for _, f := range filters {
		if t := client.Subscribe(f, 1, nil); !t.WaitTimeout(10*time.Second) || t.Error() != nil {
			return nil, fmt.Errorf("subscribe %s: %w", f, t.Error())
		}
	}
	return client, nil
}
