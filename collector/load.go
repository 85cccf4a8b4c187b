package collector

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfigBytes bounds a config file.
const maxConfigBytes = 1 << 20

// Fault is one thing that is wrong in a config.
type Fault struct {
	File string
	Line int    // from 1; 0 if the config came from no file
	Key  string // e.g. broker.url
	Text string // cause and remedy
}

// Error gives "file:line: key: sentence".
func (f Fault) Error() string {
	if f.File == "" {
		return f.Key + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Key, f.Text)
}

// Faults is every fault of a config, in the order of the file.
type Faults []Fault

// Error gives one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads a config file. Relative paths in it are relative to the file.
// Passwords and tokens are not opened here.
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
		return Config{}, Faults{{path, 1, "file", fmt.Sprintf("has %d bytes; at most %d are read", len(b), maxConfigBytes)}}
	}
	d := &document{file: path, lines: map[string]int{}}
	root, fault := parseYAML(path, b)
	if fault != nil {
		return Config{}, Faults{*fault}
	}
	var c Config
	d.mapping(root, "", func(s *section) { s.config(&c) })
	c.resolvePaths(filepath.Dir(path))
	c = c.WithDefaults()
	d.check(c)
	if len(d.faults) > 0 {
		slices.SortStableFunc(d.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
		return Config{}, d.faults
	}
	return c, nil
}

// parseYAML returns the one document of the file, or why there is none.
func parseYAML(path string, b []byte) (ast.Node, *Fault) {
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		fault := Fault{path, 1, "file", "is no YAML: " + err.Error()}
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
			fault.Line, fault.Text = ye.GetToken().Position.Line, "is no YAML: "+ye.GetMessage()
		}
		return nil, &fault
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, &Fault{path, 1, "file", "must hold exactly one YAML document"}
	}
	return f.Docs[0].Body, nil
}

// config reads the top of the file.
func (s *section) config(c *Config) {
	s.text("host", &c.Host)
	s.texts("sites", &c.Sites)
	s.text("state_dir", &c.StateDir)
	s.text("keys_file", &c.KeysFile)
	s.integer("queue", &c.Queue, 16, 1<<20)
	s.sub("broker", func(s *section) {
		s.text("url", &c.Broker.URL)
		s.text("client_id", &c.Broker.ClientID)
		s.text("user", &c.Broker.User)
		s.text("password_file", &c.Broker.PasswordFile)
		s.text("ca_file", &c.Broker.CAFile)
		s.text("cert_file", &c.Broker.CertFile)
		s.text("key_file", &c.Broker.KeyFile)
	})
	s.sub("series", func(s *section) {
		s.text("kind", &c.Series.Kind)
		s.text("path", &c.Series.Path)
		s.text("url", &c.Series.URL)
		s.text("org", &c.Series.Org)
		s.text("bucket", &c.Series.Bucket)
		s.text("token_file", &c.Series.TokenFile)
	})
	s.sub("flush", func(s *section) {
		s.integer("entries", &c.Flush.Entries, 1, 10000)
		s.duration("interval", &c.Flush.Interval)
	})
	s.sub("quarantine", func(s *section) {
		s.size("max_size", &c.Quarantine.MaxBytes)
		s.integer("max_entries", &c.Quarantine.MaxEntries, 16, 1<<20)
	})
	s.sub("records", func(s *section) {
		s.text("listen", &c.Records.Listen)
		s.text("token_file", &c.Records.TokenFile)
	})
}

// check adds the faults of meaning, except where reading the key failed
// already: one mistake is reported once.
func (d *document) check(c Config) {
	var meaning Faults
	if err := c.Validate(); err != nil && !errors.As(err, &meaning) {
		d.fault("file", 1, "%s", err)
	}
	for _, f := range meaning {
		if !slices.ContainsFunc(d.faults, func(g Fault) bool { return g.Key == f.Key || strings.HasPrefix(f.Key, g.Key+".") }) {
			d.fault(f.Key, d.line(f.Key), "%s", f.Text)
		}
	}
}

// resolvePaths makes every relative path relative to the config file.
func (c *Config) resolvePaths(dir string) {
	for _, p := range []*string{
		&c.StateDir, &c.KeysFile, &c.Series.Path, &c.Series.TokenFile, &c.Records.TokenFile,
		&c.Broker.PasswordFile, &c.Broker.CAFile, &c.Broker.CertFile, &c.Broker.KeyFile,
	} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
