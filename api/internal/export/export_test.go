package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"yunhe/internal/telemetry"
)

// FuzzText: any text from a device survives JSON, and in CSV it stays one cell
// that no spreadsheet runs.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "=1+1", "-5", "@x", "\t=", "a,b", "\"", "'", "\n", "\r\n", "＝1", "</script>", "水位", "\x00\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(appendText(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && back != s {
			// encoding/json replaces each invalid byte, ToValidUTF8 each run
			if bytes.ContainsRune([]byte(back), '\ufffd') {
				return
			}
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
		line := append(cell([]byte("x,"), s), ",y\n"...)
		rows, err := csv.NewReader(bytes.NewReader(line)).ReadAll()
		if err != nil || len(rows) != 1 || len(rows[0]) != 3 {
			t.Fatalf("%q makes %q", s, line)
		}
		got := rows[0][1]
		if got != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(got)[0]) {
			t.Errorf("%q begins like a formula", got)
		}
		if plain := strings.ReplaceAll(s, "\r\n", "\n"); got != plain && got != "'"+plain {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1.5, 0.1, 1e-7, 1e20, 1e21, 123456789.125, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		var back float64
		if err := json.Unmarshal(appendNumber(nil, f), &back); err != nil || back != f {
			t.Errorf("%g is written as %s", f, appendNumber(nil, f))
		}
	}
	for want, v := range map[string]telemetry.Value{
		"null": {}, "18446744073709551615": telemetry.Uint(math.MaxUint64), "true": telemetry.Bool(true), `"a\"b"`: telemetry.String(`a"b`),
	} {
		if got := string(AppendValue(nil, v)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTimesSortAsText(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	a := string(appendTime(nil, time.Date(2026, 1, 1, 8, 0, 0, 999e6, zone)))
	b := string(appendTime(nil, time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)))
	if a != "2026-01-01T00:00:00.999Z" || a >= b {
		t.Errorf("%s %s", a, b)
	}
}

type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("full")
	}
	return len(b), nil
}

// TestWriterFails: no encoder takes an error for a success, at whatever byte.
func TestWriterFails(t *testing.T) {
	row := Row{Time: time.Unix(0, 0), Site: "s", Gateway: "g", Device: "d", Kind: "k", Point: "p", Value: telemetry.Float(1)}
	for name, make := range map[string]func(*full) Encoder{
		"csv":    func(w *full) Encoder { return NewCSV(w, false) },
		"ndjson": func(w *full) Encoder { return NewNDJSON(w) },
		"json":   func(w *full) Encoder { return NewJSON(w, Head{Site: "s"}) },
	} {
		run := func(room int) error {
			e := make(&full{room})
			for range 3 {
				if err := e.Row(row); err != nil {
					return err
				}
			}
			_, err := e.Close()
			return err
		}
		need := 0
		for run(need) != nil {
			need++
		}
		if need < 100 {
			t.Errorf("%s: %d bytes are enough for three rows", name, need)
		}
	}
}

func BenchmarkCSV(b *testing.B) {
	row := Row{Time: time.Unix(1e9, 0), Site: "canal-1", Gateway: "gw-1", Device: "meter-main", Kind: "electric_meter", Point: "active_energy_import", Unit: "kW.h", Value: telemetry.Float(123.456)}
	b.ReportAllocs()
	e := NewCSV(&full{math.MaxInt}, false)
	for b.Loop() {
		if err := e.Row(row); err != nil {
			b.Fatal(err)
		}
	}
}
