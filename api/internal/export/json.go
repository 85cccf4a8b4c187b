package export

import (
	"fmt"
	"io"
	"strconv"
)

// rowJSON writes the JSON object of a row, the same in JSON and NDJSON.
func rowJSON(b []byte, r Row) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time)
	b = append(b, '"')
	b = namesJSON(b, r.Site, r.Gateway, r.Device, r.Kind, r.Point)
	b = append(b, `,"value":`...)
	b = AppendValue(b, r.Value)
	b = field(b, "unit", string(r.Unit))
	b = append(b, `,"quality":"`...)
	b = append(b, r.Quality.String()...)
	b = append(b, `","clock_failed":`...)
	b = strconv.AppendBool(b, r.ClockFailed)
	return unsignedJSON(b, r.Unsigned)
}

// windowJSON writes the JSON object of a window.
func windowJSON(b []byte, w Window) []byte {
	b = append(b, `{"from":"`...)
	b = appendTime(b, w.From)
	b = append(b, `","to":"`...)
	b = appendTime(b, w.To)
	b = append(b, '"')
	b = namesJSON(b, w.Site, w.Gateway, w.Device, w.Kind, w.Point)
	b = field(b, "function", w.Function)
	b = append(b, `,"value":`...)
	b = AppendValue(b, w.Value)
	b = field(b, "unit", string(w.Unit))
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, w.Count, 10)
	b = append(b, `,"uncertain":`...)
	b = strconv.AppendInt(b, w.Uncertain, 10)
	b = append(b, `,"bad":`...)
	b = strconv.AppendInt(b, w.Bad, 10)
	b = append(b, `,"quality":"`...)
	b = append(b, w.Quality.String()...)
	return unsignedJSON(append(b, '"'), w.Unsigned)
}

func namesJSON(b []byte, site, gateway, device, kind, point string) []byte {
	b = field(b, "site", site)
	b = field(b, "gateway", gateway)
	b = field(b, "device", device)
	b = field(b, "kind", kind)
	return field(b, "point", point)
}

func field(b []byte, name, text string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendText(b, text)
}

func unsignedJSON(b []byte, unsigned bool) []byte {
	b = append(b, `,"unsigned":`...)
	return append(strconv.AppendBool(b, unsigned), '}')
}

// ndjson is one object a line; the last line is {"rows":…,"sha256":…} with the
// digest of all bytes before it.
type ndjson struct{ *lines }

// NewNDJSON returns an encoder of newline-delimited JSON.
func NewNDJSON(w io.Writer) Encoder { return ndjson{newLines(w)} }

func (e ndjson) Row(r Row) error { return e.line(rowJSON(e.buf[:0], r)) }

func (e ndjson) Window(w Window) error { return e.line(windowJSON(e.buf[:0], w)) }

func (e ndjson) line(b []byte) error {
	e.buf = append(b, '\n')
	e.rows++
	return e.digested(e.buf)
}

func (e ndjson) Close() (Summary, error) {
	s := e.summary()
	_, err := fmt.Fprintf(e.w, "{\"rows\":%d,\"sha256\":\"%s\"}\n", s.Rows, s.SHA256)
	return s, err
}

// document is one JSON object; its rows stand one a line, and the digest is
// that of the same rows as NDJSON.
type document struct {
	*lines
	head Head
}

// NewJSON returns an encoder of one JSON object.
func NewJSON(w io.Writer, h Head) Encoder { return &document{newLines(w), h} }

func (e *document) Row(r Row) error { return e.object(rowJSON(e.buf[:0], r)) }

func (e *document) Window(w Window) error { return e.object(windowJSON(e.buf[:0], w)) }

func (e *document) object(b []byte) error {
	e.buf = append(b, '\n')
	open := ",\n"
	if e.rows == 0 {
		head, err := headText(e.head)
		if err != nil {
			return err
		}
		open = head + "\n"
	}
	e.rows++
	e.sum.Write(e.buf)
	if _, err := io.WriteString(e.w, open); err != nil {
		return err
	}
	_, err := e.w.Write(b)
	return err
}

func (e *document) Close() (Summary, error) {
	if e.rows == 0 {
		head, err := headText(e.head)
		if err != nil {
			return Summary{}, err
		}
		if _, err := io.WriteString(e.w, head); err != nil {
			return Summary{}, err
		}
	}
	s := e.summary()
	_, err := fmt.Fprintf(e.w, "\n],\"rows\":%d,\"sha256\":\"%s\"}\n", s.Rows, s.SHA256)
	return s, err
}
