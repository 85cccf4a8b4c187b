// Package export writes rows of readings as CSV, NDJSON or JSON, one at a
// time, and counts and digests what it wrote, so that a reader can prove that
// nothing is missing. docs/api.md describes the forms.
package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"

	"yunhe/internal/telemetry"
)

// Row is one reading.
type Row struct {
	Time                               time.Time // when it was read
	Site, Gateway, Device, Kind, Point string
	Unit                               telemetry.Unit
	Value                              telemetry.Value // none if Quality is Bad
	Quality                            telemetry.Quality
	ClockFailed                        bool // the gateway's clock could not be trusted at Time
	Unsigned                           bool // from a node that signs nothing
}

// Window is one result over the readings of one point in [From, To). Readings
// taken while the gateway's clock could not be trusted take no part.
type Window struct {
	From, To                           time.Time
	Site, Gateway, Device, Kind, Point string
	Function                           string
	Value                              telemetry.Value // none if no reading had one
	Unit                               telemetry.Unit
	Count                              int64             // readings that have a value
	Uncertain                          int64             // of these, uncertain
	Bad                                int64             // readings without a value
	Quality                            telemetry.Quality // the worst of them
	Unsigned                           bool
}

// Head is what stands above the rows of a JSON answer.
type Head struct {
	Site     string    `json:"site"`
	Zone     string    `json:"zone"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Every    string    `json:"every,omitempty"`
	Function string    `json:"function,omitempty"`
}

// Summary is what proves that an answer is whole.
type Summary struct {
	Rows   int64  `json:"rows" doc:"Number of rows before this line"`
	SHA256 string `json:"sha256" doc:"SHA-256 of all bytes before this line, hex"`
}

// Encoder writes one answer. Its methods report the first error of the
// underlying writer; after one, the answer is broken and must not be ended as
// if it were whole.
type Encoder interface {
	Row(Row) error
	Window(Window) error
	// Close writes what ends the answer and tells what was written.
	Close() (Summary, error)
}

// lines counts and digests lines on their way to w.
type lines struct {
	w    io.Writer
	buf  []byte
	sum  hash.Hash
	rows int64
}

func newLines(w io.Writer) *lines {
	return &lines{w: w, sum: sha256.New(), buf: make([]byte, 0, 512)}
}

// digested writes b, which is part of what the digest covers.
func (l *lines) digested(b []byte) error {
	l.sum.Write(b)
	_, err := l.w.Write(b)
	return err
}

func (l *lines) summary() Summary {
	return Summary{Rows: l.rows, SHA256: hex.EncodeToString(l.sum.Sum(nil))}
}

// appendTime writes RFC 3339 in UTC with milliseconds, always 24 characters,
// so that text order is time order.
func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// appendNumber writes a float so that reading it back gives the same float.
func appendNumber(b []byte, f float64) []byte {
	format := byte('f')
	if a := max(f, -f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

// AppendValue writes v as JSON: a number, a truth value, a text or null.
func AppendValue(b []byte, v telemetry.Value) []byte {
	switch v.Type() {
	case telemetry.TypeFloat:
		f, _ := v.AsFloat()
		return appendNumber(b, f)
	case telemetry.TypeUint:
		u, _ := v.AsUint()
		return strconv.AppendUint(b, u, 10)
	case telemetry.TypeBool:
		t, _ := v.AsBool()
		return strconv.AppendBool(b, t)
	case telemetry.TypeString:
		s, _ := v.AsString()
		return appendText(b, s)
	default:
		return append(b, "null"...)
	}
}

// appendText writes a JSON string; names, which need no escape, take the
// short way.
func appendText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil { // cannot happen for a string
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// headText gives the opening of a JSON answer, up to the list of rows.
func headText(h Head) (string, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("encode head: %w", err)
	}
	return string(b[:len(b)-1]) + `,"readings":[`, nil
}
