package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

const day = "/api/v1/readings?site=canal-1&from=2026-11-22T08:00:00Z&to=2026-11-23T08:00:00Z"

// digest is what an answer says about itself.
type digest struct {
	Rows   int64
	SHA256 string
}

// verify recomputes rows and digests of an answer from what arrived, for each
// format as docs/api.md says, and returns the row lines.
func verify(t *testing.T, a answer, format string) []string {
	t.Helper()
	if a.status != http.StatusOK || a.err != nil {
		t.Fatalf("%d %v %s", a.status, a.err, a.body)
	}
	whole := sha256.Sum256([]byte(a.body))
	if want := "sha-256=:" + base64.StdEncoding.EncodeToString(whole[:]) + ":"; a.trailer.Get("Content-Digest") != want {
		t.Errorf("Content-Digest %q, want %q", a.trailer.Get("Content-Digest"), want)
	}
	var inBand digest
	var rows []string
	var sum string
	switch format {
	case "csv":
		records, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records[1:] {
			rows = append(rows, strings.Join(r, ",")+"\n")
		}
		sum = hex.EncodeToString(whole[:])
		inBand = digest{int64(len(rows)), sum} // CSV says nothing in-band
	case "ndjson":
		lines := strings.SplitAfter(a.body, "\n")
		rows = lines[:len(lines)-2]
		h := sha256.Sum256([]byte(strings.Join(rows, "")))
		sum = hex.EncodeToString(h[:])
		if err := json.Unmarshal([]byte(lines[len(lines)-2]), &inBand); err != nil {
			t.Fatal(err)
		}
	default:
		var doc struct {
			digest
			Readings []json.RawMessage
		}
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
			t.Fatalf("%v in %.300s", err, a.body)
		}
		h := sha256.New()
		for _, r := range doc.Readings {
			rows = append(rows, string(r)+"\n")
			io.WriteString(h, string(r)+"\n")
		}
		sum, inBand = hex.EncodeToString(h.Sum(nil)), doc.digest
	}
	want := digest{int64(len(rows)), sum}
	trailers := digest{SHA256: a.trailer.Get("Yunhe-Sha256")}
	trailers.Rows, _ = strconv.ParseInt(a.trailer.Get("Yunhe-Rows"), 10, 64)
	if d := cmp.Diff([]digest{want, want}, []digest{inBand, trailers}); d != "" {
		t.Errorf("%s: in-band, trailers: %s", format, d)
	}
	return rows
}

// TestFormats: the same rows in all forms, each with proof that it is whole.
func TestFormats(t *testing.T) {
	w := start(t)
	w.fill(meter, 700)
	w.fill(pump, 3)
	w.write(series.Row{Device: pump, Time: now.Add(-30 * time.Second), Fields: []series.Field{
		{Point: "mode", Value: telemetry.String(`=cmd|' /C calc'!A0`)},
		{Point: "note", Value: telemetry.String("a, \"b\"\nc")},
		{Point: "on", Value: telemetry.Bool(false)},
		{Point: "tiny", Value: telemetry.Float(-1.5e-9)},
		{Point: "huge", Value: telemetry.Float(math.MaxFloat64)},
	}})
	const rows = 2*703 + 5
	parts := map[string][]string{}
	for _, format := range []string{"json", "csv", "ndjson"} {
		parts[format] = verify(t, w.get(day+"&format="+format, "accountant"), format)
	}
	if d := cmp.Diff(parts["json"], parts["ndjson"]); d != "" {
		t.Error("JSON and NDJSON rows differ", d)
	}
	if len(parts["json"]) != rows {
		t.Errorf("%d rows, want %d", len(parts["json"]), rows)
	}
	golden(t, "rows.ndjson", strings.Join(append(parts["ndjson"][:12:12], parts["ndjson"][rows-2:]...), ""))

	a := w.get(day+"&format=csv", "accountant")
	records, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil || len(records) != rows+1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename="canal-1_20261122T0800Z_20261123T0800Z.csv"` {
		t.Errorf("file name %q", got)
	}
	text := map[string]string{}
	for _, r := range records[1:] {
		text[r[5]] = r[6]
	}
	for point, want := range map[string]string{"mode": `'=cmd|' /C calc'!A0`, "note": "a, \"b\"\nc", "on": "false", "tiny": "-1.5e-09"} {
		if text[point] != want {
			t.Errorf("%s is %q in CSV, want %q", point, text[point], want)
		}
	}
	if f, err := strconv.ParseFloat(text["huge"], 64); err != nil || f != math.MaxFloat64 {
		t.Errorf("huge is %q", text["huge"])
	}
	golden(t, "rows.csv", strings.Join(strings.SplitAfter(a.body, "\n")[:12], ""))
}

