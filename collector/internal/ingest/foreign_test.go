package ingest

import (
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"yunhe/collector/internal/intake"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// TestUnsigned: other Sparkplug nodes are stored in measurements of their own.
func TestUnsigned(t *testing.T) {
	w := newWorld(t)
	m := func(typ sparkplug.MessageType, device string, p sparkplug.Payload) intake.Message {
		p.Time = w.now
		return intake.Message{Topic: sparkplug.Topic{Group: "tz", Type: typ, Node: "PLC 1", Device: device}.String(), Payload: p.Append(nil), At: w.now}
	}
	metric := func(name string, v float64) sparkplug.Metric {
		return sparkplug.Metric{Name: name, Time: w.now, Type: sparkplug.Double, Value: telemetry.Float(v)}
	}
	w.want(w.deliver(m(sparkplug.DDATA, "Pump A", sparkplug.Payload{Metrics: []sparkplug.Metric{metric("Flow/Now", 1.5), metric("x_q", 1)}})), Unsigned)
	dev := row{}.Device
	dev.Kind, dev.Site, dev.Gateway, dev.ID, dev.Unsigned = ForeignKind, "tz", "PLC 1", "Pump A", true
	if f, ok := w.series.rows[rowKey(dev, w.now, "Flow/Now")]; !ok {
		t.Errorf("not stored: %v %v", f, w.series.rows)
	}
	if len(w.series.rows) != 1 {
		t.Errorf("stored %v", w.series.rows)
	}
	// Aliases need the birth; until it came the node is asked for it.
	aliased := func(typ sparkplug.MessageType, name string) intake.Message {
		b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(w.now.UnixMilli()))
		var m []byte
		if name != "" {
			m = protowire.AppendString(protowire.AppendTag(m, 1, protowire.BytesType), name)
		}
		m = protowire.AppendVarint(protowire.AppendTag(m, 2, protowire.VarintType), 7)
		m = protowire.AppendVarint(protowire.AppendTag(m, 4, protowire.VarintType), uint64(sparkplug.Double))
		m = protowire.AppendFixed64(protowire.AppendTag(m, 13, protowire.Fixed64Type), math.Float64bits(2))
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), m)
		return intake.Message{Topic: sparkplug.Topic{Group: "tz", Type: typ, Node: "PLC 1", Device: "Pump A"}.String(), Payload: b, At: w.now}
	}
	w.want(w.deliver(aliased(sparkplug.DDATA, "")), Unsigned)
	if len(w.sent) != 1 || !w.sent[0].Rebirth || w.to[0] != "spBv1.0/tz/NCMD/PLC 1" {
		t.Errorf("asked %v of %v", w.sent, w.to)
	}
	w.deliver(aliased(sparkplug.DBIRTH, "Level"))
	w.now = w.now.Add(time.Second)
	w.deliver(aliased(sparkplug.DDATA, ""))
	if _, ok := w.series.rows[rowKey(dev, w.now, "Level")]; !ok {
		t.Errorf("not stored by alias: %v", w.series.rows)
	}
	gws, _ := w.records.Gateways(t.Context(), scopeAll)
	if len(gws) != 1 || !gws[0].Unsigned {
		t.Errorf("gateways %+v", gws)
	}
}

// TestUnenrolledGatewayIsNoUnsignedNode: births of a gateway that signs are
// not stored as unsigned readings before its key is enrolled.
func TestUnenrolledGatewayIsNoUnsignedNode(t *testing.T) {
	w := newWorld(t)
	g := w.gateway("gw-1", 1)
	last := readings(start, 1)[0]
	birth := []intake.Message{
		g.message(g.session.NodeBirth(sparkplug.Status{KeyID: g.key.Public().ID().String()}, w.now)),
		g.message(g.session.DeviceBirth("meter-1", []sparkplug.BirthPoint{{Name: "import_total", Type: telemetry.TypeFloat, Last: &last}}, w.now)),
	}
	w.deliver(birth...)
	w.deliver(append(g.begin(), g.batch(start), g.message(g.session.DeviceData("meter-1", readings(start, 2), nil, false, w.now)))...)
	if len(w.series.rows) != 0 {
		t.Errorf("stored %v", w.series.rows)
	}
	w.wantAnswers("", "", "", "")
	// Enrolled, it sends again, and all is well.
	g.enrol()
	for _, it := range w.kept.List() {
		full, err := w.kept.Get(it.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.deliver(intake.Message{Topic: full.Topic, Payload: full.Payload, At: w.now})
	}
	if len(w.series.rows) != 3 {
		t.Errorf("after enrolment %d values are stored, want 3", len(w.series.rows))
	}
}

func TestSamplesAreBounded(t *testing.T) {
	w := newWorld(t)
	g := w.gateway("gw-1", 1)
	for range 5 * samplesPerHour {
		w.deliver(g.epoch())
	}
	if n := len(w.kept.List()); n != samplesPerHour {
		t.Errorf("%d samples of one node, want %d", n, samplesPerHour)
	}
}
