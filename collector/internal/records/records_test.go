package records

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	contract "yunhe/internal/records"
	"yunhe/internal/seglog"
	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

var (
	start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	gw    = intake.Gateway{Site: "tz", Gateway: "gw-1"}
	all   = contract.Scope{All: true}
)

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func commit(t *testing.T, s *Store, f *intake.Flush) {
	t.Helper()
	if err := s.Commit(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// TestSynchronousFull: what is acknowledged rests on this setting, on every
// connection.
func TestSynchronousFull(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "a b?#%.db"))
	for name, db := range map[string]*sql.DB{"writer": s.writer, "reader": s.reader} {
		for range 3 {
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var full int
			var mode string
			if err := c.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&full); err != nil || full != 2 {
				t.Errorf("%s: synchronous is %d, want 2 (FULL): %v", name, full, err)
			}
			if err := c.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
				t.Errorf("%s: journal_mode is %q: %v", name, mode, err)
			}
			if name == "reader" {
				defer c.Close() // so that the next one is another connection
			} else {
				c.Close()
			}
		}
	}
}

func TestUnknownSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.db")
	s := openAt(t, path)
	if _, err := s.writer.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(t.Context(), path, time.Now); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("got %v", err)
	}
}

func definition(serial string) intake.Definition {
	d := evidence.Definition{Site: "tz", Gateway: "gw-1", Device: "m1", Kind: "meter", Profile: "p", ProfileVersion: 3, Serial: serial,
		ProfileHash: evidence.HashOf(nil),
		Points: []evidence.PointDef{{Name: "power", Quantity: "active_power", Unit: "W", Class: telemetry.Gauge, Type: telemetry.TypeFloat,
			Table: "input", Address: 1, RegisterType: "f32", WordOrder: "big"}}}
	data, err := d.Encode()
	if err != nil {
		panic(err)
	}
	return intake.Definition{Hash: evidence.HashOf(data), Data: data, Recorded: start, Definition: d}
}

func flushOf(e *intake.Epoch, jseqs ...uint64) *intake.Flush {
	f := &intake.Flush{}
	for _, n := range jseqs {
		f.Entries = append(f.Entries, intake.Entry{Epoch: e, JSeq: n, Hash: evidence.Hash{byte(n)}, At: intake.Place{Position: seglog.Position{Segment: 1, Offset: int64(n)}}})
		e.Seen.Add(e.JID, n)
	}
	return f
}

// TestEpochIsCompleteAfterARestart: the range sets are written now and then,
// the numbers always; what is loaded is exact.
func TestEpochIsCompleteAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.db")
	s := openAt(t, path)
	e, err := s.Epoch(t.Context(), gw, 77)
	if err != nil || e.ID != 0 {
		t.Fatal(e, err)
	}
	f := flushOf(e, 1, 2, 5, 6, 9)
	e.Held.Add(77, 4)
	e.Lost.Add(77, 8)
	e.Journal, e.PrevJID, e.PrevJSeq = "raw", 70, 12
	f.Epochs = []*intake.Epoch{e}
	commit(t, s, f)
	commit(t, s, flushOf(e, 3, 7, 10, 11, 20)) // without its ranges
	s.Close()

	s = openAt(t, path)
	got, err := s.Epoch(t.Context(), gw, 77)
	if err != nil {
		t.Fatal(err)
	}
	if got.Seen.String() != "77:1-3,5-7,9-11,20" || got.Held.String() != "77:4" || got.Lost.String() != "77:8" || got.Journal != "raw" {
		t.Errorf("seen %s held %s lost %s journal %s", got.Seen, got.Held, got.Lost, got.Journal)
	}
	h, ok, err := s.SeenHash(t.Context(), got.ID, 7)
	if err != nil || !ok || h != (evidence.Hash{7}) {
		t.Errorf("hash %s %v %v", h, ok, err)
	}
	if _, ok, err := s.SeenHash(t.Context(), got.ID, 8); ok || err != nil {
		t.Errorf("an entry that never was: %v %v", ok, err)
	}
	for jid, want := range map[uint64]uint64{77: 0, 78: 77} {
		if other, err := s.Successor(t.Context(), gw, 70, jid); err != nil || other != want {
			t.Errorf("successor of 70 other than %d: %d, %v", jid, other, err)
		}
	}
}

// TestCommitIsAllOrNothing: a transaction that fails leaves neither rows nor
// memory behind, and the same flush may be written again.
func TestCommitIsAllOrNothing(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "r.db"))
	e := &intake.Epoch{Of: gw, JID: 5}
	f := flushOf(e, 1, 2)
	f.Definitions = []intake.Definition{definition("1")}
	f.Statuses = []intake.Status{{Of: gw, Seen: start}}
	f.Entries = append(f.Entries, f.Entries[0]) // the same number twice fails
	if err := s.Commit(t.Context(), f); err == nil {
		t.Fatal("a number was written twice")
	}
	if e.ID != 0 || len(s.gateways) != 0 || len(s.devices) != 0 {
		t.Errorf("memory keeps epoch %d, %d gateways, %d devices", e.ID, len(s.gateways), len(s.devices))
	}
	for _, table := range []string{"gateways", "devices", "definitions", "epochs", "seen"} {
		var n int
		if err := s.reader.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s has %d rows: %v", table, n, err)
		}
	}
	f.Entries = f.Entries[:2]
	commit(t, s, f)
	if got, _, err := s.Definition(t.Context(), f.Definitions[0].Hash); err != nil || len(got) == 0 {
		t.Errorf("definition: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ended, flushOf(e, 3)); err == nil {
		t.Error("a commit after the end succeeds")
	}
}

