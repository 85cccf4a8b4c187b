package records

import (
	"context"
	"database/sql"
	"fmt"
)

// statements are prepared once, on the one writing connection.
type statements struct {
	all []*sql.Stmt

	addGateway, saveGateway, addDevice, saveDevice       *sql.Stmt
	addDefinition, addEpoch, saveEpoch, addSeen          *sql.Stmt
	addDirty, addEvent, addBoot, addUntimed, dropUntimed *sql.Stmt
	addRaw                                               *sql.Stmt
}

func (st *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct {
		to  **sql.Stmt
		sql string
	}{
		{&st.addGateway, `INSERT INTO gateways (site, gateway, unsigned) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET site = excluded.site RETURNING id`},
		{&st.saveGateway, `UPDATE gateways SET unsigned = ?, online = ?, last_seen = ?, version = ?, clock_state = ?,
			clock_offset_ms = ?, backlog = ?, last_error = ?, last_error_at = ? WHERE id = ?`},
		{&st.addDevice, `INSERT INTO devices (site, gateway, device, unsigned, kind) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET site = excluded.site RETURNING id`},
		{&st.saveDevice, `UPDATE devices SET kind = ?, definition = ?, defined = ?, last_reading = ? WHERE id = ?`},
		{&st.addDefinition, `INSERT OR IGNORE INTO definitions (hash, data, recorded) VALUES (?, ?, ?)`},
		{&st.addEpoch, `INSERT INTO epochs (gateway, jid) VALUES (?, ?)
			ON CONFLICT DO UPDATE SET jid = excluded.jid RETURNING id`},
		{&st.saveEpoch, `UPDATE epochs SET journal = ?, prev_jid = ?, prev_jseq = ?, seen = ?, held = ?, lost = ?, missing = ? WHERE id = ?`},
		{&st.addSeen, `INSERT INTO seen (epoch, jseq, hash, segment, offset, log) VALUES (?, ?, ?, ?, ?, ?)`},
		{&st.addDirty, `INSERT OR IGNORE INTO dirty (device, slot) VALUES (?, ?)`},
		{&st.addEvent, `INSERT INTO events (gateway, at, type, jid, jseq, text, alarm) VALUES (?, ?, ?, ?, ?, ?, ?)`},
		{&st.addBoot, `INSERT OR IGNORE INTO boots (gateway, boot, mono_ms, wall_ms) VALUES (?, ?, ?, ?)`},
		{&st.addUntimed, `INSERT OR IGNORE INTO untimed (gateway, boot, jid, jseq, segment, offset, log) VALUES (?, ?, ?, ?, ?, ?, ?)`},
		{&st.addRaw, `INSERT INTO raw_segments (segment, newest) VALUES (?, ?)
			ON CONFLICT DO UPDATE SET newest = max(newest, excluded.newest)`},
		{&st.dropUntimed, `DELETE FROM untimed WHERE gateway = ? AND boot = ? AND jid = ? AND jseq = ?`},
	} {
		s, err := db.PrepareContext(ctx, p.sql)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", p.sql, err)
		}
		*p.to = s
		st.all = append(st.all, s)
	}
	return nil
}

func (st *statements) close() {
	for _, s := range st.all {
		s.Close()
	}
}
