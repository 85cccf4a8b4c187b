package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// Write stores rows in one transaction. It waits for an earlier Write first,
// also beyond the context's end, but never longer than that takes.
func (s *Store) Write(ctx context.Context, rows []series.Row) ([]series.Rejected, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rejected, err := s.write(ctx, rows)
	if err == nil {
		return rejected, nil
	}
	// What the transaction taught the dictionary is not in the file.
	dict, lerr := load(context.WithoutCancel(ctx), s.writer)
	if lerr != nil {
		return nil, errors.Join(err, lerr)
	}
	s.dict = dict
	return nil, fmt.Errorf("write %d rows: %w", len(rows), err)
}

func (s *Store) write(ctx context.Context, rows []series.Row) (rejected []series.Rejected, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	b, err := newBatch(ctx, tx, s.dict)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if err := series.CheckRow(rows[i]); err != nil {
			rejected = append(rejected, series.Rejected{Row: i, Reason: err.Error()})
			continue
		}
		if reason := b.conflict(&rows[i]); reason != "" {
			rejected = append(rejected, series.Rejected{Row: i, Reason: reason})
			continue
		}
		if err := b.put(&rows[i]); err != nil {
			return nil, err
		}
	}
	if err := b.saveSeen(); err != nil {
		return nil, err
	}
	return rejected, tx.Commit()
}

// batch is one transaction of the writer.
type batch struct {
	ctx    context.Context
	tx     *sql.Tx
	dict   *dictionary
	insert *sql.Stmt
	newer  map[seenKey]struct{} // changed in dict.seen
	names  map[int64]string     // of points, made when a row is merged
	ps     []packed
	blob   []byte
}

func newBatch(ctx context.Context, tx *sql.Tx, dict *dictionary) (*batch, error) {
	insert, err := tx.PrepareContext(ctx, "INSERT INTO reading (device, time, clock_failed, fields) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
	if err != nil {
		return nil, err
	}
	return &batch{ctx: ctx, tx: tx, dict: dict, insert: insert, newer: map[seenKey]struct{}{}}, nil
}

// conflict returns why r does not fit the types its measurement has, or "".
func (b *batch) conflict(r *series.Row) string {
	m := r.Device.Measurement()
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Value.IsZero() {
			continue
		}
		have, ok := b.dict.fields[fieldKey{m, b.dict.points[f.Point]}]
		if want := typeOf(f.Value); ok && have != want {
			return fmt.Sprintf("point %q of %s is a %s here, but %s are kept as %s", f.Point, r.Device, want, m, have)
		}
	}
	return ""
}

func (b *batch) put(r *series.Row) error {
	device, err := b.device(r.Device)
	if err != nil {
		return err
	}
	ms := telemetry.Millis(r.Time)
	m := r.Device.Measurement()
	b.ps = b.ps[:0]
	for i := range r.Fields {
		id, err := b.point(m, &r.Fields[i])
		if err != nil {
			return err
		}
		b.ps = append(b.ps, packed{id: id, field: r.Fields[i]})
		k := seenKey{device, id}
		if hour, ok := b.dict.seen[k]; !ok || hourOf(ms) > hour {
			b.dict.seen[k] = hourOf(ms)
			b.newer[k] = struct{}{}
		}
	}
	sortPacked(b.ps)
	b.blob = appendFields(b.blob[:0], b.ps)
	res, err := b.insert.ExecContext(b.ctx, device, ms, r.ClockFailed, b.blob)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return b.merge(device, ms, r.ClockFailed)
}

// merge puts the readings in b.ps over the row that is already there.
func (b *batch) merge(device, ms int64, clockFailed bool) error {
	var old []byte
	err := b.tx.QueryRowContext(b.ctx, "SELECT fields FROM reading WHERE device = ? AND time = ?", device, ms).Scan(&old)
	if err != nil {
		return err
	}
	if b.names == nil {
		b.names = make(map[int64]string, len(b.dict.points))
		for name, id := range b.dict.points {
			b.names[id] = name
		}
	}
	blob, err := merge(old, b.ps, func(id int64) string { return b.names[id] })
	if err != nil {
		return fmt.Errorf("row at %s: %w", telemetry.FromMillis(ms).Format(time.RFC3339Nano), err)
	}
	_, err = b.tx.ExecContext(b.ctx, "UPDATE reading SET clock_failed = ?, fields = ? WHERE device = ? AND time = ?", clockFailed, blob, device, ms)
	return err
}

func (b *batch) device(d series.Device) (int64, error) {
	if id, ok := b.dict.devices[d]; ok {
		return id, nil
	}
	res, err := b.tx.ExecContext(b.ctx, "INSERT INTO device (kind, site, gateway, device, unsigned) VALUES (?, ?, ?, ?, ?)",
		d.Kind, d.Site, d.Gateway, d.ID, d.Unsigned)
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	b.dict.devices[d] = id
	return id, err
}

// point returns the id of a point and makes sure that its type is known.
func (b *batch) point(measurement string, f *series.Field) (int64, error) {
	id, ok := b.dict.points[f.Point]
	if !ok {
		res, err := b.tx.ExecContext(b.ctx, "INSERT INTO point (name) VALUES (?)", f.Point)
		if err != nil {
			return 0, err
		}
		if id, err = res.LastInsertId(); err != nil {
			return 0, err
		}
		b.dict.points[f.Point] = id
		if b.names != nil {
			b.names[id] = f.Point
		}
	}
	if f.Value.IsZero() {
		return id, nil
	}
	k := fieldKey{measurement, id}
	if _, ok := b.dict.fields[k]; ok {
		return id, nil
	}
	t := typeOf(f.Value)
	b.dict.fields[k] = t
	_, err := b.tx.ExecContext(b.ctx, "INSERT INTO field (measurement, point, type) VALUES (?, ?, ?)", measurement, id, t)
	return id, err
}

func (b *batch) saveSeen() error {
	if len(b.newer) == 0 {
		return nil
	}
	stmt, err := b.tx.PrepareContext(b.ctx, "INSERT INTO seen (device, point, hour) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET hour = excluded.hour")
	if err != nil {
		return err
	}
	for k := range b.newer {
		if _, err := stmt.ExecContext(b.ctx, k.device, k.point, b.dict.seen[k]); err != nil {
			return err
		}
	}
	return nil
}

// hourOf returns the hour since 1970 that holds ms, rounded down.
func hourOf(ms int64) int64 {
	h := ms / hourMillis
	if ms%hourMillis < 0 {
		h--
	}
	return h
}
