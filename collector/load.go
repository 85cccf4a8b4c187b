package collector

import (
	"fmt"
	"os"
	"path/filepath"

	"yunhe/internal/strictyaml"
)

// maxConfigBytes bounds a config file.
const maxConfigBytes = 1 << 20

// Load reads a config file. Relative paths in it are relative to the file.
// Passwords and tokens are not opened here. What is wrong with the file are
// strictyaml.Faults, all of them.
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
	if err := file.Err(); err != nil {
		return Config{}, err
	}
	var c Config
	if !c.read(root) && file.Err() != nil {
		return Config{}, file.Err() // no config at all: what is missing is not the point
	}
	c.resolvePaths(filepath.Dir(path))
	c = c.WithDefaults()
	c.check(func(key, format string, args ...any) {
		if !file.Faulty(key) { // one mistake is reported once
			file.Fault(key, format, args...)
		}
	})
	if err := file.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// read takes up the file and reports whether any key is there.
func (c *Config) read(root strictyaml.Node) bool {
	top := root.Object("host", "sites", "state_dir", "keys_file", "queue", "queue_bytes", "broker", "series", "flush", "evidence", "quarantine", "records")
	top.At("host").Into(&c.Host, "the Sparkplug host id")
	for _, n := range top.At("sites").List() {
		s, _ := n.Text("the id of a site") // a faulty one keeps its place
		c.Sites = append(c.Sites, s)
	}
	top.At("state_dir").Into(&c.StateDir, "a directory that survives restarts")
	top.At("keys_file").Into(&c.KeysFile, "the enrolment file")
	integer(top.At("queue"), &c.Queue, 16, 1<<20)
	top.At("queue_bytes").Size(&c.QueueBytes)
	notZero(top.At("queue_bytes"), c.QueueBytes == 0)
	c.Broker.read(top.At("broker"))
	c.Series.read(top.At("series"))
	o := top.At("flush").Object("entries", "interval")
	integer(o.At("entries"), &c.Flush.Entries, 1, 10000)
	o.At("interval").Duration(&c.Flush.Interval)
	notZero(o.At("interval"), c.Flush.Interval == 0)
	o = top.At("evidence").Object("raw_retention")
	c.Evidence.RawRetention = DefaultRawRetention
	o.At("raw_retention").Duration(&c.Evidence.RawRetention)
	o = top.At("quarantine").Object("max_size", "max_entries")
	o.At("max_size").Size(&c.Quarantine.MaxBytes)
	notZero(o.At("max_size"), c.Quarantine.MaxBytes == 0)
	integer(o.At("max_entries"), &c.Quarantine.MaxEntries, 16, 1<<20)
	o = top.At("records").Object("listen", "token_file")
	o.At("listen").Into(&c.Records.Listen, "host:port")
	o.At("token_file").Into(&c.Records.TokenFile, "the file that holds the token")
	return len(top.Keys()) > 0
}

func (b *Broker) read(n strictyaml.Node) {
	o := n.Object("url", "client_id", "user", "password_file", "ca_file", "cert_file", "key_file")
	o.At("url").Into(&b.URL, "mqtts://host:8883")
	o.At("client_id").Into(&b.ClientID, "an MQTT client id")
	o.At("user").Into(&b.User, "the MQTT user")
	o.At("password_file").Into(&b.PasswordFile, "the file that holds the password")
	o.At("ca_file").Into(&b.CAFile, "a PEM file")
	o.At("cert_file").Into(&b.CertFile, "a PEM file")
	o.At("key_file").Into(&b.KeyFile, "a PEM file")
}

func (s *Series) read(n strictyaml.Node) {
	o := n.Object("kind", "path", "url", "org", "bucket", "token_file")
	o.At("kind").Into(&s.Kind, "sqlite or influx")
	o.At("path").Into(&s.Path, "the database file")
	o.At("url").Into(&s.URL, "http://host:8086")
	o.At("org").Into(&s.Org, "the organisation")
	o.At("bucket").Into(&s.Bucket, "the bucket")
	o.At("token_file").Into(&s.TokenFile, "the file that holds the token")
}

// integer reads a whole number from lo to hi; absent leaves *to.
func integer(n strictyaml.Node, to *int, lo, hi uint64) {
	u := uint64(*to)
	n.Uint(&u, lo, hi)
	*to = int(u)
}

// notZero refuses a limit of nothing, which would read as "not given".
func notZero(n strictyaml.Node, zero bool) {
	if n.Present() && zero {
		n.Fault("must be more than 0: give more, or remove the key")
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
