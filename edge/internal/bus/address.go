package bus

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kind of a line.
type Kind uint8

const (
	ModbusTCP  Kind = iota + 1
	ModbusRTU       // RTU frames on a serial port
	RTUOverTCP      // RTU frames through a transparent serial-to-network converter
	I2C
)

// String returns the scheme of the kind in an address.
func (k Kind) String() string {
	switch k {
	case ModbusTCP:
		return "tcp"
	case ModbusRTU:
		return "rtu"
	case RTUOverTCP:
		return "rtuovertcp"
	case I2C:
		return "i2c"
	default:
		return "invalid kind " + strconv.Itoa(int(k))
	}
}

// Address says where a line is and, for a serial port, how it is set.
type Address struct {
	Kind Kind
	Host string // host:port of the two TCP kinds
	Path string // device file of RTU and I2C

	Baud, DataBits, StopBits int
	Parity                   string // none, even or odd
}

// Defaults of a serial port. The Modbus standard asks for even parity; the
// meters that are sold answer to 8N1 (devices.md 5), and a wrong guess here
// is seen at the first read.
const (
	defaultBaud     = 9600
	defaultDataBits = 8
	defaultStopBits = 1
	defaultParity   = "none"
	modbusPort      = "502"
)

const addressForms = "use tcp://host:port, rtu:///dev/ttyUSB0?baud=9600&parity=none, rtuovertcp://host:port or i2c:/dev/i2c-1"

// bauds are the speeds that every serial driver knows.
var bauds = []int{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200}

// ParseAddress reads the address of a bus: tcp://host:port, rtuovertcp://host:port
// (also written rtu+tcp), rtu:///dev/ttyUSB0?baud=9600&data_bits=8&parity=none&stop_bits=1
// or i2c:/dev/i2c-1. Port 502 may be left out. All faults are reported at once.
func ParseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is no bus address; %s", s, addressForms)
	}
	var a Address
	switch u.Scheme {
	case "tcp":
		a, err = parseHost(ModbusTCP, u)
	case "rtuovertcp", "rtu+tcp":
		a, err = parseHost(RTUOverTCP, u)
	case "rtu":
		a, err = parseSerial(u)
	case "i2c":
		a, err = parseI2C(u)
	default:
		return Address{}, fmt.Errorf("bus address %q: scheme %q is unknown; %s", s, u.Scheme, addressForms)
	}
	if err != nil {
		return Address{}, fmt.Errorf("bus address %q: %w", s, err)
	}
	return a, nil
}

// String returns the address in the form that ParseAddress reads.
func (a Address) String() string {
	switch a.Kind {
	case ModbusTCP, RTUOverTCP:
		return a.Kind.String() + "://" + a.Host
	case ModbusRTU:
		return fmt.Sprintf("rtu://%s?baud=%d&data_bits=%d&parity=%s&stop_bits=%d", a.Path, a.Baud, a.DataBits, a.Parity, a.StopBits)
	default:
		return a.Kind.String() + ":" + a.Path
	}
}

func parseHost(k Kind, u *url.URL) (Address, error) {
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return Address{}, fmt.Errorf("has more than host and port; write %s://host:port", k)
	}
	if u.Hostname() == "" {
		return Address{}, fmt.Errorf("names no host; write %s://host:port", k)
	}
	port := u.Port()
	if port == "" {
		port = modbusPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Address{}, fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return Address{Kind: k, Host: net.JoinHostPort(u.Hostname(), port)}, nil
}

func parseSerial(u *url.URL) (Address, error) {
	a := Address{Kind: ModbusRTU, Path: u.Path, Baud: defaultBaud, DataBits: defaultDataBits, StopBits: defaultStopBits, Parity: defaultParity}
	var errs []error
	if err := checkPath(u); err != nil {
		errs = append(errs, fmt.Errorf("%w; write rtu:///dev/ttyUSB0", err))
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Address{}, errors.New("what follows ? is not key=value&key=value")
	}
	number := func(key string, dst *int, allowed ...int) {
		if !query.Has(key) {
			return
		}
		n, err := strconv.Atoi(query.Get(key))
		if err != nil || !slices.Contains(allowed, n) {
			errs = append(errs, fmt.Errorf("%s=%s is not possible; use one of %s", key, query.Get(key), strings.Trim(fmt.Sprint(allowed), "[]")))
			return
		}
		*dst = n
	}
	number("baud", &a.Baud, bauds...)
	number("data_bits", &a.DataBits, 7, 8)
	number("stop_bits", &a.StopBits, 1, 2)
	if p := query.Get("parity"); query.Has("parity") {
		if a.Parity = p; !slices.Contains([]string{"none", "even", "odd"}, p) {
			errs = append(errs, fmt.Errorf("parity=%s is unknown; use none, even or odd", p))
		}
	}
	for _, key := range sortedKeys(query) {
		switch {
		case !slices.Contains([]string{"baud", "data_bits", "parity", "stop_bits"}, key):
			errs = append(errs, fmt.Errorf("setting %q is unknown; use baud, data_bits, parity, stop_bits", key))
		case len(query[key]) > 1:
			errs = append(errs, fmt.Errorf("setting %q is given %d times", key, len(query[key])))
		}
	}
	return a, errors.Join(errs...)
}

func sortedKeys(v url.Values) []string {
	keys := make([]string, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func parseI2C(u *url.URL) (Address, error) {
	a := Address{Kind: I2C, Path: u.Path}
	if err := checkPath(u); err != nil {
		return Address{}, fmt.Errorf("%w; write i2c:/dev/i2c-1", err)
	}
	if u.RawQuery != "" {
		return Address{}, fmt.Errorf("an I2C bus has no settings, remove ?%s", u.RawQuery)
	}
	return a, nil
}

func checkPath(u *url.URL) error {
	switch {
	case u.Host != "":
		return fmt.Errorf("%q stands where a host would; a device file needs three slashes or none", u.Host)
	case u.Path == "" || u.Path == "/":
		return errors.New("names no device file")
	case !strings.HasPrefix(u.Path, "/"):
		return errors.New("the device file must be an absolute path")
	}
	return nil
}
