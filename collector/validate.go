package collector

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"yunhe/internal/telemetry"
)

// minQuarantine is the smallest useful quarantine: some of the largest messages.
const minQuarantine = 4 << 20

// minQueueBytes is the smallest useful queue: some of the largest messages.
const minQueueBytes = 4 << 20

// minRawRetention is the shortest useful retention: what came a day ago may
// still have to be re-timed or looked at.
const minRawRetention = 24 * time.Hour

// Validate reports every fault of meaning, a line each; c has its defaults.
func (c Config) Validate() error {
	var errs []error
	c.check(func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	})
	return errors.Join(errs...)
}

// check hands every fault of meaning to bad.
func (c Config) check(bad func(key, format string, args ...any)) {
	if c.Host == "" {
		bad("host", "is missing: give this collector a name of its own, it becomes the Sparkplug host id")
	} else if err := telemetry.CheckID(c.Host); err != nil {
		bad("host", "%s", err)
	}
	if len(c.Sites) == 0 {
		bad("sites", "is missing: list the sites this collector owns")
	}
	seen := map[string]bool{}
	for i, s := range c.Sites {
		key := fmt.Sprintf("sites[%d]", i)
		if err := telemetry.CheckID(s); err != nil {
			bad(key, "%s", err)
		} else if seen[s] {
			bad(key, "%q is listed twice: remove one", s)
		}
		seen[s] = true
	}
	if c.StateDir == "" {
		bad("state_dir", "is missing: name a directory that survives restarts")
	}
	c.Broker.validate(bad)
	c.Series.validate(bad)
	c.validateLimits(bad)
}

func (b Broker) validate(bad func(key, format string, args ...any)) {
	u, err := url.Parse(b.URL)
	switch {
	case b.URL == "":
		bad("broker.url", "is missing: write it as mqtts://host:8883")
	case err != nil || u.Port() == "" || u.Hostname() == "" || (u.Scheme != "mqtt" && u.Scheme != "mqtts"):
		bad("broker.url", "%q is no broker address: write it as mqtts://host:8883 or mqtt://host:1883", b.URL)
	case u.User != nil:
		bad("broker.url", "holds a user or password: put them in broker.user and broker.password_file")
	case u.Scheme == "mqtt" && (b.CAFile != "" || b.CertFile != ""):
		bad("broker.url", "is mqtt:// and certificates are given: write mqtts://, or remove them")
	}
	if (b.CertFile == "") != (b.KeyFile == "") {
		bad("broker.cert_file", "and broker.key_file belong together: give both or none")
	}
	if b.PasswordFile != "" && b.User == "" {
		bad("broker.user", "is missing: a password file is given")
	}
}

func (s Series) validate(bad func(key, format string, args ...any)) {
	switch s.Kind {
	case SeriesSQLite:
		for _, f := range []struct{ key, value string }{
			{"series.url", s.URL}, {"series.org", s.Org}, {"series.bucket", s.Bucket}, {"series.token_file", s.TokenFile},
		} {
			if f.value != "" {
				bad(f.key, "belongs to kind influx: remove it, or change series.kind")
			}
		}
	case SeriesInflux:
		if u, err := url.Parse(s.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("series.url", "%q is no address of an InfluxDB: write it as http://host:8086", s.URL)
		}
		if s.Bucket == "" {
			bad("series.bucket", "is missing: name the bucket, for InfluxDB 1.8 database/policy")
		}
		if s.Path != "" {
			bad("series.path", "belongs to kind sqlite: remove it, or change series.kind")
		}
	case "":
		bad("series.kind", "is missing: write sqlite or influx")
	default:
		bad("series.kind", "%q is unknown: write sqlite or influx", s.Kind)
	}
}

func (c Config) validateLimits(bad func(key, format string, args ...any)) {
	if c.QueueBytes < minQueueBytes {
		bad("queue_bytes", "%d bytes is too small: at least 4MiB", c.QueueBytes)
	}
	if c.Flush.Interval > 10*time.Second {
		bad("flush.interval", "%s is too long: acknowledgements would come after the gateways send again; at most 10s", c.Flush.Interval)
	}
	if r := c.Evidence.RawRetention; r < 0 || r > 0 && r < minRawRetention {
		bad("evidence.raw_retention", "%s is too short: at least 24h, or 0s to keep raw evidence for ever", r)
	}
	if c.Quarantine.MaxBytes < minQuarantine {
		bad("quarantine.max_size", "%d bytes is too small: at least 4MiB", c.Quarantine.MaxBytes)
	}
	if c.Records.Listen == "" {
		if c.Records.TokenFile != "" {
			bad("records.listen", "is missing: a token file is given")
		}
		return
	}
	if _, _, err := net.SplitHostPort(c.Records.Listen); err != nil {
		bad("records.listen", "%q is no address: write it as 127.0.0.1:8091", c.Records.Listen)
	}
	if c.Records.TokenFile == "" {
		bad("records.token_file", "is missing: the listener is open to nobody without a token")
	}
}