// TestAccept: the Accept header chooses, the parameter wins.
func TestAccept(t *testing.T) {
	w := start(t)
	w.fill(meter, 1)
	for _, tc := range []struct{ accept, param, want string }{
		{"", "", "application/json"}, {"*/*", "", "application/json"}, {"text/csv", "", "text/csv; charset=utf-8; header=present"},
		{"application/json;q=0.5, application/x-ndjson", "", "application/x-ndjson"},
		{"text/html, */*;q=0.1", "", "application/json"}, {"text/csv", "&format=json", "application/json"},
	} {
		h := http.Header{}
		if tc.accept != "" {
			h.Set("Accept", tc.accept)
		}
		if a := w.do("GET", day+tc.param, "admin", h); a.header.Get("Content-Type") != tc.want {
			t.Errorf("%q %q: %d %q", tc.accept, tc.param, a.status, a.header.Get("Content-Type"))
		}
	}
}

// TestEmptyAndSelected: nothing found is a whole answer with no rows.
func TestEmptyAndSelected(t *testing.T) {
	w := start(t)
	w.fill(meter, 4)
	for _, format := range []string{"json", "csv", "ndjson"} {
		if rows := verify(t, w.get(day+"&device=nothing&format="+format, "admin"), format); len(rows) != 0 {
			t.Errorf("%s: %v", format, rows)
		}
		if rows := verify(t, w.get(day+"&point=active_power&format="+format, "admin"), format); len(rows) != 4 {
			t.Errorf("%s: %v", format, rows)
		}
		half := "/api/v1/readings?site=canal-1&from=2026-11-23T15:57:00%2B08:00&to=2026-11-23T15:59:00%2B08:00"
		if rows := verify(t, w.get(half+"&format="+format, "admin"), format); len(rows) != 4 {
			t.Errorf("%s: half-open range: %v", format, rows)
		}
	}
}

// TestWindows: fixed windows, and days of the site's zone.
func TestWindows(t *testing.T) {
	w := start(t)
	w.fill(meter, 3000) // two days and two hours; 8:00 UTC is 16:00 in Shanghai
	for _, format := range []string{"json", "csv", "ndjson"} {
		rows := verify(t, w.get("/api/v1/readings?site=canal-1&from=2026-11-21T06:00:00Z&to=2026-11-23T08:00:00Z&point=active_power&every=day&function=count&format="+format, "accountant"), format)
		if format == "ndjson" {
			golden(t, "windows.ndjson", strings.Join(rows, ""))
		}
		if format == "csv" {
			golden(t, "windows.csv", strings.Join(rows, ""))
		}
	}
	type row struct {
		From, To             time.Time
		Value                *float64
		Count, Bad           int64
		Quality, Unit, Point string
	}
	doc := decode[struct{ Readings []row }](t, w.get(day+"&point=active_energy_import&every=15m&function=spread", "accountant"))
	if len(doc.Readings) != 96 {
		t.Fatalf("%d quarter hours", len(doc.Readings))
	}
	for _, r := range doc.Readings {
		if r.To.Sub(r.From) != 15*time.Minute || r.Value == nil || *r.Value != 14.0/8 || r.Count != 15 || r.Unit != "kW.h" {
			t.Fatalf("%+v", r)
		}
	}
}

