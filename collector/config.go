package collector

import (
	"cmp"
	"path/filepath"
	"time"
)

// Config describes one collector. Load reads it from YAML and reports every
// fault at once.
type Config struct {
	// Host is the Sparkplug host id: unique among all that listen to a broker.
	Host string
	// Sites are the sites this collector owns; no other collector may.
	Sites []string
	// StateDir holds evidence, records, quarantine, the enrolled keys and the
	// control socket. It is created with mode 0700 and locked for life.
	StateDir string
	// KeysFile is the enrolment file; empty means keys.yaml in StateDir.
	KeysFile string
	Broker   Broker
	Series   Series
	Flush    Flush
	Evidence Evidence
	// Queue and QueueBytes bound the messages that wait, are decided or are
	// being stored; more are dropped, counted and come back.
	Queue      int
	QueueBytes int64
	Quarantine Quarantine
	Records    Records
}

// Broker says where and as whom to connect.
type Broker struct {
	URL          string // mqtt://host:port or mqtts://host:port
	ClientID     string // empty means <user>-<host>, without a user yunhe-<host>
	User         string
	PasswordFile string // one line; needs User
	CAFile       string // PEM; empty means the roots of the system
	CertFile     string // PEM client certificate; needs KeyFile
	KeyFile      string
}

// The kinds of series store.
const (
	SeriesSQLite = "sqlite"
	SeriesInflux = "influx"
)

// Series says where readings go. The program opens the store and hands it to
// the collector.
type Series struct {
	Kind      string // sqlite or influx
	Path      string // sqlite: the database file; empty means series.db in StateDir
	URL       string // influx: http(s)://host:port
	Org       string // influx 2.x
	Bucket    string // influx: bucket, for 1.8 database/policy
	TokenFile string // influx: token, for 1.8 user:password
}

// Flush bounds what is stored and acknowledged together.
type Flush struct {
	Entries  int           // at most this many messages
	Interval time.Duration // a message waits at most this long for others
}

// Evidence says how long signed bytes are kept. Boundary batches, definitions,
// events and records are never deleted.
type Evidence struct {
	// RawRetention is how long raw batches are kept, counted from when they
	// were stored: a gateway's clock may be wrong. 0 keeps them for ever; where
	// the file says nothing Load gives DefaultRawRetention.
	RawRetention time.Duration
}

// Quarantine bounds what is kept of refused messages. Validly signed ones and
// samples of the others have a budget each, so that noise pushes out no evidence.
type Quarantine struct {
	MaxBytes   int64
	MaxEntries int
}

// Records is the second listener, which a separate API reads.
type Records struct {
	Listen    string // host:port; empty means none
	TokenFile string // one line, at least 32 bytes; needs Listen
}

// What applies where the file says nothing.
const (
	DefaultFlushEntries      = 500
	DefaultFlushInterval     = 50 * time.Millisecond
	DefaultQueue             = 8192
	DefaultQueueBytes        = 64 << 20
	DefaultRawRetention      = 400 * 24 * time.Hour
	DefaultQuarantineBytes   = 256 << 20
	DefaultQuarantineEntries = 20000
)

// WithDefaults returns c with every limit that is zero at its default.
func (c Config) WithDefaults() Config {
	if c.Flush.Entries == 0 {
		c.Flush.Entries = DefaultFlushEntries
	}
	if c.Flush.Interval == 0 {
		c.Flush.Interval = DefaultFlushInterval
	}
	if c.Queue == 0 {
		c.Queue = DefaultQueue
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = DefaultQueueBytes
	}
	if c.Quarantine.MaxBytes == 0 {
		c.Quarantine.MaxBytes = DefaultQuarantineBytes
	}
	if c.Quarantine.MaxEntries == 0 {
		c.Quarantine.MaxEntries = DefaultQuarantineEntries
	}
	if c.KeysFile == "" && c.StateDir != "" {
		c.KeysFile = filepath.Join(c.StateDir, "keys.yaml")
	}
	if c.Series.Kind == SeriesSQLite && c.Series.Path == "" {
		c.Series.Path = filepath.Join(c.StateDir, "series.db")
	}
	if c.Broker.ClientID == "" {
		c.Broker.ClientID = cmp.Or(c.Broker.User, "yunhe") + "-" + c.Host
	}
	return c
}
