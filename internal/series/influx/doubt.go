package influx

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// InfluxDB merges the fields of a row that is written again, so a row that was
// bad and is now good would keep its quality field. To write "good" with every
// reading would double the fields; instead the store knows for each device
// the newest row that carries any quality or clock field. Later rows cannot
// have a stale one and are written without; rows up to that time are written
// with explicit qualities. It asks the server once a gateway and measurement.
// This is right as long as one process writes a gateway's rows.

// gatewayKey is the unit in which doubts are asked for.
type gatewayKey struct{ measurement, site, gateway string }

// maxDoubts bounds the gateways remembered; a collector has some thousands.
const maxDoubts = 50_000

// doubt holds, by device id, the time of the newest row with a quality field.
type doubt struct {
	mu     sync.Mutex
	loaded bool
	newest map[string]int64
}

// explicit reports whether r must be written with explicit qualities, and
// notes it if r is not wholly good.
func (s *Store) explicit(ctx context.Context, r *series.Row) (bool, error) {
	k := gatewayKey{r.Device.Measurement(), r.Device.Site, r.Device.Gateway}
	s.mu.Lock()
	d := s.doubts[k]
	if d == nil {
		if len(s.doubts) >= maxDoubts {
			clear(s.doubts) // they are asked for anew
		}
		d = &doubt{}
		s.doubts[k] = d
	}
	s.mu.Unlock()

	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.loaded {
		newest, err := s.loadDoubts(ctx, k)
		if err != nil {
			return false, err
		}
		d.newest, d.loaded = newest, true
	}
	ms := telemetry.Millis(r.Time)
	newest, ok := d.newest[r.Device.ID]
	if doubtful(r) && (!ok || ms > newest) {
		d.newest[r.Device.ID] = ms
	}
	return ok && ms <= newest, nil
}

func doubtful(r *series.Row) bool {
	if r.ClockFailed {
		return true
	}
	for i := range r.Fields {
		if r.Fields[i].Quality != telemetry.Good {
			return true
		}
	}
	return false
}

// loadDoubts asks for the newest row with a quality or clock field of every
// device of one gateway.
func (s *Store) loadDoubts(ctx context.Context, k gatewayKey) (map[string]int64, error) {
	newest := map[string]int64{}
	q := fmt.Sprintf(`SELECT /(_q|^%s)$/ FROM %s WHERE "site" = %s AND "gateway" = %s GROUP BY "device" ORDER BY time DESC LIMIT 1`,
		series.ClockField, ident(k.measurement), text(k.site), text(k.gateway))
	err := s.query(ctx, q, func(c *cursor) error {
		for c.next() {
			ms, ok := c.time()
			if !ok {
				return fmt.Errorf("read qualities: a row without a time")
			}
			newest[c.tags["device"]] = max(ms, newestOr(newest, c.tags["device"]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for qualities of %s/%s: %w", k.site, k.gateway, err)
	}
	return newest, nil
}

func newestOr(m map[string]int64, device string) int64 {
	if ms, ok := m[device]; ok {
		return ms
	}
	return math.MinInt64
}

// millis writes a time bound of InfluxQL.
func millis(ms int64) string { return strconv.FormatInt(ms, 10) + "ms" }
