package records

import (
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	contract "yunhe/internal/records"
	"yunhe/internal/series"
)

// device returns the row of a device, new if need be.
func (w *flush) device(sd series.Device) (*device, error) {
	key := deviceKey{intake.Gateway{Site: sd.Site, Gateway: sd.Gateway}, sd.ID, sd.Unsigned}
	if d := w.devices[key]; d != nil {
		return d, nil
	}
	d := &device{state: contract.Device{Site: sd.Site, Gateway: sd.Gateway, Device: sd.ID, Unsigned: sd.Unsigned, Kind: sd.Kind}}
	row := w.tx.StmtContext(w.ctx, w.stmts.addDevice).QueryRowContext(w.ctx, sd.Site, sd.Gateway, sd.ID, sd.Unsigned, sd.Kind)
	if err := row.Scan(&d.id); err != nil {
		return nil, fmt.Errorf("add device %s: %w", sd.ID, err)
	}
	w.devices[key] = d
	w.undo = append(w.undo, func() { delete(w.devices, key) })
	return d, nil
}

func (w *flush) saveDevice(d *device) error {
	var hash []byte
	if h, err := evidence.ParseHash(d.state.Definition); err == nil {
		hash = h[:]
	}
	if err := w.exec(w.stmts.saveDevice, d.state.Kind, hash, millis(d.defined), millis(d.state.LastReading), d.id); err != nil {
		return fmt.Errorf("save device %s: %w", d.state.Device, err)
	}
	if !d.state.LastReading.IsZero() { // else the first reading is written at once
		old := d.saved
		w.undo = append(w.undo, func() { d.saved = old })
		d.saved = w.now
	}
	return nil
}

// definitions stores definitions; the newest one by the time it was recorded
// describes its device, so that history never takes a device back.
func (w *flush) definitions(f *intake.Flush) error {
	for _, def := range f.Definitions {
		if err := w.exec(w.stmts.addDefinition, def.Hash[:], def.Data, millis(def.Recorded)); err != nil {
			return fmt.Errorf("store definition %s: %w", def.Hash, err)
		}
		d, err := w.device(series.Device{Kind: def.Kind, Site: def.Site, Gateway: def.Gateway, ID: def.Device})
		if err != nil {
			return err
		}
		if def.Recorded.Before(d.defined) {
			continue
		}
		d.set(def.Hash, def.Definition)
		d.defined = def.Recorded
		if err := w.saveDevice(d); err != nil {
			return err
		}
	}
	return nil
}

// plausible is how far the time of a failed clock may be off for its rows to
// be shown as live.
const plausible = 15 * time.Minute

// rows takes up the newest reading of each device and gathers what is live:
// rows not older than the newest before them.
func (w *flush) rows(f *intake.Flush) error {
	for _, r := range f.Rows {
		d, err := w.device(r.Device)
		if err != nil {
			return err
		}
		at := r.Time
		switch {
		case r.ClockFailed && at.Sub(w.now).Abs() >= plausible, !r.ClockFailed && at.Before(d.state.LastReading):
			continue
		case r.ClockFailed && at.After(w.now):
			at = w.now // a time to come would hide what is read until then
		}
		w.live = append(w.live, r) // with its flag
		if at.After(d.state.LastReading) {
			d.state.LastReading = at
		}
		if w.now.Sub(d.saved) < saveEvery {
			continue
		}
		if err := w.saveDevice(d); err != nil {
			return err
		}
	}
	return nil
}

// describe takes the definition from its signed bytes.
func (d *device) describe(data []byte) error {
	def, err := evidence.DecodeDefinition(data)
	if err != nil {
		return fmt.Errorf("decode stored definition of %s: %w", d.state.Device, err)
	}
	d.set(evidence.HashOf(data), def)
	return nil
}

// set replaces what a device is; its newest reading stays.
func (d *device) set(hash evidence.Hash, def evidence.Definition) {
	last, unsigned := d.state.LastReading, d.state.Unsigned
	d.state = contract.Device{
		Site: def.Site, Gateway: def.Gateway, Device: def.Device, Unsigned: unsigned, Kind: def.Kind,
		Profile: def.Profile, ProfileVersion: def.ProfileVersion,
		Vendor: def.Vendor, Model: def.Model, Serial: def.Serial, Firmware: def.Firmware,
		Definition: hash.String(), LastReading: last,
	}
	points := make([]contract.Point, len(def.Points))
	for i, p := range def.Points {
		points[i] = contract.Point{
			Site: def.Site, Gateway: def.Gateway, Device: def.Device,
			Name: p.Name, Quantity: p.Quantity, Unit: p.Unit, Class: p.Class.String(), Type: p.Type.String(),
			Table: p.Table, Address: p.Address, RegisterType: p.RegisterType, WordOrder: p.WordOrder,
			Scale: p.Scale, CounterBits: p.CounterBits,
		}
	}
	d.points = points
}

// durationOf returns ms as a duration.
func durationOf(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
