package bus

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddress(t *testing.T) {
	serial := Address{Kind: ModbusRTU, Path: "/dev/ttyUSB0", Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none"}
	even := Address{Kind: ModbusRTU, Path: "/dev/serial/by-id/usb-1", Baud: 19200, DataBits: 7, StopBits: 2, Parity: "even"}
	for in, want := range map[string]Address{
		"tcp://10.0.0.7:1502":    {Kind: ModbusTCP, Host: "10.0.0.7:1502"},
		"tcp://meter.local":      {Kind: ModbusTCP, Host: "meter.local:502"},
		"tcp://[fd00::7]:502":    {Kind: ModbusTCP, Host: "[fd00::7]:502"},
		"rtuovertcp://10.0.0.8":  {Kind: RTUOverTCP, Host: "10.0.0.8:502"},
		"rtu+tcp://10.0.0.8:23/": {Kind: RTUOverTCP, Host: "10.0.0.8:23"},
		"rtu:///dev/ttyUSB0":     serial,
		"rtu:/dev/ttyUSB0":       serial,
		"rtu:///dev/ttyUSB0?baud=9600&data_bits=8&parity=none&stop_bits=1":             serial,
		"rtu:///dev/serial/by-id/usb-1?baud=19200&parity=even&stop_bits=2&data_bits=7": even,
		"i2c:/dev/i2c-1":   {Kind: I2C, Path: "/dev/i2c-1"},
		"i2c:///dev/i2c-1": {Kind: I2C, Path: "/dev/i2c-1"},
	} {
		got, err := ParseAddress(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
		if again, err := ParseAddress(got.String()); err != nil || again != got {
			t.Errorf("%s: written as %s it reads as %+v, %v", in, got, again, err)
		}
	}
}

func TestParseAddressFaults(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                  {`scheme "" is unknown`, "use tcp://host:port"},
		"10.0.0.7:502":                      {"is no bus address", "use tcp://host:port"},
		"modbus://10.0.0.7":                 {`scheme "modbus" is unknown`, "rtuovertcp://"},
		"tcp://":                            {"names no host", "tcp://host:port"},
		"tcp://10.0.0.7:0":                  {`port "0"`, "1 to 65535"},
		"tcp://10.0.0.7:70000":              {`port "70000"`},
		"tcp://10.0.0.7/unit/3":             {"more than host and port"},
		"tcp://10.0.0.7?unit=3":             {"more than host and port"},
		"rtu://ttyUSB0":                     {`"ttyUSB0" stands where a host would`, "rtu:///dev/ttyUSB0"},
		"rtu:///":                           {"names no device file"},
		"rtu:///dev/ttyUSB0?baud=9601":      {"baud=9601", "9600 19200"},
		"rtu:///dev/ttyUSB0?parity=N":       {"parity=N", "none, even or odd"},
		"rtu:///dev/ttyUSB0?bauds=9600":     {`setting "bauds" is unknown`, "baud, data_bits"},
		"rtu:///dev/t?baud=9600&baud=19200": {`"baud" is given 2 times`},
		"rtu:///dev/t?baud=1&parity=x&a=1":  {"baud=1", "parity=x", `"a" is unknown`},
		"rtu:///dev/t?baud=%zz":             {"key=value"},
		"i2c://bus1":                        {`"bus1" stands where a host would`, "i2c:/dev/i2c-1"},
		"i2c:1":                             {"names no device file"},
		"i2c:/dev/i2c-1?hz=100000":          {"no settings"},
	} {
		_, err := ParseAddress(in)
		if err == nil {
			t.Errorf("%q is accepted", in)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %q does not say %q", in, err, part)
			}
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"tcp://h:1", "rtu:///dev/t?baud=9600&parity=odd", "i2c:/dev/i2c-1", "rtuovertcp://[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if a.Kind < ModbusTCP || a.Kind > I2C || a.Host == "" && a.Path == "" {
			t.Errorf("%q gives %+v", s, a)
		}
	})
}
