// Package records is the collector's system of record: one SQLite file with
// the numbers seen, definitions, events, dirty slots and the state of
// gateways. Commit writes all of one flush or nothing, and returns after the
// file is on disk. It also keeps the live stream, in memory.
package records

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"yunhe/collector/internal/intake"
	contract "yunhe/internal/records"
)

// schemaVersion is raised with every change of schema.sql.
const schemaVersion = 2

//go:embed schema.sql
var schema string

//go:embed upgrade2.sql
var upgrade2 string

// saveEvery is how often the last-seen time of a gateway and the newest
// reading of a device reach the disk: they change with every message and
// only say how fresh something is.
const saveEvery = 10 * time.Second

// Store is the open records.
type Store struct {
	writer *sql.DB // one connection: SQLite has one writer
	reader *sql.DB
	stmts  statements
	now    func() time.Time
	ring   *ring

	mu       sync.Mutex // guards the maps and what they point to
	gateways map[intake.Gateway]*gateway
	devices  map[deviceKey]*device
}

// gateway is the state of one gateway, newer than or equal to its row.
type gateway struct {
	id    int64
	state contract.Gateway
	saved time.Time
	// clockAt is when the clock was as state says; zero after a start, as only
	// fresh news comes here.
	clockAt time.Time
}

type deviceKey struct {
	of       intake.Gateway
	device   string
	unsigned bool
}

// device is the state of one device, newer than or equal to its row.
type device struct {
	id      int64
	state   contract.Device
	points  []contract.Point
	defined time.Time
	saved   time.Time
}

// Open opens or creates the records in the file at path.
func Open(ctx context.Context, path string, now func() time.Time) (*Store, error) {
	s := &Store{now: now, ring: newRing(now()), gateways: map[intake.Gateway]*gateway{}, devices: map[deviceKey]*device{}}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open records %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	base := "file:" + (&url.URL{Path: abs}).EscapedPath() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	if s.writer, err = sql.Open("sqlite", base+"&_txlock=immediate"); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if s.reader, err = sql.Open("sqlite", base+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(4)
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.stmts.prepare(ctx, s.writer); err != nil {
		return err
	}
	if err := s.loadGateways(ctx); err != nil {
		return err
	}
	return s.loadDevices(ctx)
}

// migrate creates the schema or brings it up to date, and refuses the file of
// a later program.
func (s *Store) migrate(ctx context.Context) error {
	var version int
	if err := s.writer.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	steps := schema
	switch version {
	case schemaVersion:
		return nil
	case 0:
	case 1:
		steps = upgrade2
	default:
		return fmt.Errorf("the file has schema version %d, this program knows %d: start the program that wrote it", version, schemaVersion)
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect once committed
	if _, err := tx.ExecContext(ctx, steps); err != nil {
		return fmt.Errorf("create schema: %w", err)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return err
	}
	return tx.Commit()
}

// Close closes the file.
func (s *Store) Close() error {
	var err error
	s.stmts.close()
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

func (s *Store) loadGateways(ctx context.Context) error {
	rows, err := s.reader.QueryContext(ctx, `SELECT id, site, gateway, unsigned, online, last_seen, version,
		clock_state, clock_offset_ms, backlog, last_error, last_error_at FROM gateways`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var g gateway
		var seen, errorAt int64
		st := &g.state
		if err := rows.Scan(&g.id, &st.Site, &st.Gateway, &st.Unsigned, &st.Online, &seen, &st.Version,
			&st.ClockState, &st.ClockOffset, &st.Backlog, &st.LastError, &errorAt); err != nil {
			return err
		}
		st.LastSeen, st.LastErrorAt = timeOf(seen), timeOf(errorAt)
		s.gateways[intake.Gateway{Site: st.Site, Gateway: st.Gateway}] = &g
	}
	return rows.Err()
}

func (s *Store) loadDevices(ctx context.Context) error {
	rows, err := s.reader.QueryContext(ctx, `SELECT d.id, d.site, d.gateway, d.device, d.unsigned, d.kind, d.defined,
		d.last_reading, f.data FROM devices d LEFT JOIN definitions f ON f.hash = d.definition`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var d device
		var defined, last int64
		var data []byte
		st := &d.state
		if err := rows.Scan(&d.id, &st.Site, &st.Gateway, &st.Device, &st.Unsigned, &st.Kind, &defined, &last, &data); err != nil {
			return err
		}
		if data != nil {
			if err := d.describe(data); err != nil {
				return err
			}
		}
		d.defined, d.state.LastReading = timeOf(defined), timeOf(last)
		s.devices[deviceKey{intake.Gateway{Site: st.Site, Gateway: st.Gateway}, st.Device, st.Unsigned}] = &d
	}
	return rows.Err()
}

// timeOf returns the time of ms, the zero time for 0.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// millis is the inverse of timeOf.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
