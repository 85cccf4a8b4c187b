package api_test

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yunhe/internal/records"
	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// reader is a records.Reader in memory. It keeps the promises of the contract
// and fails the test if it is asked for more than the catalog's sites.
type reader struct {
	t        testing.TB
	gateways []records.Gateway
	devices  []records.Device
	points   []records.Point
	down     atomic.Bool
	leaks    atomic.Bool // Stream breaks its promise and yields every site

	mu      sync.Mutex
	items   []records.StreamItem
	lost    uint64        // rows up to this number are no longer there
	changed chan struct{} // closed and renewed when items grow
	open    atomic.Int64
}

func newReader(t testing.TB) *reader {
	r := &reader{t: t, changed: make(chan struct{})}
	offset := int64(-12)
	r.gateways = []records.Gateway{
		{Site: "canal-1", Gateway: "gw-1", Online: true, LastSeen: now.Add(-3 * time.Second), ClockState: "S", ClockOffset: &offset, Backlog: 7, Version: "1.2.0",
			LastError: "meter-main: timeout", LastErrorAt: now.Add(-time.Hour), Keys: []string{"SHA256:abc"}},
		{Site: "canal-1", Gateway: "node-red", Unsigned: true},
		{Site: "canal-2", Gateway: "gw-1", Online: true, LastSeen: now},
	}
	r.devices = []records.Device{
		{Site: "canal-1", Gateway: "gw-1", Device: "meter-main", Kind: "electric_meter", Profile: "eastron-sdm630", ProfileVersion: 2, Vendor: "Eastron", Model: "SDM630", Serial: "123", Definition: "ab", LastReading: now.Add(-time.Minute)},
		{Site: "canal-2", Gateway: "gw-1", Device: "pool-meter", Kind: "electric_meter"},
	}
	for _, d := range []series.Device{meter, pump, other} {
		r.points = append(r.points,
			records.Point{Site: d.Site, Gateway: d.Gateway, Device: d.ID, Name: "active_energy_import", Quantity: "active_energy_import", Unit: "kW.h", Class: "counter", Type: "float", Table: "input", Address: 72, RegisterType: "f32", Scale: "1", CounterBits: 32},
			records.Point{Site: d.Site, Gateway: d.Gateway, Device: d.ID, Name: "active_power", Quantity: "active_power", Unit: "W", Class: "gauge", Type: "float", Table: "input", Address: 52, RegisterType: "f32", Scale: "1"})
	}
	return r
}

func (r *reader) check(s records.Scope) error {
	if s.All {
		r.t.Error("the API asked for all sites; it must name them")
	}
	if r.down.Load() {
		return errTest
	}
	return nil
}

func only[T any](s records.Scope, all []T, site func(T) string) []T {
	var out []T
	for _, v := range all {
		if s.Allows(site(v)) {
			out = append(out, v)
		}
	}
	return out
}

func (r *reader) Gateways(_ context.Context, s records.Scope) ([]records.Gateway, error) {
	return only(s, r.gateways, func(g records.Gateway) string { return g.Site }), r.check(s)
}

func (r *reader) Devices(_ context.Context, s records.Scope) ([]records.Device, error) {
	return only(s, r.devices, func(d records.Device) string { return d.Site }), r.check(s)
}

func (r *reader) Points(_ context.Context, s records.Scope) ([]records.Point, error) {
	return only(s, r.points, func(p records.Point) string { return p.Site }), r.check(s)
}

func (r *reader) Stream(ctx context.Context, s records.Scope, after uint64) iter.Seq2[records.StreamItem, error] {
	return func(yield func(records.StreamItem, error) bool) {
		r.open.Add(1)
		defer r.open.Add(-1)
		if err := r.check(s); err != nil {
			yield(records.StreamItem{}, err)
			return
		}
		for {
			r.mu.Lock()
			if after == records.Live {
				after = uint64(len(r.items))
			}
			gap := after < r.lost
			var next []records.StreamItem
			for _, it := range r.items {
				if it.Seq > after && it.Seq > r.lost && (s.Allows(it.Site) || r.leaks.Load()) {
					it.Gap, gap = gap, false
					next = append(next, it)
				}
			}
			after = max(after, uint64(len(r.items)))
			changed := r.changed
			r.mu.Unlock()
			for _, it := range next {
				if !yield(it, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
}

// push makes a row of d live.
func (r *reader) push(d series.Device, power float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, records.StreamItem{
		Seq: uint64(len(r.items)) + 1, Site: d.Site, Gateway: d.Gateway, Device: d.ID, Kind: d.Kind, Time: now.Add(-2 * time.Second),
		Readings: []records.Reading{{Point: "active_power", Value: telemetry.Float(power)}, {Point: "voltage", Quality: telemetry.Bad}},
	})
	close(r.changed)
	r.changed = make(chan struct{})
}