// TestReader: what the API sees, before and after a restart.
func TestReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.db")
	s := openAt(t, path)
	offset := 12 * time.Millisecond
	newest, oldest := definition("new"), definition("old")
	oldest.Recorded = start.Add(-time.Hour) // history comes late and changes nothing
	dev := series.Device{Kind: "meter", Site: "tz", Gateway: "gw-1", ID: "m1"}
	plc := series.Device{Kind: "sparkplug", Site: "b", Gateway: "PLC", ID: "Pump", Unsigned: true}
	commit(t, s, &intake.Flush{
		Definitions: []intake.Definition{newest},
		Statuses: []intake.Status{
			{Of: gw, Seen: start, ClockState: "S", Offset: &offset, Told: true, Version: "1.0", Backlog: 3, Error: "bus down"},
			{Of: intake.Gateway{Site: "b", Gateway: "PLC"}, Seen: start, Unsigned: true},
		},
		Rows:   []series.Row{{Device: dev, Time: start}, {Device: plc, Time: start}},
		Slots:  []intake.Slot{{Device: dev, Start: start.UnixMilli()}, {Device: dev, Start: start.UnixMilli()}},
		Events: []intake.Event{{Of: gw, At: start, Type: "loss", JID: 1, JSeq: 2, Text: "x", Alarm: true}},
	})
	commit(t, s, &intake.Flush{
		Definitions: []intake.Definition{oldest},
		Rows:        []series.Row{{Device: dev, Time: start.Add(-time.Hour)}, {Device: dev, Time: start.AddDate(1, 0, 0), ClockFailed: true}},
		Statuses:    []intake.Status{{Of: gw, Seen: start.Add(time.Second), Death: true}},
	})
	ms := int64(12)
	wantG := []contract.Gateway{
		{Site: "b", Gateway: "PLC", Unsigned: true, Online: true, LastSeen: start},
		{Site: "tz", Gateway: "gw-1", LastSeen: start.Add(time.Second), ClockState: "S", ClockOffset: &ms, Backlog: 3, Version: "1.0", LastError: "bus down", LastErrorAt: start},
	}
	wantD := []contract.Device{
		{Site: "b", Gateway: "PLC", Device: "Pump", Unsigned: true, Kind: "sparkplug", LastReading: start},
		{Site: "tz", Gateway: "gw-1", Device: "m1", Kind: "meter", Profile: "p", ProfileVersion: 3, Serial: "new", Definition: newest.Hash.String(), LastReading: start},
	}
	for _, when := range []string{"at once", "after a restart"} {
		if when != "at once" {
			s.Close()
			s = openAt(t, path)
		}
		g, err := s.Gateways(t.Context(), all)
		if d := cmp.Diff(wantG, g); d != "" || err != nil {
			t.Errorf("%s: gateways %v (-want +got):\n%s", when, err, d)
		}
		d, err := s.Devices(t.Context(), all)
		if diff := cmp.Diff(wantD, d); diff != "" || err != nil {
			t.Errorf("%s: devices %v (-want +got):\n%s", when, err, diff)
		}
		p, err := s.Points(t.Context(), contract.Scope{Sites: []string{"tz"}})
		if err != nil || len(p) != 1 || p[0].Name != "power" || p[0].Class != "gauge" {
			t.Errorf("%s: points %v %v", when, p, err)
		}
		if p, _ := s.Points(t.Context(), contract.Scope{Sites: []string{"b"}}); len(p) != 0 {
			t.Errorf("%s: another site's points: %v", when, p)
		}
		if g, _ := s.Gateways(t.Context(), contract.Scope{}); len(g) != 0 {
			t.Errorf("%s: the empty scope sees %v", when, g)
		}
	}
	var dirty int
	if err := s.reader.QueryRow("SELECT count(*) FROM dirty").Scan(&dirty); err != nil || dirty != 1 {
		t.Errorf("%d dirty slots, want 1: %v", dirty, err)
	}
	ev, err := s.Events(t.Context(), "tz", 10)
	want := []intake.Event{{Of: gw, At: start, Type: "loss", JID: 1, JSeq: 2, Text: "x", Alarm: true}}
	if d := cmp.Diff(want, ev); d != "" || err != nil {
		t.Errorf("events %v (-want +got):\n%s", err, d)
	}
}