// TestBrokenAnswer: an answer that fails on the way never looks whole.
func TestBrokenAnswer(t *testing.T) {
	w := start(t)
	w.fill(meter, 5000)
	w.series.failAfter.Store(9000)
	for _, format := range []string{"json", "csv", "ndjson"} {
		a := w.get("/api/v1/readings?site=canal-1&from=2026-11-01T00:00:00Z&to=2026-11-24T00:00:00Z&format="+format, "admin")
		if a.status != 200 || a.body == "" {
			t.Errorf("%s: %d, %d bytes: the answer did not begin, so this tests nothing", format, a.status, len(a.body))
		}
		if !errors.Is(a.err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the client saw %v after %d bytes", format, a.err, len(a.body))
		}
		if len(a.trailer.Get("Yunhe-Rows")) > 0 || strings.Contains(a.body, `"rows"`) {
			t.Errorf("%s: a broken answer tells a number of rows", format)
		}
	}
}

// intervals writes 15-minute intervals of 100 channels.
func intervals(tb testing.TB, w *world, days int) (path string, rows int) {
	tb.Helper()
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	var batch []series.Row
	for d := range 10 {
		dev := series.Device{Kind: "electric_meter", Site: "canal-1", Gateway: "gw-1", ID: fmt.Sprintf("meter-%02d", d)}
		for q := range days * 96 {
			fields := make([]series.Field, 10)
			for p := range fields {
				fields[p] = series.Field{Point: fmt.Sprintf("channel_%d", p), Value: telemetry.Float(float64(q*p) / 7)}
			}
			batch = append(batch, series.Row{Device: dev, Time: from.Add(time.Duration(q) * 15 * time.Minute), Fields: fields})
			rows += len(fields)
		}
	}
	for i := 0; i < len(batch); i += 2000 {
		if _, err := w.series.Write(tb.Context(), batch[i:min(i+2000, len(batch))]); err != nil {
			tb.Fatal(err)
		}
	}
	return "/api/v1/readings?site=canal-1&from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z&format=csv", rows
}

// fetch reads an answer without keeping it and watches the heap meanwhile.
func fetch(tb testing.TB, w *world, path string, each func()) (lines int) {
	tb.Helper()
	req, _ := http.NewRequest("GET", w.url+path, nil)
	req.Header.Set("Authorization", "Bearer "+w.keys["accountant"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buf)
		lines += bytes.Count(buf[:n], []byte("\n"))
		each()
		if err == io.EOF {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if got := resp.Trailer.Get("Yunhe-Rows"); got != strconv.Itoa(lines-1) {
		tb.Fatalf("trailer says %q rows, %d arrived", got, lines-1)
	}
	return lines - 1
}

// TestFlatHeap: 96,000 rows, 12 MB, pass through in memory that does not grow
// with them.
func TestFlatHeap(t *testing.T) {
	w := start(t)
	path, want := intervals(t, w, 10)
	fetch(t, w, path, func() {}) // warm up
	var before, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	reads := 0
	got := fetch(t, w, path, func() {
		if reads++; reads%50 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	})
	if got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
	grown := int64(most) - int64(before.HeapAlloc)
	t.Logf("heap grew by at most %d KiB over %d rows", grown/1024, got)
	if most == 0 || grown > 5<<20 {
		t.Errorf("live heap grew by %d bytes: rows are being kept", grown)
	}
}

// BenchmarkExportMonth streams 288,000 rows as CSV: the goal is below 2 s.
func BenchmarkExportMonth(b *testing.B) {
	w := start(b)
	path, want := intervals(b, w, 30)
	b.ReportAllocs()
	for b.Loop() {
		if got := fetch(b, w, path, func() {}); got != want {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(want)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
