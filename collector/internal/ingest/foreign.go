package ingest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// Limits on what one worker keeps of nodes that are not ours.
const (
	maxForeign   = 4096
	maxAliases   = 5000
	maxDevices   = 1000 // of one node: each is a series for ever
	rebirthEvery = time.Minute
)

// ForeignKind is the device kind of nodes that sign nothing.
const ForeignKind = "sparkplug"

// foreign is what a worker knows of a node without an enrolled key.
type foreign struct {
	evidence bool // it sends evidence: its births are no unsigned readings
	devices  map[string]bool
	aliases  map[uint64]string // names that births gave to numbers
	asked    time.Time         // for its births
}

func (d *decoder) foreignNode(g intake.Gateway) *foreign {
	f := d.foreign[g]
	if f == nil {
		for old := range d.foreign { // any one makes room
			if len(d.foreign) < maxForeign {
				break
			}
			delete(d.foreign, old)
		}
		f = &foreign{devices: map[string]bool{}, aliases: map[uint64]string{}}
		d.foreign[g] = f
	}
	return f
}

// markEvidence notes that a node sends evidence, enrolled or not.
func (d *decoder) markEvidence(g intake.Gateway) {
	if _, ok := d.gatewayOf(g); !ok {
		d.foreignNode(g).evidence = true
	}
}

func (d *decoder) speaksEvidence(g intake.Gateway) bool {
	f := d.foreign[g]
	return f != nil && f.evidence
}

// forgetForeign notes that a node is a gateway of ours, if not enrolled yet.
func (d *decoder) forgetForeign(g intake.Gateway) {
	if _, ok := d.gatewayOf(g); ok {
		delete(d.foreign, g)
		return
	}
	d.foreignNode(g).evidence = true
}

// unsigned makes rows of the readings of a node that signs nothing.
func (d *decoder) unsigned(a *arrival) {
	a.refuse(Unsigned, "")
	f := d.foreignNode(a.node)
	if f.evidence {
		a.refuse(UnknownKey, "the node sends evidence under a key that is not enrolled; this message carries none and is left out")
		return
	}
	if !f.devices[a.topic.Device] {
		if len(f.devices) == maxDevices {
			a.refuse(Ignored, fmt.Sprintf("the node sends more than %d devices", maxDevices))
			return
		}
		f.devices[a.topic.Device] = true
	}
	d.resolveAliases(a, f)
	rs, _ := d.payload.Readings(d.readings[:0]) // what is no reading is left out
	d.readings = rs[:0]
	device := a.topic.Device
	if device == "" {
		device = a.topic.Node
	}
	a.rows = rowsOf(rs, series.Device{
		Kind: ForeignKind, Site: a.node.Site, Gateway: a.node.Gateway, ID: device, Unsigned: true,
	}, a.At)
}

// resolveAliases learns from births and puts names and types into data.
func (d *decoder) resolveAliases(a *arrival, f *foreign) {
	birth := a.topic.Type == sparkplug.NBIRTH || a.topic.Type == sparkplug.DBIRTH
	ms := d.payload.Metrics
	for i := range ms {
		m := &ms[i]
		if !m.HasAlias {
			continue
		}
		known, ok := f.aliases[m.Alias]
		switch {
		case birth && m.Name != "" && (ok || len(f.aliases) < maxAliases):
			f.aliases[m.Alias] = m.Name
		case m.Name == "" && ok:
			m.Name = known
		case m.Name == "" && a.At.Sub(f.asked) >= rebirthEvery:
			f.asked, a.rebirth = a.At, true
		}
	}
}

// rowsOf groups readings of one device by time. What no store can hold is left
// out; of two readings of one point and time the later one counts.
func rowsOf(rs []telemetry.Reading, device series.Device, at time.Time) []series.Row {
	slices.SortStableFunc(rs, func(a, b telemetry.Reading) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Point, b.Point))
	})
	var rows []series.Row
	for i := range rs {
		r := &rs[i]
		if strings.HasPrefix(r.Point, "Node Control/") || r.Point == sparkplug.NameBdSeq || series.CheckPoint(r.Point) != nil {
			continue
		}
		n := len(rows)
		if n == 0 || !rows[n-1].Time.Equal(r.Time) {
			rows = append(rows, series.Row{Device: device, Time: r.Time, ClockFailed: absurd(r.Time, at)})
			n++
		}
		row := &rows[n-1]
		f := series.Field{Point: r.Point, Value: r.Value, Quality: r.Quality}
		if f.Quality != telemetry.Bad && f.Value.IsZero() {
			f.Quality = telemetry.Bad // e.g. a NaN
		}
		if k := len(row.Fields); k > 0 && row.Fields[k-1].Point == f.Point {
			row.Fields[k-1] = f
			continue
		}
		row.Fields = append(row.Fields, f)
	}
	return slices.DeleteFunc(rows, func(r series.Row) bool { return series.CheckRow(r) != nil })
}
