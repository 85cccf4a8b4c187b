package records

import (
	"database/sql"
	_ "embed"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	contract "yunhe/internal/records"
	"yunhe/internal/seglog"
	"yunhe/internal/series"
)

//go:embed testdata/schema1.sql
var schema1 string

// TestUpgrade: records of schema version 1 are taken over; their entries lie in
// the log that is kept.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(schema1 + `
		INSERT INTO gateways (id, site, gateway) VALUES (1, 'tz', 'gw-1');
		INSERT INTO epochs (id, gateway, jid) VALUES (1, 1, 5);
		INSERT INTO seen VALUES (1, 1, zeroblob(32), 7, 16);
		INSERT INTO boots VALUES (1, zeroblob(16), 1, 1);
		INSERT INTO untimed VALUES (1, zeroblob(16), 5, 1, 7, 16);
		PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s, err := Open(t.Context(), path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	waiting, err := s.Untimed(t.Context(), 10)
	want := intake.Place{Log: intake.KeptLog, Position: seglog.Position{Segment: 7, Offset: 16}}
	if err != nil || len(waiting) != 1 || waiting[0].At != want {
		t.Errorf("untimed %v, %v", waiting, err)
	}
	if _, ok, err := s.SeenHash(t.Context(), 1, 1); !ok || err != nil {
		t.Errorf("the entry is not known: %v", err)
	}
	if stale, err := s.StaleRaw(t.Context(), time.Now().AddDate(100, 0, 0), 10); err != nil || len(stale) != 0 {
		t.Errorf("raw segments %v, %v", stale, err)
	}
	var kept, fresh string
	const columns = `SELECT group_concat(name || type || pk, ',') FROM (SELECT * FROM pragma_table_info('seen') UNION ALL SELECT * FROM pragma_table_info('untimed'))`
	other, err := Open(t.Context(), filepath.Join(t.TempDir(), "records.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := s.reader.QueryRow(columns).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if err := other.reader.QueryRow(columns).Scan(&fresh); err != nil || kept != fresh {
		t.Errorf("upgraded %s\nfresh    %s, %v", kept, fresh, err)
	}
}

// TestStaleRaw: a segment is as old as the last entry it got, oldest first.
func TestStaleRaw(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "records.db"), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := &intake.Epoch{Of: intake.Gateway{Site: "tz", Gateway: "gw-1"}, JID: 5}
	jseq := uint64(0)
	commit := func(log intake.Log, segments ...uint64) {
		t.Helper()
		var f intake.Flush
		for _, id := range segments {
			jseq++
			f.Entries = append(f.Entries, intake.Entry{Epoch: e, JSeq: jseq, Hash: evidence.Hash{byte(jseq)},
				At: intake.Place{Log: log, Position: seglog.Position{Segment: id, Offset: int64(jseq)}}})
		}
		if err := s.Commit(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
	}
	commit(intake.RawLog, 1, 1, 2)
	commit(intake.KeptLog, 1, 2, 3)
	now = now.Add(time.Hour)
	commit(intake.RawLog, 2, 3, 4)
	stale := func(since time.Time, limit int, want ...uint64) {
		t.Helper()
		if got, err := s.StaleRaw(t.Context(), since, limit); err != nil || !slices.Equal(got, want) {
			t.Errorf("stale since %s: %v, %v, want %v", since, got, err, want)
		}
	}
	stale(now, 10, 1)
	stale(now.Add(-time.Hour), 10)
	stale(now.Add(time.Second), 3, 1, 2, 3)
	if err := s.ForgetRaw(t.Context(), []uint64{1, 3}); err != nil {
		t.Fatal(err)
	}
	stale(now.Add(time.Second), 10, 2, 4)
	if _, ok, err := s.SeenHash(t.Context(), e.ID, 1); !ok || err != nil {
		t.Errorf("the number of a deleted entry is forgotten: %v", err)
	}
}

// TestLastReadingOfAFailedClock: a device whose clock is not set shows when it
// was read, as far as that can be right, and hides nothing that comes later.
func TestLastReadingOfAFailedClock(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "records.db"), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	row := func(at time.Time, failed bool) {
		t.Helper()
		d := series.Device{Kind: "meter", Site: "tz", Gateway: "gw-1", ID: "m"}
		if err := s.Commit(t.Context(), &intake.Flush{Rows: []series.Row{{Device: d, Time: at, ClockFailed: failed}}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		at, want time.Time
		failed   bool
	}{
		{time.Unix(9, 0).UTC(), time.Time{}, true},
		{now.Add(-time.Minute), now.Add(-time.Minute), true},
		{now.Add(10 * time.Minute), now, true},
		{now.Add(-2 * time.Minute), now, true},
		{now.Add(time.Second), now.Add(time.Second), false},
	} {
		row(c.at, c.failed)
		all, err := s.Devices(t.Context(), contract.Scope{All: true})
		if err != nil || len(all) != 1 || !all[0].LastReading.Equal(c.want) {
			t.Errorf("row %d: %+v, %v; want %s", i, all, err, c.want)
		}
	}
}
