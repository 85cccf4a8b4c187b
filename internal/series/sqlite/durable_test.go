package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// Every connection syncs fully and writes ahead: without this a power cut
// takes readings that were acknowledged.
func TestPragmas(t *testing.T) {
	s := open(t)
	for name, db := range map[string]*sql.DB{"writer": s.writer, "reader": s.reader} {
		for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "busy_timeout": "10000"} {
			var got string
			if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: PRAGMA %s is %q, %v; want %q", name, pragma, got, err, want)
			}
		}
	}
	if _, err := s.reader.Exec("DELETE FROM reading"); err == nil {
		t.Error("the readers' connection deletes")
	}
	// Each later connection of a pool, too.
	s.reader.SetMaxIdleConns(0)
	var got string
	if err := s.reader.QueryRow("PRAGMA synchronous").Scan(&got); err != nil || got != "2" {
		t.Errorf("second reader: synchronous is %q, %v", got, err)
	}
}

// rows makes n rows of one device, one a second.
func rows(n int) []series.Row {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	all := make([]series.Row, n)
	for i := range all {
		all[i] = series.Row{Device: series.Device{Kind: "meter", Site: "s", Gateway: "g", ID: "d"}, Time: start.Add(time.Duration(i) * time.Second),
			Fields: []series.Field{{Point: "a", Value: telemetry.Float(float64(i))}, {Point: "b", Value: telemetry.Bool(i%2 == 0)}}}
	}
	return all
}

func query() series.Query {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	return series.Query{Site: "s", From: start, To: start.Add(24 * time.Hour)}
}

// A reader that pauses between two samples does not keep the log from being
// written back and cut to nothing.
func TestSlowReaderDoesNotHoldTheLog(t *testing.T) {
	s := open(t)
	all := rows(3 * pageRows)
	if _, err := s.Write(t.Context(), all[:2*pageRows]); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Range(t.Context(), query()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n != 100 {
			continue
		}
		if _, err := s.Write(t.Context(), all[2*pageRows:]); err != nil {
			t.Fatal(err)
		}
		var busy, frames, moved int
		if err := s.writer.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved); err != nil || busy != 0 {
			t.Fatalf("checkpoint beside a slow reader: busy %d, %v", busy, err)
		}
	}
	if n != 2*len(all) {
		t.Errorf("%d samples, want %d: pages written meanwhile are read", n, 2*len(all))
	}
}

// What was written is there when the file is opened again, names and all.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "series.db")
	var got []series.Sample
	for i, r := range rows(3) {
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if rejected, err := s.Write(t.Context(), []series.Row{r}); err != nil || len(rejected) > 0 {
			t.Fatal(rejected, err)
		}
		r.Fields = []series.Field{{Point: "a", Value: telemetry.String("text")}}
		rejected, err := s.Write(t.Context(), []series.Row{r})
		if err != nil || len(rejected) != 1 || !strings.Contains(rejected[0].Reason, `"a"`) {
			t.Errorf("a text where numbers are kept: %v, %v", rejected, err)
		}
		if got, err = s.Latest(t.Context(), series.Query{Site: "s"}); err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		if f, _ := got[0].Value.Number(); f != float64(i) {
			t.Errorf("latest after opening %d: %v", i, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A transaction that fails leaves no names behind that the file does not know.
func TestFailedWriteIsForgotten(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	all := rows(pageRows)
	cancel()
	if _, err := s.Write(ctx, all); err == nil {
		t.Fatal("a cancelled Write succeeds")
	}
	if _, err := s.writer.Exec("CREATE TRIGGER t BEFORE INSERT ON reading WHEN NEW.time % 1000 = 0 AND NEW.time > 1772323205000 BEGIN SELECT RAISE(ABORT, 'disk'); END"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), all); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Fatalf("error %v", err)
	}
	if _, err := s.writer.Exec("DROP TRIGGER t"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Range(t.Context(), query()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2*len(all) {
		t.Errorf("%d samples, want %d", n, 2*len(all))
	}
}

func TestForeignFile(t *testing.T) {
	s := open(t)
	var path string
	if err := s.writer.QueryRow("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "format 99") {
		t.Errorf("open a file of a later format: %v", err)
	}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "no", "folder.db")); err == nil {
		t.Error("open in a folder that is not there: no error")
	}
}

// A damaged row is an error that names its place, never a wrong value.
func TestDamagedRow(t *testing.T) {
	s := open(t)
	if _, err := s.Write(t.Context(), rows(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.Exec("UPDATE reading SET fields = x'01' WHERE time = (SELECT max(time) FROM reading)"); err != nil {
		t.Fatal(err)
	}
	n := 0
	var got error
	for _, err := range s.Range(t.Context(), query()) {
		if err != nil {
			got = err
			break
		}
		n++
	}
	if n != 4 || got == nil || !strings.Contains(got.Error(), "s/g/d at 1772323202000 ms") {
		t.Errorf("after %d samples: %v", n, got)
	}
}

// FuzzFields: any bytes decode to readings or an error, and what decodes
// encodes to the same readings.
func FuzzFields(f *testing.F) {
	f.Add(appendFields(nil, []packed{
		{1, series.Field{Point: "a", Value: telemetry.Float(1.5)}},
		{200, series.Field{Point: "b", Quality: telemetry.Bad}},
		{3, series.Field{Point: "c", Value: telemetry.String("text"), Quality: telemetry.Uncertain}},
		{4, series.Field{Point: "d", Value: telemetry.Bool(true)}},
	}))
	f.Add([]byte{1, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		all := func(b []byte) (ps []packed, ok bool) {
			for len(b) > 0 {
				p, rest, err := nextField(b)
				if err != nil {
					return nil, false
				}
				if len(rest) >= len(b) {
					t.Fatal("no progress")
				}
				ps, b = append(ps, p), rest
			}
			return ps, true
		}
		ps, ok := all(b)
		if !ok {
			return
		}
		again, ok := all(appendFields(nil, ps))
		if d := cmp.Diff(ps, again, cmp.AllowUnexported(packed{})); !ok || d != "" {
			t.Fatalf("encoded and decoded again: %v\n%s", ok, d)
		}
	})
}

// The example of docs/formats/series.md.
func TestFormatExample(t *testing.T) {
	want := []byte{0x01, 0x10, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0xc8, 0x01, 0x02}
	got := appendFields(nil, []packed{
		{1, series.Field{Point: "a", Value: telemetry.Float(1.5)}},
		{200, series.Field{Point: "b", Quality: telemetry.Bad}},
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
