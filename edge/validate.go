package edge

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"yunhe/edge/internal/bus"
	"yunhe/internal/telemetry"
)

// Fault is one thing wrong in a config. Key is the path of the setting, such
// as devices[2].bus; Line is 0 for a config that came from no file.
type Fault struct {
	File string
	Line int
	Key  string
	Text string // a sentence: what is wrong and what to do
}

// Error gives file:line: key: sentence.
func (f Fault) Error() string {
	where := f.Key
	if f.File != "" {
		where = fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Key)
	}
	return where + ": " + f.Text
}

// Faults are all faults of one config, in the order of the file.
type Faults []Fault

// Error gives one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// add appends one fault.
func (fs *Faults) add(key, format string, args ...any) {
	*fs = append(*fs, Fault{Key: key, Text: fmt.Sprintf(format, args...)})
}

// Limits on a config: they bound memory and the number of goroutines.
const (
	maxBuses   = 32
	maxDevices = 256
	minSize    = int64(16e6)
)

// Validate reports every fault of c as Faults, nil if there is none. Settings
// that may be left out must be filled in first (WithDefaults).
func (c Config) Validate() error {
	var fs Faults
	c.validateIdentity(&fs)
	c.Broker.validate(&fs)
	c.Link.validate(&fs)
	c.validateLimits(&fs)
	buses := c.validateBuses(&fs)
	c.validateDevices(&fs, buses)
	if len(fs) == 0 {
		return nil
	}
	return fs
}

func (c Config) validateIdentity(fs *Faults) {
	if c.Gateway == "" {
		fs.add("gateway", "is missing; give the id under which this gateway is enrolled")
	} else if err := telemetry.CheckID(c.Gateway); err != nil {
		fs.add("gateway", "%s", err)
	}
	if c.Site == "" {
		fs.add("site", "is missing; give the id of the site")
	} else if err := telemetry.CheckID(c.Site); err != nil {
		fs.add("site", "%s", err)
	}
	if c.StateDir == "" {
		fs.add("state_dir", "is missing; give a directory that survives a restart, such as /var/lib/yunhe-edge")
	}
}

func (b Broker) validate(fs *Faults) {
	if b.URL == "" {
		fs.add("broker.url", "is missing; give mqtt://host:1883 or mqtts://host:8883")
		return
	}
	u, err := url.Parse(b.URL)
	switch {
	case err != nil || u.Host == "":
		fs.add("broker.url", "%q is no address; give mqtt://host:1883 or mqtts://host:8883", b.URL)
		return
	case u.Scheme != "mqtt" && u.Scheme != "mqtts":
		fs.add("broker.url", "scheme %q is unknown; use mqtt or mqtts", u.Scheme)
	case u.User != nil:
		fs.add("broker.url", "holds a user; use the keys user and password_file")
	case u.Port() == "":
		fs.add("broker.url", "has no port; add :1883 for mqtt or :8883 for mqtts")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		fs.add("broker.url", "has a path or query; give scheme, host and port only")
	}
	if u.Scheme == "mqtt" {
		for _, f := range []struct{ key, value string }{
			{"ca_file", b.CAFile}, {"cert_file", b.CertFile}, {"key_file", b.KeyFile},
		} {
			if f.value != "" {
				fs.add("broker."+f.key, "has no meaning without TLS; use an mqtts:// url or remove it")
			}
		}
	}
	if (b.CertFile == "") != (b.KeyFile == "") {
		fs.add("broker.cert_file", "and key_file belong together; give both or neither")
	}
	if b.PasswordFile != "" && b.User == "" {
		fs.add("broker.user", "is missing beside password_file; MQTT 3.1.1 allows no password without a user")
	}
	if len(b.ClientID) > 128 {
		fs.add("broker.client_id", "has %d bytes; 128 are allowed", len(b.ClientID))
	}
}

func (l Link) validate(fs *Faults) {
	switch l.Kind {
	case Ethernet:
		if l.Batch != 0 || l.Deadband != 0 || l.MaxRows != 0 {
			fs.add("link", "batch, deadband and max_rows act on a metered link only; set kind: metered or remove them")
		}
	case Metered:
		if l.Batch < time.Minute || l.Batch > 24*time.Hour {
			fs.add("link.batch", "%s is out of range; use 1m to 24h", l.Batch)
		}
		if l.Deadband < 0 || l.Deadband > 1 {
			fs.add("link.deadband", "%g is out of range; use 0%% to 100%%", l.Deadband*100)
		}
		if l.MaxRows < 1 || l.MaxRows > 2000 {
			fs.add("link.max_rows", "%d is out of range; use 1 to 2000", l.MaxRows)
		}
	default:
		fs.add("link.kind", "%q is unknown; use ethernet or metered", l.Kind)
	}
}

