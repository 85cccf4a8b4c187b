// Package edge is the gateway agent: it polls the devices of one building,
// signs what it read, keeps it in a journal and sends it until the collector
// has acknowledged it. Config says what to read, Run does it.
package edge

import (
	"path/filepath"
	"time"
)

// Config describes one gateway. Load reads it from YAML and reports every
// fault at once; programs that build it themselves call Validate.
// docs/formats/edge-config.md describes the file.
type Config struct {
	Gateway string // id of this gateway: the Sparkplug edge node
	Site    string // id of the site: the Sparkplug group
	// StateDir holds the key, the journals, bdSeq and the control socket. It is
	// created with mode 0700.
	StateDir string
	// KeyFile is the private key that signs; empty means gateway.key in StateDir.
	KeyFile string
	// ProfileDir holds profiles that override the embedded ones by name; may
	// be empty.
	ProfileDir string
	Broker     Broker
	Link       Link
	Journal    Journal
	Poll       Poll
	Control    Control
	Buses      []Bus
	Devices    []Device
}

// Broker says where and as whom to connect.
type Broker struct {
	URL string // mqtt://host:port or mqtts://host:port
	// ClientID is the MQTT client id; empty means User, or <site>.<gateway>
	// without one. Brokers tie an account to client ids that start with it.
	ClientID     string
	User         string
	PasswordFile string // one line; needs User
	CAFile       string // PEM; empty means the roots of the system
	CertFile     string // PEM client certificate; needs KeyFile
	KeyFile      string
}

// LinkKind says what a byte costs.
type LinkKind string

// The kinds of link.
const (
	Ethernet LinkKind = "ethernet" // every poll is recorded and sent
	Metered  LinkKind = "metered"  // counters on quarter hours, gauges by deadband and in batches
)

// Link describes the way to the broker. The fields below Kind matter on a
// metered link only.
type Link struct {
	Kind LinkKind // empty means ethernet
	// Batch is how long the gauges of a device are gathered into one message.
	// A power cut loses the gauges of at most that long, never a counter.
	Batch time.Duration
	// Deadband is the relative change, as a fraction of the last recorded
	// value, from which a gauge is recorded again within one batch.
	Deadband float64
	// MaxRows bounds the gauges of one batch, so that a restless device cannot
	// spend the volume of the month.
	MaxRows int
}

// Journal bounds what is kept on disk.
type Journal struct {
	MaxSize int64         // bytes of both journals together
	Floor   time.Duration // acknowledged entries are kept at least this long
	// Sync is the group commit interval: what a power cut can lose of readings
	// not yet promised. 0 makes every append wait for the disk.
	Sync time.Duration
}

// Poll holds the periods that apply where a device states none.
type Poll struct {
	Fast time.Duration // points of the fast group
	Slow time.Duration // all others
}

// Control is the socket that `yunhe-edge status` talks to.
type Control struct {
	Socket string // empty means control.sock in StateDir; mode 0600
}

// Bus is one line that devices hang on.
type Bus struct {
	ID string
	// Address is tcp://host:port, rtu:///dev/ttyUSB0?baud=9600&parity=none,
	// rtuovertcp://host:port or i2c:/dev/i2c-1.
	Address string
}

// Device is one device on a bus.
type Device struct {
	ID      string
	Profile string // name of a profile, or "sunspec" to walk the model chain
	Bus     string // id of a bus
	Unit    uint8  // Modbus unit id
	// I2CAddress is the 7-bit address of a device on an I2C bus.
	I2CAddress uint8
	Points     []string      // empty means all that the profile enables
	Fast       time.Duration // 0 means the gateway's
	Slow       time.Duration
}

// SunSpec as a device's profile means: find the models the device offers.
const SunSpec = "sunspec"

// Defaults of what a config file may leave out.
const (
	DefaultFast       = 10 * time.Second
	DefaultSlow       = time.Minute
	DefaultMaxSize    = int64(512) << 20
	DefaultFloor      = 24 * time.Hour
	DefaultSync       = time.Second
	DefaultBatch      = 15 * time.Minute
	DefaultDeadband   = 0.05
	DefaultMaxRows    = 24
	quarterHour       = 15 * time.Minute
	meteredDefaultGap = 5 * time.Minute
)

// WithDefaults returns c with every setting that may be left out filled in.
// Journal and the metered settings of Link are filled in only as a whole,
// because 0 is a meaning of theirs.
func (c Config) WithDefaults() Config {
	setDefault(&c.Link.Kind, Ethernet)
	if c.Link.Kind == Metered {
		setDefault(&c.Poll.Fast, meteredDefaultGap)
		setDefault(&c.Poll.Slow, meteredDefaultGap)
		if c.Link == (Link{Kind: Metered}) {
			c.Link = Link{Kind: Metered, Batch: DefaultBatch, Deadband: DefaultDeadband, MaxRows: DefaultMaxRows}
		}
	}
	if c.Journal == (Journal{}) {
		c.Journal = Journal{MaxSize: DefaultMaxSize, Floor: DefaultFloor, Sync: DefaultSync}
	}
	setDefault(&c.Poll.Fast, DefaultFast)
	setDefault(&c.Poll.Slow, DefaultSlow)
	if c.StateDir != "" {
		setDefault(&c.KeyFile, filepath.Join(c.StateDir, "gateway.key"))
		setDefault(&c.Control.Socket, filepath.Join(c.StateDir, "control.sock"))
	}
	setDefault(&c.Broker.ClientID, c.Broker.User)
	if c.Site != "" && c.Gateway != "" {
		setDefault(&c.Broker.ClientID, c.Site+"."+c.Gateway)
	}
	c.Devices = append([]Device(nil), c.Devices...)
	for i := range c.Devices {
		setDefault(&c.Devices[i].Fast, c.Poll.Fast)
		setDefault(&c.Devices[i].Slow, c.Poll.Slow)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
