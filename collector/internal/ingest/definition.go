package ingest

import (
	"fmt"
	"strconv"

	"yunhe/internal/evidence"
	"yunhe/internal/profile"
	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// definition is a stored definition, ready for use.
type definition struct {
	evidence.Definition
	device   series.Device
	counters map[string]counter
}

// counter says how the register bytes of a counter stand for its value.
type counter struct {
	formula *profile.Formula
	err     error // why there is none
}

func newDefinition(d evidence.Definition) *definition {
	def := &definition{
		Definition: d,
		device:     series.Device{Kind: d.Kind, Site: d.Site, Gateway: d.Gateway, ID: d.Device},
		counters:   map[string]counter{},
	}
	for _, p := range d.Points {
		if p.Class == telemetry.Counter {
			f, err := profile.ParseFormula(p.RegisterType, p.WordOrder, p.Scale)
			def.counters[p.Name] = counter{f, err}
		}
	}
	return def
}

// explains reports the first counter whose register bytes nobody could turn
// into a value.
func (d *definition) explains() error {
	for i := range d.Points {
		if c, ok := d.counters[d.Points[i].Name]; ok && c.err != nil {
			return fmt.Errorf("point %s: its register bytes cannot be explained: %w", d.Points[i].Name, c.err)
		}
	}
	return nil
}

// check reports the first reading that the definition does not explain, or
// whose value is not what its register bytes stand for.
func (d *definition) check(rs []telemetry.Reading) error {
	if err := d.CheckReadings(rs); err != nil {
		return err
	}
	for i := range rs {
		r := &rs[i]
		if r.Quality == telemetry.Bad || len(r.Raw) == 0 {
			continue
		}
		if c, ok := d.counters[r.Point]; ok {
			if err := c.agrees(r); err != nil {
				return fmt.Errorf("point %s: %w", r.Point, err)
			}
		}
	}
	return nil
}

// agrees reports an error unless the value of a reading is the one its
// register bytes stand for: of a float the float64 nearest to the exact value,
// which is what a gateway computes too, so close is not enough; of an unsigned
// number the exact value.
func (c counter) agrees(r *telemetry.Reading) error {
	if c.err != nil {
		return fmt.Errorf("the definition does not explain the register bytes %x: %w", r.Raw, c.err)
	}
	if r.Type == telemetry.TypeFloat {
		near, err := c.formula.Float(r.Raw)
		if v, is := r.Value.AsFloat(); err == nil && is && v == near {
			return nil
		}
	}
	exact, err := c.formula.Exact(r.Raw)
	if err != nil {
		return fmt.Errorf("the register bytes %x stand for no value, the reading says %s: %w", r.Raw, r.Value.Text(), err)
	}
	v, is := r.Value.AsUint()
	ok := r.Type == telemetry.TypeUint && is && strconv.FormatUint(v, 10) == exact.String()
	if !ok {
		return fmt.Errorf("the register bytes %x stand for %s, the reading says %s: what is signed must be what was read", r.Raw, exact, r.Value.Text())
	}
	return nil
}
