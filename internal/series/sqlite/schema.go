package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// version is PRAGMA user_version; it grows when a table changes.
const version = 1

// schema: one SQL row is one row of the contract, its readings packed in one
// blob, because a row a reading costs ten times the writes and the room.
// point.hour is the newest hour (since 1970) in which the point was read: it
// bounds the search for its latest reading.
const schema = `
CREATE TABLE device (
	id INTEGER PRIMARY KEY,
	kind TEXT NOT NULL, site TEXT NOT NULL, gateway TEXT NOT NULL, device TEXT NOT NULL, unsigned INTEGER NOT NULL,
	UNIQUE (site, unsigned, gateway, device, kind)
) STRICT;
CREATE TABLE point (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE field (
	measurement TEXT NOT NULL, point INTEGER NOT NULL REFERENCES point, type INTEGER NOT NULL,
	PRIMARY KEY (measurement, point)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
	device INTEGER NOT NULL REFERENCES device, point INTEGER NOT NULL REFERENCES point, hour INTEGER NOT NULL,
	PRIMARY KEY (device, point)
) STRICT, WITHOUT ROWID;
CREATE TABLE reading (
	device INTEGER NOT NULL REFERENCES device, time INTEGER NOT NULL, clock_failed INTEGER NOT NULL, fields BLOB NOT NULL,
	PRIMARY KEY (device, time)
) STRICT, WITHOUT ROWID;
`

const hourMillis = int64(time.Hour / time.Millisecond)

// fieldType is the type a point has in a measurement; numbers are one type.
type fieldType uint8

const (
	fieldNumber fieldType = 1
	fieldBool   fieldType = 2
	fieldText   fieldType = 3
)

// String names the type in messages.
func (t fieldType) String() string {
	return map[fieldType]string{fieldNumber: "number", fieldBool: "truth value", fieldText: "text"}[t]
}

func typeOf(v telemetry.Value) fieldType {
	switch v.Type() {
	case telemetry.TypeBool:
		return fieldBool
	case telemetry.TypeString:
		return fieldText
	default:
		return fieldNumber
	}
}

type fieldKey struct {
	measurement string
	point       int64
}

type seenKey struct{ device, point int64 }

// dictionary mirrors the small tables; the one writer owns it. Changes of a
// transaction that is rolled back are undone by loading it anew.
type dictionary struct {
	devices map[series.Device]int64
	points  map[string]int64
	fields  map[fieldKey]fieldType
	seen    map[seenKey]int64 // newest hour
}

func prepare(ctx context.Context, db *sql.DB) (*dictionary, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	var have int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return nil, err
	}
	switch have {
	case 0:
		if _, err := tx.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA user_version = %d;", version)); err != nil {
			return nil, fmt.Errorf("make tables: %w", err)
		}
	case version:
	default:
		return nil, fmt.Errorf("the file has format %d, this program knows %d: use the program that wrote it", have, version)
	}
	dict, err := load(ctx, tx)
	if err != nil {
		return nil, err
	}
	return dict, tx.Commit()
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func load(ctx context.Context, db querier) (*dictionary, error) {
	d := &dictionary{
		devices: map[series.Device]int64{}, points: map[string]int64{},
		fields: map[fieldKey]fieldType{}, seen: map[seenKey]int64{},
	}
	var (
		id, hour int64
		dev      series.Device
		name     string
		fk       fieldKey
		ft       fieldType
		sk       seenKey
	)
	for _, t := range []struct {
		query string
		dest  []any
		keep  func()
	}{
		{"SELECT id, kind, site, gateway, device, unsigned FROM device",
			[]any{&id, &dev.Kind, &dev.Site, &dev.Gateway, &dev.ID, &dev.Unsigned}, func() { d.devices[dev] = id }},
		{"SELECT id, name FROM point", []any{&id, &name}, func() { d.points[name] = id }},
		{"SELECT measurement, point, type FROM field", []any{&fk.measurement, &fk.point, &ft}, func() { d.fields[fk] = ft }},
		{"SELECT device, point, hour FROM seen", []any{&sk.device, &sk.point, &hour}, func() { d.seen[sk] = hour }},
	} {
		if err := each(ctx, db, t.query, nil, t.dest, t.keep); err != nil {
			return nil, fmt.Errorf("load names: %w", err)
		}
	}
	return d, nil
}

// each scans every row of a query into dest and calls keep.
func each(ctx context.Context, db querier, query string, args, dest []any, keep func()) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		keep()
	}
	return rows.Err()
}
