package profile

import (
	"time"

	"github.com/goccy/go-yaml/ast"
)

func (r *profileReader) link(n ast.Node, key string, l *Link) {
	*l = Link{Timeout: time.Second, MaxBits: 2000}
	rd := &r.reader
	r.mapping(n, key, fields{
		"protocol": func(n ast.Node, k string) {
			l.Protocol = oneOf(rd, n, k, map[string]Protocol{"modbus": Modbus, "i2c": I2C})
		},
		"unit_id":       func(n ast.Node, k string) { l.UnitID = uint8(r.whole(n, k, 1, 255)) },
		"max_registers": func(n ast.Node, k string) { l.MaxRegisters = uint16(r.whole(n, k, 1, 256)) },
		"max_bits":      func(n ast.Node, k string) { l.MaxBits = uint16(r.whole(n, k, 1, 2000)) },
		"even":          func(n ast.Node, k string) { l.Even = r.flag(n, k) },
		"gap_fill":      func(n ast.Node, k string) { l.GapFill = uint16(r.whole(n, k, 0, 124)) },
		"min_gap":       func(n ast.Node, k string) { l.MinGap = r.duration(n, k) },
		"connect_delay": func(n ast.Node, k string) { l.ConnectDelay = r.duration(n, k) },
		"unit_pause":    func(n ast.Node, k string) { l.UnitPause = r.duration(n, k) },
		"timeout":       func(n ast.Node, k string) { l.Timeout = r.duration(n, k) },
		"retries":       func(n ast.Node, k string) { l.Retries = int(r.whole(n, k, 0, 10)) },
		"busy_retries":  func(n ast.Node, k string) { l.BusyRetries = int(r.whole(n, k, 0, 20)) },
		"max_clients":   func(n ast.Node, k string) { l.MaxClients = int(r.whole(n, k, 1, 1000)) },
		"night_offline": func(n ast.Node, k string) { l.NightOffline = r.flag(n, k) },
		"serial":        func(n ast.Node, k string) { l.Serial = r.serial(n, k) },
		"i2c_address":   func(n ast.Node, k string) { l.I2CAddress = uint8(r.whole(n, k, 8, 0x77)) },
		"i2c_clock_hz":  func(n ast.Node, k string) { l.I2CClockHz = int(r.whole(n, k, 1000, 3_400_000)) },
	})
}

func (r *profileReader) serial(n ast.Node, key string) *Serial {
	s := &Serial{DataBits: 8, StopBits: 1, Parity: "none"}
	r.mapping(n, key, fields{
		"baud":      func(n ast.Node, k string) { s.Baud = int(r.whole(n, k, 300, 1_000_000)) },
		"data_bits": func(n ast.Node, k string) { s.DataBits = int(r.whole(n, k, 7, 8)) },
		"stop_bits": func(n ast.Node, k string) { s.StopBits = int(r.whole(n, k, 1, 2)) },
		"parity": func(n ast.Node, k string) {
			s.Parity = oneOf(&r.reader, n, k, map[string]string{"none": "none", "even": "even", "odd": "odd"})
		},
	})
	if s.Baud == 0 {
		r.fault(n, key, "baud is missing: say the speed of the line as delivered")
	}
	return s
}
