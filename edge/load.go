package edge

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"yunhe/internal/strictyaml"
)

// maxConfigBytes bounds a config file: 256 devices with all keys need less.
const maxConfigBytes = 1 << 20

// Load reads a config file. The error holds every fault as
// strictyaml.Faults, each with file, line, key and a sentence. Relative paths
// in the file are relative to the file. Passwords and keys are not opened
// here: Check does that.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	return Parse(path, b)
}

// Parse is Load for bytes; path names the file in faults and is the base of
// relative paths.
func Parse(path string, b []byte) (Config, error) {
	file, root := strictyaml.Parse(path, b, maxConfigBytes)
	var c Config
	if root.Present() {
		c.read(root)
		c = c.WithDefaults()
		c.check(file.Fault)
	}
	if err := file.Err(); err != nil {
		return Config{}, err
	}
	c.resolvePaths(filepath.Dir(path))
	return c, nil
}

func (c *Config) read(root strictyaml.Node) {
	o := root.Object("gateway", "site", "state_dir", "key_file", "profile_dir",
		"broker", "link", "journal", "poll", "control", "buses", "devices")
	c.Gateway, _ = o.At("gateway").Text("the id under which this gateway is enrolled")
	c.Site, _ = o.At("site").Text("the id of the site")
	c.StateDir, _ = o.At("state_dir").Text("a directory that survives a restart, such as /var/lib/yunhe-edge")
	o.At("key_file").Into(&c.KeyFile, "the path of the key")
	o.At("profile_dir").Into(&c.ProfileDir, "a directory with profiles")
	c.Broker.read(o.At("broker"))
	c.Link.read(o.At("link"))
	c.Journal = Journal{MaxSize: DefaultMaxSize, Floor: DefaultFloor, Sync: DefaultSync}
	j := o.At("journal").Object("max_size", "floor", "sync")
	j.At("max_size").Size(&c.Journal.MaxSize)
	j.At("floor").Duration(&c.Journal.Floor)
	j.At("sync").Duration(&c.Journal.Sync)
	p := o.At("poll").Object("fast", "slow")
	p.At("fast").Duration(&c.Poll.Fast)
	p.At("slow").Duration(&c.Poll.Slow)
	o.At("control").Object("socket").At("socket").Into(&c.Control.Socket, "a path")
	for _, n := range o.At("buses").List() {
		b := n.Object("id", "address")
		id, _ := b.At("id").Text("an id for devices to refer to")
		address, _ := b.At("address").Text("tcp://host:port, rtu:///dev/ttyUSB0?baud=9600&parity=none, rtuovertcp://host:port or i2c:/dev/i2c-1")
		c.Buses = append(c.Buses, Bus{ID: id, Address: address})
	}
	for _, n := range o.At("devices").List() {
		c.Devices = append(c.Devices, readDevice(n))
	}
}

func (b *Broker) read(n strictyaml.Node) {
	o := n.Object("url", "client_id", "user", "password_file", "ca_file", "cert_file", "key_file")
	b.URL, _ = o.At("url").Text("mqtt://host:1883 or mqtts://host:8883")
	o.At("client_id").Into(&b.ClientID, "the MQTT client id")
	o.At("user").Into(&b.User, "the account's name")
	o.At("password_file").Into(&b.PasswordFile, "a path")
	o.At("ca_file").Into(&b.CAFile, "a path")
	o.At("cert_file").Into(&b.CertFile, "a path")
	o.At("key_file").Into(&b.KeyFile, "a path")
}

func (l *Link) read(n strictyaml.Node) {
	o := n.Object("kind", "batch", "deadband", "max_rows")
	kind := string(Ethernet)
	o.At("kind").Into(&kind, "ethernet or metered")
	l.Kind = LinkKind(kind)
	if l.Kind == Metered {
		l.Batch, l.Deadband, l.MaxRows = DefaultBatch, DefaultDeadband, DefaultMaxRows
	}
	o.At("batch").Duration(&l.Batch)
	o.At("deadband").Number(&l.Deadband, 0, 1)
	rows := uint64(l.MaxRows)
	o.At("max_rows").Uint(&rows, 0, math.MaxInt32)
	l.MaxRows = int(rows)
}

func readDevice(n strictyaml.Node) Device {
	o := n.Object("id", "profile", "bus", "unit", "i2c_address", "points", "fast", "slow")
	var d Device
	d.ID, _ = o.At("id").Text("an id")
	d.Profile, _ = o.At("profile").Text("the name of a profile, or sunspec")
	d.Bus, _ = o.At("bus").Text("the id of a bus")
	var unit, address uint64
	o.At("unit").Uint(&unit, 0, math.MaxUint8)
	o.At("i2c_address").Uint(&address, 0x08, 0x77)
	d.Unit, d.I2CAddress = uint8(unit), uint8(address)
	o.At("points").Texts(&d.Points, "the name of a point")
	o.At("fast").Duration(&d.Fast)
	o.At("slow").Duration(&d.Slow)
	return d
}

// resolvePaths makes every relative path relative to the config file.
func (c *Config) resolvePaths(dir string) {
	for _, p := range []*string{
		&c.StateDir, &c.KeyFile, &c.ProfileDir, &c.Control.Socket,
		&c.Broker.PasswordFile, &c.Broker.CAFile, &c.Broker.CertFile, &c.Broker.KeyFile,
	} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
