// Package server assembles the server side from configuration files: the
// series store, the API, the embedded broker, and all of them together.
package server

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"

	"yunhe/collector"
	"yunhe/internal/strictyaml"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// APIConfig is the content of api.yaml.
type APIConfig struct {
	Listen            string // host:port
	CertFile, KeyFile string // TLS; both or none
	Catalog           string // catalog file
	KeysFile          string // hashed API keys
	// Series is where readings are read; `yunhe serve` uses the collector's.
	Series collector.Series
	// RecordsURL is the collector's records listener, for an API in a process
	// of its own.
	RecordsURL       string
	RecordsTokenFile string
}

// LoadAPI reads api.yaml. alone says that the API will run without a
// collector in its process and therefore needs series and records.
func LoadAPI(path string, alone bool) (APIConfig, error) {
	var c APIConfig
	err := load(path, func(root strictyaml.Node) {
		o := root.Object("listen", "tls", "catalog", "keys_file", "series", "records")
		c.Listen = address(o.At("listen"))
		tls := o.At("tls").Object("cert_file", "key_file")
		tls.At("cert_file").Into(&c.CertFile, "a file")
		tls.At("key_file").Into(&c.KeyFile, "a file")
		if (c.CertFile == "") != (c.KeyFile == "") {
			o.At("tls").Fault("needs both cert_file and key_file")
		}
		c.Catalog, _ = o.At("catalog").Text("the catalog file")
		c.KeysFile, _ = o.At("keys_file").Text("the file of API keys, made by yunhe key create")
		records := o.At("records").Object("url", "token_file")
		switch {
		case alone && !o.At("series").Present():
			o.At("series").Fault("is missing: say where readings are, as in collector.yaml")
		case alone && !o.At("records").Present():
			o.At("records").Fault("is missing: give url and token_file of the collector's records listener")
		}
		if o.At("series").Present() {
			c.Series = readSeries(o.At("series"))
		}
		if o.At("records").Present() {
			c.RecordsURL, _ = records.At("url").Text("the collector's records listener, such as http://collector:8481")
			c.RecordsTokenFile, _ = records.At("token_file").Text("the file with its token")
		}
	})
	if err != nil {
		return APIConfig{}, err
	}
	under(path, &c.CertFile, &c.KeyFile, &c.Catalog, &c.KeysFile, &c.Series.Path, &c.Series.TokenFile, &c.RecordsTokenFile)
	return c, nil
}

func readSeries(n strictyaml.Node) collector.Series {
	o := n.Object("kind", "path", "url", "org", "bucket", "token_file")
	var s collector.Series
	s.Kind, _ = o.At("kind").Text("sqlite or influx")
	o.At("path").Into(&s.Path, "the database file")
	o.At("url").Into(&s.URL, "the server's URL")
	o.At("org").Into(&s.Org, "the organisation")
	o.At("bucket").Into(&s.Bucket, "the bucket")
	o.At("token_file").Into(&s.TokenFile, "the file with the token")
	switch s.Kind {
	case collector.SeriesSQLite:
		if s.Path == "" {
			o.At("path").Fault("is missing: give the collector's database file")
		}
	case collector.SeriesInflux:
		if s.URL == "" || s.Bucket == "" {
			n.Fault("needs url and bucket for influx")
		}
	case "":
	default:
		o.At("kind").Fault("%q is no kind of store: use sqlite or influx", s.Kind)
	}
	return s
}

// BrokerConfig is the content of broker.yaml.
type BrokerConfig struct {
	Listen    string // host:port without TLS; empty means none
	TLSListen string // host:port with TLS; empty means none
	CertFile  string
	KeyFile   string
	// PasswordsFile holds the accounts, as `yunhe gateway account` writes them.
	PasswordsFile string
	// WritesPending bounds the messages that wait for one client.
	WritesPending int
}

// LoadBroker reads broker.yaml.
func LoadBroker(path string) (BrokerConfig, error) {
	var c BrokerConfig
	err := load(path, func(root strictyaml.Node) {
		o := root.Object("listen", "tls", "passwords_file", "writes_pending")
		if o.At("listen").Present() {
			c.Listen = address(o.At("listen"))
		}
		if tls := o.At("tls").Object("listen", "cert_file", "key_file"); o.At("tls").Present() {
			c.TLSListen = address(tls.At("listen"))
			c.CertFile, _ = tls.At("cert_file").Text("the certificate, PEM")
			c.KeyFile, _ = tls.At("key_file").Text("its key, PEM")
		}
		if c.Listen == "" && c.TLSListen == "" {
			root.Fault("needs listen, or tls with listen")
		}
		c.PasswordsFile, _ = o.At("passwords_file").Text("the file of accounts, made by yunhe gateway account")
		var n uint64
		o.At("writes_pending").Uint(&n, 16, math.MaxInt32)
		c.WritesPending = int(n)
	})
	if err != nil {
		return BrokerConfig{}, err
	}
	under(path, &c.CertFile, &c.KeyFile, &c.PasswordsFile)
	return c, nil
}

// load reads a file with fn and returns every fault.
func load(path string, fn func(strictyaml.Node)) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	file, root := strictyaml.Parse(path, b, maxConfig)
	if root.Present() {
		fn(root)
	}
	return file.Err()
}

func address(n strictyaml.Node) string {
	s, ok := n.Text("host:port, such as 127.0.0.1:8480")
	if !ok {
		return ""
	}
	if _, _, err := net.SplitHostPort(s); err != nil {
		n.Fault("%q is no host:port, such as 127.0.0.1:8480", s)
		return ""
	}
	return s
}

// under makes relative paths relative to the file that names them.
func under(file string, paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(file), *p)
		}
	}
}
