package edge

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// maxConfigBytes bounds a config file: 256 devices with all keys need less.
const maxConfigBytes = 1 << 20

// Load reads a config file. The error holds every fault as Faults, each with
// file, line, key and a sentence. Relative paths in the file are relative to
// the file. Passwords and keys are not opened here: Check does that.
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
	if len(b) > maxConfigBytes {
		return Config{}, Faults{{File: path, Line: 1, Key: "file", Text: fmt.Sprintf("has %d bytes; %d are allowed", len(b), maxConfigBytes)}}
	}
	d := &document{path: path, lines: map[string]int{}}
	root, fault := parseYAML(path, b)
	if fault != nil {
		return Config{}, Faults{*fault}
	}
	var c Config
	d.section(root, "", func(s *section) { s.config(&c) })
	c = c.WithDefaults()
	d.validate(c)
	if len(d.faults) > 0 {
		slices.SortStableFunc(d.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
		return Config{}, d.faults
	}
	c.resolvePaths(filepath.Dir(path))
	return c, nil
}

// parseYAML returns the one document of the file, or why there is none.
func parseYAML(path string, b []byte) (node, *Fault) {
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		fault := Fault{File: path, Line: 1, Key: "file", Text: "is no YAML: " + err.Error()}
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil {
			fault.Line = ye.GetToken().Position.Line
			fault.Text = "is no YAML: " + ye.GetMessage()
		}
		return nil, &fault
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, &Fault{File: path, Line: 1, Key: "file", Text: fmt.Sprintf("holds %d YAML documents; one is wanted", countDocs(f))}
	}
	return f.Docs[0].Body, nil
}

// validate adds the faults of meaning, except where reading the key failed
// already: one mistake is reported once.
func (d *document) validate(c Config) {
	var fs Faults
	if err := c.Validate(); err != nil && !errors.As(err, &fs) {
		d.fault("", 1, "%s", err)
	}
	unread := make(map[string]bool, len(d.faults))
	for _, f := range d.faults {
		unread[f.Key] = true
	}
	for _, f := range fs {
		if !unread[f.Key] && !unread[parentKey(f.Key)] {
			d.fault(f.Key, d.line(f.Key), "%s", f.Text)
		}
	}
}

// config reads the top of the file.
func (s *section) config(c *Config) {
	s.text("gateway", &c.Gateway)
	s.text("site", &c.Site)
	s.text("state_dir", &c.StateDir)
	s.text("key_file", &c.KeyFile)
	s.text("profile_dir", &c.ProfileDir)
	s.sub("broker", func(s *section) {
		s.text("url", &c.Broker.URL)
		s.text("client_id", &c.Broker.ClientID)
		s.text("user", &c.Broker.User)
		s.text("password_file", &c.Broker.PasswordFile)
		s.text("ca_file", &c.Broker.CAFile)
		s.text("cert_file", &c.Broker.CertFile)
		s.text("key_file", &c.Broker.KeyFile)
	})
	s.sub("link", func(s *section) { s.link(&c.Link) })
	s.sub("journal", func(s *section) {
		c.Journal = Journal{MaxSize: DefaultMaxSize, Floor: DefaultFloor, Sync: DefaultSync}
		s.size("max_size", &c.Journal.MaxSize)
		s.duration("floor", &c.Journal.Floor)
		s.duration("sync", &c.Journal.Sync)
	})
	s.sub("poll", func(s *section) {
		s.duration("fast", &c.Poll.Fast)
		s.duration("slow", &c.Poll.Slow)
	})
	s.sub("control", func(s *section) { s.text("socket", &c.Control.Socket) })
	s.each("buses", func(s *section) {
		var b Bus
		s.text("id", &b.ID)
		s.text("address", &b.Address)
		c.Buses = append(c.Buses, b)
	})
	s.each("devices", func(s *section) {
		var d Device
		s.device(&d)
		c.Devices = append(c.Devices, d)
	})
}

func (s *section) link(l *Link) {
	var kind string
	s.text("kind", &kind)
	l.Kind = LinkKind(kind)
	if l.Kind == Metered {
		l.Batch, l.Deadband, l.MaxRows = DefaultBatch, DefaultDeadband, DefaultMaxRows
	}
	s.duration("batch", &l.Batch)
	s.fraction("deadband", &l.Deadband)
	var rows = uint64(l.MaxRows)
	s.integer("max_rows", &rows, math.MaxInt32)
	l.MaxRows = int(rows)
}

func (s *section) device(d *Device) {
	s.text("id", &d.ID)
	s.text("profile", &d.Profile)
	s.text("bus", &d.Bus)
	var unit, address uint64
	s.integer("unit", &unit, math.MaxUint8)
	s.integer("i2c_address", &address, math.MaxUint16)
	d.Unit, d.I2CAddress = uint8(unit), uint16(address)
	s.texts("points", &d.Points)
	s.duration("fast", &d.Fast)
	s.duration("slow", &d.Slow)
	s.sub("parameters", func(s *section) {
		d.Parameters = map[string]string{}
		for name := range s.values {
			var v string
			s.text(name, &v)
			d.Parameters[name] = v
		}
	})
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

// parentKey gives buses for buses[1], and buses[1] for buses[1].id.
func parentKey(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}
