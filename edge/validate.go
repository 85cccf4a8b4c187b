package edge

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"yunhe/edge/internal/bus"
	"yunhe/internal/telemetry"
)

// reporter takes one fault: the key of the setting, such as devices[2].bus,
// and a sentence that says what is wrong and what to do.
type reporter func(key, format string, args ...any)

// Limits on a config: they bound memory and the number of goroutines.
const (
	maxBuses   = 32
	maxDevices = 256
	minSize    = int64(16e6)
)

// Validate reports every fault of c, one a line, each "key: sentence"; nil if
// there is none. Settings that may be left out must be filled in first
// (WithDefaults).
func (c Config) Validate() error {
	var faults []error
	c.check(func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
	})
	return errors.Join(faults...)
}

func (c Config) check(report reporter) {
	c.checkIdentity(report)
	c.Broker.check(report)
	c.Link.check(report)
	c.checkLimits(report)
	c.checkDevices(report, c.checkBuses(report))
}

func (c Config) checkIdentity(report reporter) {
	if c.Gateway == "" {
		report("gateway", "is missing; give the id under which this gateway is enrolled")
	} else if err := telemetry.CheckID(c.Gateway); err != nil {
		report("gateway", "%s", err)
	}
	if c.Site == "" {
		report("site", "is missing; give the id of the site")
	} else if err := telemetry.CheckID(c.Site); err != nil {
		report("site", "%s", err)
	}
	if c.StateDir == "" {
		report("state_dir", "is missing; give a directory that survives a restart, such as /var/lib/yunhe-edge")
	}
}

func (b Broker) check(report reporter) {
	if b.URL == "" {
		report("broker.url", "is missing; give mqtt://host:1883 or mqtts://host:8883")
		return
	}
	u, err := url.Parse(b.URL)
	switch {
	case err != nil || u.Host == "":
		report("broker.url", "%q is no address; give mqtt://host:1883 or mqtts://host:8883", b.URL)
		return
	case u.Scheme != "mqtt" && u.Scheme != "mqtts":
		report("broker.url", "scheme %q is unknown; use mqtt or mqtts", u.Scheme)
	case u.User != nil:
		report("broker.url", "holds a user; use the keys user and password_file")
	case u.Port() == "":
		report("broker.url", "has no port; add :1883 for mqtt or :8883 for mqtts")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		report("broker.url", "has a path or query; give scheme, host and port only")
	}
	if u.Scheme == "mqtt" {
		for _, f := range []struct{ key, value string }{
			{"ca_file", b.CAFile}, {"cert_file", b.CertFile}, {"key_file", b.KeyFile},
		} {
			if f.value != "" {
				report("broker."+f.key, "has no meaning without TLS; use an mqtts:// url or remove it")
			}
		}
	}
	if (b.CertFile == "") != (b.KeyFile == "") {
		report("broker.cert_file", "and key_file belong together; give both or neither")
	}
	if b.PasswordFile != "" && b.User == "" {
		report("broker.user", "is missing beside password_file; MQTT 3.1.1 allows no password without a user")
	}
	if len(b.ClientID) > 128 {
		report("broker.client_id", "has %d bytes; 128 are allowed", len(b.ClientID))
	}
}

func (l Link) check(report reporter) {
	switch l.Kind {
	case Ethernet:
		if l.Batch != 0 || l.Deadband != 0 || l.MaxRows != 0 {
			report("link", "has batch, deadband or max_rows, which act on a metered link only; set kind: metered or remove them")
		}
	case Metered:
		if l.Batch < time.Minute || l.Batch > 24*time.Hour {
			report("link.batch", "%s is out of range; use 1m to 24h", l.Batch)
		}
		if l.Deadband < 0 || l.Deadband > 1 {
			report("link.deadband", "%g is out of range; use 0%% to 100%%", l.Deadband*100)
		}
		if l.MaxRows < 1 || l.MaxRows > 2000 {
			report("link.max_rows", "%d is out of range; use 1 to 2000", l.MaxRows)
		}
	default:
		report("link.kind", "%q is unknown; use ethernet or metered", l.Kind)
	}
}

func (c Config) checkLimits(report reporter) {
	if c.Journal.MaxSize < minSize {
		report("journal.max_size", "%d bytes are too few; use at least 16MB", c.Journal.MaxSize)
	}
	if c.Journal.Floor < 0 || c.Journal.Floor > 10*365*24*time.Hour {
		report("journal.floor", "%s is out of range; use 0s to 3650d", c.Journal.Floor)
	}
	if c.Journal.Sync < 0 || c.Journal.Sync > time.Minute {
		report("journal.sync", "%s is out of range; use 0s to 1m", c.Journal.Sync)
	}
	checkPeriod(report, "poll.fast", c.Poll.Fast)
	checkPeriod(report, "poll.slow", c.Poll.Slow)
	// sun_path holds 108 bytes with its final zero.
	if len(c.Control.Socket) > 107 {
		report("control.socket", "has %d bytes; a unix socket's path may have 107, so give a shorter one", len(c.Control.Socket))
	}
}

