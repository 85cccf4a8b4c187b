package influx

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"yunhe/internal/series"
)

// columns are the fields of one measurement that a query asks for.
type columns struct {
	points    []string // sorted
	numeric   map[string]bool
	qualities map[string]bool // points that have a quality field
	clock     bool            // the measurement has a clock field
}

// names finds the devices q selects, in the order of answers, and the fields
// of their measurements.
func (s *Store) names(ctx context.Context, q series.Query) ([]series.Device, map[string]*columns, error) {
	fields, err := s.fields(ctx, q)
	if err != nil {
		return nil, nil, fmt.Errorf("list fields: %w", err)
	}
	var measurements []string
	for m, c := range fields {
		if len(c.points) > 0 {
			measurements = append(measurements, m)
		}
	}
	slices.Sort(measurements)
	devices, err := s.devices(ctx, q, measurements)
	if err != nil {
		return nil, nil, fmt.Errorf("list devices: %w", err)
	}
	return devices, fields, nil
}

// fields lists the wanted fields of every measurement of the wanted sort.
func (s *Store) fields(ctx context.Context, q series.Query) (map[string]*columns, error) {
	fields := map[string]*columns{}
	err := s.query(ctx, "SHOW FIELD KEYS", func(c *cursor) error {
		if strings.HasPrefix(c.name, series.UnsignedPrefix) != q.Unsigned {
			return nil
		}
		f := fields[c.name]
		if f == nil {
			f = &columns{numeric: map[string]bool{}, qualities: map[string]bool{}}
			fields[c.name] = f
		}
		for c.next() {
			f.add(c.values, q.Points)
		}
		return c.err
	})
	for _, f := range fields {
		slices.Sort(f.points)
		f.points = slices.Compact(f.points)
	}
	return fields, err
}

// add takes one row of SHOW FIELD KEYS: name and type.
func (f *columns) add(row []value, wanted []string) {
	if len(row) < 2 || row[0].kind != isText || row[1].kind != isText {
		return
	}
	name := row[0].text
	point, quality := strings.CutSuffix(name, series.QualitySuffix)
	switch {
	case name == series.ClockField:
		f.clock = true
	case quality && (len(wanted) == 0 || slices.Contains(wanted, point)):
		f.qualities[point] = true
		f.points = append(f.points, point) // it may never have had a value
	case !quality && (len(wanted) == 0 || slices.Contains(wanted, name)):
		f.points = append(f.points, name)
		f.numeric[name] = row[1].text == "float"
	}
}

// devices lists the devices in the measurements, as the tags say.
func (s *Store) devices(ctx context.Context, q series.Query, measurements []string) ([]series.Device, error) {
	if len(measurements) == 0 {
		return nil, nil
	}
	asks := make([]tagAsk, len(measurements))
	for i, m := range measurements {
		asks[i] = tagAsk{m, `"site" = ` + text(q.Site)}
	}
	var gateways []series.Device // without an id
	err := s.tagValues(ctx, "gateway", asks, func(i int, name string) {
		if len(q.Gateways) == 0 || slices.Contains(q.Gateways, name) {
			kind := strings.TrimPrefix(measurements[i], series.UnsignedPrefix)
			gateways = append(gateways, series.Device{Kind: kind, Site: q.Site, Gateway: name, Unsigned: q.Unsigned})
		}
	})
	if err != nil {
		return nil, err
	}
	asks = asks[:0]
	for _, g := range gateways {
		asks = append(asks, tagAsk{g.Measurement(), `"site" = ` + text(g.Site) + ` AND "gateway" = ` + text(g.Gateway)})
	}
	var devices []series.Device
	err = s.tagValues(ctx, "device", asks, func(i int, name string) {
		d := gateways[i]
		if d.ID = name; q.Matches(d) {
			devices = append(devices, d)
		}
	})
	slices.SortFunc(devices, series.Device.Compare)
	return devices, err
}

// tagAsk asks for the values of a tag in one measurement.
type tagAsk struct{ measurement, where string }

// statements bounds how many statements one request carries.
const statements = 500

// tagValues calls found with each value of the tag key and the index of the
// ask that found it.
func (s *Store) tagValues(ctx context.Context, key string, asks []tagAsk, found func(ask int, name string)) error {
	for base := 0; base < len(asks); base += statements {
		var q strings.Builder
		for _, a := range asks[base:min(base+statements, len(asks))] {
			fmt.Fprintf(&q, "SHOW TAG VALUES FROM %s WITH KEY = %s WHERE %s;\n", ident(a.measurement), ident(key), a.where)
		}
		err := s.query(ctx, q.String(), func(c *cursor) error {
			i := base + c.statement
			if i < base || i >= len(asks) {
				return fmt.Errorf("answer to statement %d of %d", c.statement, len(asks)-base)
			}
			for c.next() {
				if v := c.values[len(c.values)-1]; v.kind == isText {
					found(i, v.text)
				}
			}
			return c.err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