func (c Config) validateLimits(fs *Faults) {
	if c.Journal.MaxSize < minSize {
		fs.add("journal.max_size", "%d bytes are too few; use at least 16MB", c.Journal.MaxSize)
	}
	if c.Journal.Floor < 0 || c.Journal.Floor > 10*365*24*time.Hour {
		fs.add("journal.floor", "%s is out of range; use 0s to 3650d", c.Journal.Floor)
	}
	if c.Journal.Sync < 0 || c.Journal.Sync > time.Minute {
		fs.add("journal.sync", "%s is out of range; use 0s to 1m", c.Journal.Sync)
	}
	checkPeriod(fs, "poll.fast", c.Poll.Fast)
	checkPeriod(fs, "poll.slow", c.Poll.Slow)
	// sun_path holds 108 bytes with its final zero.
	if len(c.Control.Socket) > 107 {
		fs.add("control.socket", "has %d bytes; a unix socket's path may have 107, so give a shorter one", len(c.Control.Socket))
	}
}

// checkPeriod demands a period that meets every quarter hour, so that the
// counters on quarter hours are part of the ordinary grid.
func checkPeriod(fs *Faults, key string, d time.Duration) {
	switch {
	case d < 100*time.Millisecond || d > 24*time.Hour:
		fs.add(key, "%s is out of range; use 100ms to 24h", d)
	case d <= quarterHour && quarterHour%d != 0, d > quarterHour && (24*time.Hour)%d != 0, d > quarterHour && d%quarterHour != 0:
		fs.add(key, "%s does not fit the quarter hours; use a divisor of 15m, or a multiple of 15m that divides a day", d)
	}
}

func (c Config) validateBuses(fs *Faults) map[string]Bus {
	buses := make(map[string]Bus, len(c.Buses))
	if len(c.Buses) == 0 {
		fs.add("buses", "is missing; give at least one bus")
	}
	if len(c.Buses) > maxBuses {
		fs.add("buses", "holds %d buses; %d are allowed", len(c.Buses), maxBuses)
	}
	for i, b := range c.Buses {
		key := fmt.Sprintf("buses[%d]", i)
		if err := telemetry.CheckID(b.ID); err != nil {
			fs.add(key+".id", "%s", err)
		}
		if _, dup := buses[b.ID]; dup {
			fs.add(key+".id", "%s is given twice; every bus has an id of its own", b.ID)
		}
		if _, err := bus.ParseAddress(b.Address); err != nil {
			fs.add(key+".address", "%s", err)
		}
		buses[b.ID] = b
	}
	return buses
}

func (c Config) validateDevices(fs *Faults, buses map[string]Bus) {
	if len(c.Devices) == 0 {
		fs.add("devices", "is missing; give at least one device")
	}
	if len(c.Devices) > maxDevices {
		fs.add("devices", "holds %d devices; %d are allowed", len(c.Devices), maxDevices)
	}
	ids := make(map[string]bool, len(c.Devices))
	for i, d := range c.Devices {
		key := fmt.Sprintf("devices[%d]", i)
		if err := telemetry.CheckID(d.ID); err != nil {
			fs.add(key+".id", "%s", err)
		}
		if ids[d.ID] {
			fs.add(key+".id", "%s is given twice; every device has an id of its own", d.ID)
		}
		ids[d.ID] = true
		d.validate(fs, key, buses)
	}
}

func (d Device) validate(fs *Faults, key string, buses map[string]Bus) {
	if d.Profile == "" {
		fs.add(key+".profile", "is missing; name a profile, or sunspec")
	}
	b, ok := buses[d.Bus]
	address, err := bus.ParseAddress(b.Address)
	kind := address.Kind
	switch {
	case d.Bus == "":
		fs.add(key+".bus", "is missing; name one of the buses")
	case !ok:
		fs.add(key+".bus", "%s is not in buses; name one of them or add it", d.Bus)
	case err != nil: // told where the bus is
	case kind == bus.I2C && (d.I2CAddress < 0x08 || d.I2CAddress > 0x77):
		fs.add(key+".i2c_address", "%#02x is no 7-bit I2C address; use 0x08 to 0x77", d.I2CAddress)
	case kind == bus.I2C && d.Unit != 0:
		fs.add(key+".unit", "has no meaning on the I2C bus %s; use i2c_address", d.Bus)
	case kind != bus.I2C && d.I2CAddress != 0:
		fs.add(key+".i2c_address", "has no meaning on the Modbus bus %s; use unit", d.Bus)
	case (kind == bus.ModbusRTU || kind == bus.RTUOverTCP) && (d.Unit < 1 || d.Unit > 247):
		fs.add(key+".unit", "%d is no address on a serial line; use 1 to 247", d.Unit)
	}
	for i, p := range d.Points {
		if err := telemetry.CheckPoint(p); err != nil {
			fs.add(fmt.Sprintf("%s.points[%d]", key, i), "%s", err)
		} else if slices.Contains(d.Points[:i], p) {
			fs.add(fmt.Sprintf("%s.points[%d]", key, i), "%s is given twice", p)
		}
	}
	checkPeriod(fs, key+".fast", d.Fast)
	checkPeriod(fs, key+".slow", d.Slow)
}
