package export

import (
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"yunhe/internal/telemetry"
)

// The columns of the two kinds of CSV.
const (
	rowHeader    = "time,site,gateway,device,kind,point,value,unit,quality,clock_failed,unsigned\n"
	windowHeader = "from,to,site,gateway,device,kind,point,function,value,unit,count,uncertain,bad,quality,unsigned\n"
)

// table is RFC 4180 CSV with a header line and LF. Nothing but rows follows
// the header, so that every reader of CSV takes it as it is; the digest covers
// all of it and travels outside.
type table struct {
	*lines
	header string
	opened bool
}

// NewCSV returns an encoder of CSV for rows, or for windows.
func NewCSV(w io.Writer, windows bool) Encoder {
	h := rowHeader
	if windows {
		h = windowHeader
	}
	return &table{lines: newLines(w), header: h}
}

func (e *table) Row(r Row) error {
	b := appendTime(e.buf[:0], r.Time)
	b = namesCSV(b, r.Site, r.Gateway, r.Device, r.Kind, r.Point)
	b = append(b, ',')
	b = valueCSV(b, r.Value)
	b = cell(append(b, ','), string(r.Unit))
	b = append(append(b, ','), r.Quality.String()...)
	b = strconv.AppendBool(append(b, ','), r.ClockFailed)
	return e.line(strconv.AppendBool(append(b, ','), r.Unsigned))
}

func (e *table) Window(w Window) error {
	b := appendTime(e.buf[:0], w.From)
	b = appendTime(append(b, ','), w.To)
	b = namesCSV(b, w.Site, w.Gateway, w.Device, w.Kind, w.Point)
	b = cell(append(b, ','), w.Function)
	b = valueCSV(append(b, ','), w.Value)
	b = cell(append(b, ','), string(w.Unit))
	b = strconv.AppendInt(append(b, ','), w.Count, 10)
	b = strconv.AppendInt(append(b, ','), w.Uncertain, 10)
	b = strconv.AppendInt(append(b, ','), w.Bad, 10)
	b = append(append(b, ','), w.Quality.String()...)
	return e.line(strconv.AppendBool(append(b, ','), w.Unsigned))
}

func (e *table) Close() (Summary, error) {
	if err := e.open(); err != nil {
		return Summary{}, err
	}
	return e.summary(), nil
}

func (e *table) open() error {
	if e.opened {
		return nil
	}
	e.opened = true
	return e.digested([]byte(e.header))
}

func (e *table) line(b []byte) error {
	if err := e.open(); err != nil {
		return err
	}
	e.buf = append(b, '\n')
	e.rows++
	return e.digested(e.buf)
}

func namesCSV(b []byte, names ...string) []byte {
	for _, n := range names {
		b = cell(append(b, ','), n)
	}
	return b
}

// valueCSV writes a value; none is an empty cell.
func valueCSV(b []byte, v telemetry.Value) []byte {
	switch v.Type() {
	case 0:
		return b
	case telemetry.TypeString:
		s, _ := v.AsString()
		return cell(b, s)
	default:
		return AppendValue(b, v)
	}
}

// cell writes a text. One that a spreadsheet would take for a formula gets an
// apostrophe in front (OWASP, CSV injection): what came from a device must
// not run on an accountant's computer.
func cell(b []byte, s string) []byte {
	if s == "" {
		return b
	}
	first, _ := utf8.DecodeRuneInString(s)
	risky := strings.ContainsRune("=+-@\t\r\n＝＋－＠", first)
	if !risky && !strings.ContainsAny(s, ",\"\r\n") {
		return append(b, s...)
	}
	b = append(b, '"')
	if risky {
		b = append(b, '\'')
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