// checkPeriod demands a period that meets every quarter hour, so that the
// counters on quarter hours are part of the ordinary grid.
func checkPeriod(report reporter, key string, d time.Duration) {
	switch {
	case d < 100*time.Millisecond || d > 24*time.Hour:
		report(key, "%s is out of range; use 100ms to 24h", d)
	case d <= quarterHour && quarterHour%d != 0, d > quarterHour && (24*time.Hour)%d != 0, d > quarterHour && d%quarterHour != 0:
		report(key, "%s does not fit the quarter hours; use a divisor of 15m, or a multiple of 15m that divides a day", d)
	}
}

func (c Config) checkBuses(report reporter) map[string]Bus {
	buses := make(map[string]Bus, len(c.Buses))
	lines := make(map[string]string, len(c.Buses))
	if len(c.Buses) == 0 {
		report("buses", "is missing; give at least one bus")
	}
	if len(c.Buses) > maxBuses {
		report("buses", "holds %d buses; %d are allowed", len(c.Buses), maxBuses)
	}
	for i, b := range c.Buses {
		key := fmt.Sprintf("buses[%d]", i)
		if err := telemetry.CheckID(b.ID); err != nil {
			report(key+".id", "%s", err)
		}
		if _, dup := buses[b.ID]; dup {
			report(key+".id", "%s is given twice; every bus has an id of its own", b.ID)
		}
		if _, err := bus.ParseAddress(b.Address); err != nil {
			report(key+".address", "%s", err)
		}
		if other, taken := lines[b.Address]; taken && b.Address != "" {
			report(key+".address", "is the line of bus %s; a line has one owner, so put its devices on one bus", other)
		}
		lines[b.Address] = b.ID
		buses[b.ID] = b
	}
	return buses
}

func (c Config) checkDevices(report reporter, buses map[string]Bus) {
	if len(c.Devices) == 0 {
		report("devices", "is missing; give at least one device")
	}
	if len(c.Devices) > maxDevices {
		report("devices", "holds %d devices; %d are allowed", len(c.Devices), maxDevices)
	}
	ids := make(map[string]bool, len(c.Devices))
	places := make(map[place]string, len(c.Devices))
	for i, d := range c.Devices {
		key := fmt.Sprintf("devices[%d]", i)
		if err := telemetry.CheckID(d.ID); err != nil {
			report(key+".id", "%s", err)
		}
		if ids[d.ID] {
			report(key+".id", "%s is given twice; every device has an id of its own", d.ID)
		}
		ids[d.ID] = true
		d.check(report, key, buses)
		at := place{d.Bus, d.Unit, d.I2CAddress, d.Profile}
		if other, taken := places[at]; taken && d.Bus != "" && d.Profile != "" {
			report(key, "reads what %s reads: bus, address and profile are the same, and what it counts would count twice", other)
		}
		places[at] = d.ID
		if d.Fast != c.Poll.Fast { // the gateway's period was reported already
			checkPeriod(report, key+".fast", d.Fast)
		}
		if d.Slow != c.Poll.Slow {
			checkPeriod(report, key+".slow", d.Slow)
		}
	}
}

// place is where a device is and as what it is read. One unit may be read by
// two profiles: an inverter that also passes its meter on.
type place struct {
	bus       string
	unit, i2c uint8
	profile   string
}

func (d Device) check(report reporter, key string, buses map[string]Bus) {
	if d.Profile == "" {
		report(key+".profile", "is missing; name a profile, or sunspec")
	}
	b, ok := buses[d.Bus]
	address, err := bus.ParseAddress(b.Address)
	kind := address.Kind
	switch {
	case d.Bus == "":
		report(key+".bus", "is missing; name one of the buses")
	case !ok:
		report(key+".bus", "%s is not in buses; name one of them or add it", d.Bus)
	case err != nil: // told where the bus is
	case kind == bus.I2C && (d.I2CAddress < 0x08 || d.I2CAddress > 0x77):
		report(key+".i2c_address", "%#02x is no 7-bit I2C address; use 0x08 to 0x77", d.I2CAddress)
	case kind == bus.I2C && d.Unit != 0:
		report(key+".unit", "has no meaning on the I2C bus %s; use i2c_address", d.Bus)
	case kind != bus.I2C && d.I2CAddress != 0:
		report(key+".i2c_address", "has no meaning on the Modbus bus %s; use unit", d.Bus)
	case (kind == bus.ModbusRTU || kind == bus.RTUOverTCP) && (d.Unit < 1 || d.Unit > 247):
		report(key+".unit", "%d is no address on a serial line; use 1 to 247", d.Unit)
	}
	for i, p := range d.Points {
		if err := telemetry.CheckPoint(p); err != nil {
			report(fmt.Sprintf("%s.points[%d]", key, i), "%s", err)
		} else if slices.Contains(d.Points[:i], p) {
			report(fmt.Sprintf("%s.points[%d]", key, i), "%s is given twice", p)
		}
	}
}
