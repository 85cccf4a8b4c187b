package e2e

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the records are read as they are on disk

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// number names an entry.
type number struct{ jid, jseq uint64 }

// String names an entry as wire.md does.
func (n number) String() string { return fmt.Sprintf("%d:%d", n.jid, n.jseq) }

// entries are signed entries by number.
type entries map[number]evidence.Entry

// journalled returns every intact entry in a stopped agent's journals. Each
// epoch must be a whole chain: numbers from 1 without holes, each entry naming
// the one before.
func journalled(t testing.TB, g *gateway) entries {
	t.Helper()
	all := entries{}
	for _, name := range []string{"raw", "boundary"} {
		each := func(_ seglog.Position, data []byte) {
			e, err := evidence.Parse(bytes.Clone(entryOf(t, data)))
			if err != nil {
				t.Fatalf("journal %s: %v", name, err)
			}
			n := number{e.Content.JID, e.Content.JSeq}
			if first, ok := all[n]; ok && !bytes.Equal(first.Bytes, e.Bytes) {
				t.Errorf("journal %s holds two entries %v", name, n)
				return
			}
			all[n] = e
		}
		log, _, err := seglog.Open(seglog.Options{
			Dir: g.state(filepath.Join("journal", name)), Name: "journal/" + name, FS: seglog.OS(),
			Each: each, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n, e := range all {
		before, ok := all[number{n.jid, n.jseq - 1}]
		if n.jseq > 1 && (!ok || before.Hash != e.Content.Prev) {
			t.Errorf("entry %v does not follow the one before (which is there: %v)", n, ok)
		}
	}
	return all
}

// entryOf returns the entry in the data of a journal record, by
// docs/formats/journal.md.
func entryOf(t testing.TB, record []byte) []byte {
	t.Helper()
	const fixed, lossBlock, lossFlag = 60, 56, 2
	if len(record) < fixed || record[0] != 1 {
		t.Fatalf("a journal record of %d bytes and version %d", len(record), record[0])
	}
	skip := fixed + int(record[3])
	if record[2]&lossFlag != 0 {
		skip += lossBlock
		t.Errorf("entry %d:%d declares a loss", binary.LittleEndian.Uint64(record[4:]), binary.LittleEndian.Uint64(record[12:]))
	}
	return record[skip:]
}

// kept is what a stopped collector holds.
type kept struct {
	entries entries
	copies  int // appended once more because a kill came between evidence and records
}

// keptBy reads evidence store and records of a stopped collector. Exactly one
// copy of each entry counts, the one that the records index; a further copy is
// left over from a kill between the two stores and must be the same entry.
func keptBy(t testing.TB, s *site) kept {
	t.Helper()
	k := kept{entries: entries{}}
	at := map[number]map[spot]bool{}
	for log, name := range []string{"evidence", "evidence-raw"} {
		each := func(pos seglog.Position, data []byte) {
			e, err := evidence.Parse(bytes.Clone(data))
			if err != nil {
				t.Fatalf("evidence store: %v", err)
			}
			n := number{e.Content.JID, e.Content.JSeq}
			if first, ok := k.entries[n]; ok {
				k.copies++
				if !bytes.Equal(first.Bytes, e.Bytes) {
					t.Errorf("the evidence store holds two entries %v", n)
				}
			} else {
				at[n] = map[spot]bool{}
			}
			k.entries[n], at[n][spot{log, pos}] = e, true
		}
		l, _, err := seglog.Open(seglog.Options{
			Dir: s.path("state/" + name), Name: name, FS: seglog.OS(), Each: each, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	index := indexed(t, s)
	for n, e := range k.entries {
		i, ok := index[n]
		if !ok || i.hash != e.Hash || !at[n][i.at] {
			t.Errorf("the records do not index entry %v as it is stored (indexed: %v)", n, ok)
		}
	}
	if len(index) != len(k.entries) {
		t.Errorf("the records index %d entries, %d are stored", len(index), len(k.entries))
	}
	return k
}

// spot is where an entry lies: log 0 is kept for ever, log 1 holds raw batches.
type spot struct {
	log int
	seglog.Position
}

// place is what the records say of one entry.
type place struct {
	hash evidence.Hash
	at   spot
}

// indexed reads the index of stored entries.
func indexed(t testing.TB, s *site) map[number]place {
	t.Helper()
	db := openRecords(t, s)
	rows, err := db.Query(`SELECT e.jid, s.jseq, s.hash, s.segment, s.offset, s.log FROM seen s JOIN epochs e ON e.id = s.epoch`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[number]place{}
	for rows.Next() {
		var n number
		var p place
		var hash []byte
		if err := rows.Scan(&n.jid, &n.jseq, &hash, &p.at.Segment, &p.at.Offset, &p.at.log); err != nil {
			t.Fatal(err)
		}
		copy(p.hash[:], hash)
		if _, twice := out[n]; twice {
			t.Errorf("the records index entry %v twice", n)
		}
		out[n] = p
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// openRecords opens the records beside a collector, or after it.
func openRecords(t testing.TB, s *site) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", s.path("state/records.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// storedOf counts the stored entries among some of an epoch.
func (s *site) storedOf(of evidence.Span) (n int) {
	s.t.Helper()
	db := openRecords(s.t, s)
	defer db.Close()
	err := db.QueryRow(`SELECT count(*) FROM seen s JOIN epochs e ON e.id = s.epoch WHERE e.jid = ? AND s.jseq BETWEEN ? AND ?`, of.JID, of.Lo, of.Hi).Scan(&n)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// alarms returns the texts of events that call for somebody: of one type, or
// all of them, with their type, for "".
func (s *site) alarms(typ string) (out []string) {
	s.t.Helper()
	db := openRecords(s.t, s)
	defer db.Close()
	rows, err := db.Query(`SELECT type, text FROM events WHERE alarm = 1 ORDER BY id`)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var is, text string
		if err := rows.Scan(&is, &text); err != nil {
			s.t.Fatal(err)
		}
		switch typ {
		case is:
			out = append(out, text)
		case "":
			out = append(out, is+": "+text)
		}
	}
	return out
}

// complete demands that every entry of the gateways' journals is stored, when
// all is acknowledged and the programs are stopped, one gateway after the other.
func (s *site) complete(gs ...*gateway) {
	s.t.Helper()
	for _, g := range gs {
		if !g.alive() {
			g.start()
		}
		g.drained(90 * time.Second)
		g.settle()
	}
	s.collector.stop()
	stored := keptBy(s.t, s)
	for _, g := range gs {
		for n := range journalled(s.t, g) {
			if _, ok := stored.entries[n]; !ok {
				s.t.Errorf("entry %v of %s is not stored", n, g.id)
			}
		}
	}
}