func TestUntimed(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "r.db"))
	e := &intake.Epoch{Of: gw, JID: 5}
	f := flushOf(e, 1)
	boot := [16]byte{9}
	f.Entries[0].ClockFailed, f.Entries[0].Boot = true, boot
	commit(t, s, f)
	if got, err := s.Untimed(t.Context(), 10); err != nil || len(got) != 0 {
		t.Fatalf("re-timed without an anchor: %v %v", got, err)
	}
	a := intake.Anchor{Of: gw, Boot: boot, Mono: time.Minute, Wall: start}
	commit(t, s, &intake.Flush{Anchors: []intake.Anchor{a}})
	if got, ok, err := s.Anchor(t.Context(), gw, boot); err != nil || !ok || got != a {
		t.Errorf("anchor %v %v %v", got, ok, err)
	}
	want := []intake.Retime{{Of: gw, Boot: boot, JID: 5, JSeq: 1, At: intake.Place{Position: seglog.Position{Segment: 1, Offset: 1}}}}
	got, err := s.Untimed(t.Context(), 10)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Fatalf("untimed %v (-want +got):\n%s", err, d)
	}
	commit(t, s, &intake.Flush{Retimed: got})
	if got, _ = s.Untimed(t.Context(), 10); len(got) != 0 {
		t.Errorf("still untimed: %v", got)
	}
}

func rowsAt(n int, site string) []series.Row {
	rows := make([]series.Row, n)
	for i := range rows {
		rows[i] = series.Row{Device: series.Device{Kind: "meter", Site: site, Gateway: "g", ID: "m"}, Time: start,
			Fields: []series.Field{{Point: "power", Value: telemetry.Float(float64(i))}}}
	}
	return rows
}

// take reads n items, or until nothing comes for a while.
func take(t *testing.T, r *ring, scope contract.Scope, after uint64, n int) []contract.StreamItem {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var out []contract.StreamItem
	for it, err := range r.stream(ctx, scope, after) {
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, it); len(out) == n {
			break
		}
	}
	return out
}

func TestRing(t *testing.T) {
	r := newRing(start)
	r.publish(rowsAt(10, "tz"))
	r.publish(rowsAt(3, "other"))
	items := take(t, r, all, 0, 13)
	if len(items) != 13 || items[0].Gap || items[12].Seq != items[0].Seq+12 || items[12].Seq >= 1<<53 {
		t.Fatalf("%+v", items)
	}
	again := take(t, r, all, items[4].Seq, 8)
	if d := cmp.Diff(items[5:], again); d != "" {
		t.Errorf("resumed (-want +got):\n%s", d)
	}
	if got := take(t, r, contract.Scope{Sites: []string{"other"}}, 0, 3); len(got) != 3 || slices.ContainsFunc(got, func(it contract.StreamItem) bool { return it.Site != "other" || it.Gap }) {
		t.Errorf("scope: %+v", got)
	}
	r.publish(rowsAt(ringSize, "tz")) // overtakes all of the above
	if got := take(t, r, all, items[4].Seq, 2); !got[0].Gap || got[1].Gap {
		t.Errorf("a gap is not told once: %v %v", got[0].Gap, got[1].Gap)
	}
	if got := take(t, r, all, items[12].Seq, 1); got[0].Gap {
		t.Error("a gap is told where none is")
	}
	later := newRing(start.Add(time.Hour)) // after a restart
	later.publish(rowsAt(1, "tz"))
	if got := take(t, later, all, items[12].Seq, 1); !got[0].Gap || got[0].Seq <= items[12].Seq {
		t.Errorf("after a restart: %+v", got[0])
	}
}

func TestRingLive(t *testing.T) {
	r := newRing(start)
	r.publish(rowsAt(5, "tz"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := make(chan contract.StreamItem)
	seq := r.stream(ctx, all, contract.Live)
	go func() {
		defer close(next)
		for it := range seq {
			next <- it
		}
	}()
	r.publish(rowsAt(1, "tz"))
	it := <-next
	if it.Seq != r.next-1 || it.Gap {
		t.Errorf("live begins with %+v", it)
	}
	cancel()
	if _, more := <-next; more {
		t.Error("the stream goes on after its context")
	}
}

// TestManyHoles: an epoch with more holes than a range set can be read with
// is still loaded exactly.
func TestManyHoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.db")
	s := openAt(t, path)
	e := &intake.Epoch{Of: gw, JID: evidence.MaxNumber}
	var odd []uint64
	for n := uint64(1); n <= 8000; n += 2 {
		odd = append(odd, n)
		e.Lost.Add(e.JID, n+1_000_000_000_000)
	}
	f := flushOf(e, odd...)
	f.Epochs = []*intake.Epoch{e}
	commit(t, s, f)
	got, err := s.Epoch(t.Context(), gw, e.JID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Seen.Len() != uint64(len(odd)) || !got.Seen.Contains(e.JID, 7999) || got.Seen.Contains(e.JID, 7998) {
		t.Errorf("%d numbers of %d", got.Seen.Len(), len(odd))
	}
}
