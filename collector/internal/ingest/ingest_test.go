package ingest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/seglog/crashfs"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

func TestStoredAndAcknowledged(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	ms := append(g.begin(), g.batch(start), g.batch(start.Add(time.Second)))
	w.want(w.deliver(ms...), Stored, Stored, Stored, Stored)
	w.wantAnswers("1001:1-4", "", "", "")
	f, ok := w.series.rows[rowKey(g.device(), start, "import_total")]
	if v, _ := f.Value.AsFloat(); !ok || v != float64(uint32(start.Unix()))/100 {
		t.Errorf("stored %v, %v", f, ok)
	}
	if n := len(w.series.rows); n != 6 {
		t.Errorf("%d values in the store, want 6", n)
	}
}

// TestDuplicate: a re-send is acknowledged again and stored once, in the same
// flush, in a later one, and after a restart of the collector.
func TestDuplicate(t *testing.T) {
	dir := t.TempDir()
	w := newWorldAt(t, dir, osFS())
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	e := g.entry(start)
	w.answers()
	w.want(w.deliver(g.send(e), g.send(e)), Stored, Duplicate)
	w.wantAnswers("1001:3", "", "", "")
	writes := w.series.writes
	w.want(w.deliver(g.send(e)), Duplicate)
	w.wantAnswers("1001:3", "", "", "")
	if w.series.writes != writes {
		t.Error("a duplicate was written again")
	}
	w.records.Close()
	w.kept.Close()
	w.log.Close()

	w2 := newWorldAt(t, dir, osFS())
	w2.keys[g.key.Public().ID()] = w.keys[g.key.Public().ID()]
	w2.want(w2.deliver(g.send(e)), Duplicate)
	w2.wantAnswers("1001:3", "", "", "")
}

// TestEquivocation: the same number over other content is never a duplicate.
func TestEquivocation(t *testing.T) {
	for _, where := range []string{"same flush", "later flush"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t)
			g := w.enrolled("gw-1", 1)
			w.deliver(g.begin()...)
			first := g.batch(start)
			g.jseq--
			second := g.batch(start.Add(time.Second))
			w.answers()
			if where == "same flush" {
				w.want(w.deliver(first, second), Stored, Equivocation)
				w.wantAnswers("1001:3", "1001:3", "", "")
			} else {
				w.want(w.deliver(first), Stored)
				w.answers()
				w.want(w.deliver(second), Equivocation)
				w.wantAnswers("", "1001:3", "", "")
			}
			w.want(w.deliver(second), Equivocation)
			if got := w.alarms(); !slices.Equal(got, []string{"equivocation"}) {
				t.Errorf("alarms %v, want one equivocation", got)
			}
			if l := w.kept.List(); len(l) != 1 || l[0].Class != intake.Held || l[0].JSeq != 3 {
				t.Errorf("quarantine holds %v", l)
			}
			if _, there := w.series.rows[rowKey(g.device(), start.Add(time.Second), "import_total")]; there {
				t.Error("the second content is stored")
			}
			gws, _ := w.records.Gateways(t.Context(), scopeAll)
			if !strings.Contains(gws[0].LastError, "signed twice") {
				t.Errorf("last error of the gateway: %q", gws[0].LastError)
			}
		})
	}
}

// TestRefused is the table of what is not stored.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(w *world, g *gateway) intake.Message
		want    Outcome
		reject  bool
		reason  string
		nothing bool // no evidence may be kept either
	}{
		"unknown key": {
			make: func(w *world, g *gateway) intake.Message { return w.gateway("gw-9", 9).epoch() },
			want: UnknownKey, reason: "not enrolled",
		},
		"wrong signature": {
			make: func(w *world, g *gateway) intake.Message {
				e := g.entry(start)
				e.Content.Readings[0].Value = telemetry.Float(999) // the wire says otherwise than the signature
				return g.send(e)
			},
			want: Invalid, reason: "signature",
		},
		"body cut": {
			make: func(w *world, g *gateway) intake.Message {
				e := g.entry(start)
				body, _ := e.Detached()
				return g.message(g.session.DeviceData("meter-1", e.Content.Readings, body[:len(body)-1], false, w.now))
			},
			want: Invalid, reason: "rebuild",
		},
		"no protobuf": {
			make: func(w *world, g *gateway) intake.Message {
				return intake.Message{Topic: "spBv1.0/tz/DDATA/gw-1/meter-1", Payload: []byte{0xff, 0xff}, At: w.now}
			},
			want: Invalid, reason: "decode",
		},
		"no evidence from an enrolled gateway": {
			make: func(w *world, g *gateway) intake.Message {
				return g.message(g.session.DeviceData("meter-1", readings(start, 3), nil, false, w.now))
			},
			want: Invalid, reason: "without evidence",
		},
		"another gateway's topic": {
			make: func(w *world, g *gateway) intake.Message {
				w.enrolled("gw-2", 2)
				e := g.entry(start)
				body, _ := e.Detached()
				return g.message(sparkplug.NewSession("tz", "gw-2", 0).DeviceData("meter-1", e.Content.Readings, body, false, w.now))
			},
			want: Held, reject: true, reason: "topic of tz/gw-2",
		},
		"another device's topic": {
			make: func(w *world, g *gateway) intake.Message {
				e := g.entry(start)
				body, _ := e.Detached()
				return g.message(g.session.DeviceData("meter-2", e.Content.Readings, body, false, w.now))
			},
			want: Held, reject: true, reason: "topic of device meter-2",
		},
		"definition of another gateway": {
			make: func(w *world, g *gateway) intake.Message { g.defGateway = "gw-2"; return g.define() },
			want: Held, reject: true, reason: "names tz/gw-2",
		},
		"definition of a renamed site": {
			make: func(w *world, g *gateway) intake.Message { g.defSite = "old"; return g.define() },
			want: Held, reject: true, reason: "names old/gw-1",
		},
		"a point the definition lacks": {
			make: func(w *world, g *gateway) intake.Message {
				rs := []telemetry.Reading{{Point: "nothing", Time: start, Type: telemetry.TypeUint, Value: telemetry.Uint(1)}}
				return g.send(g.sign(evidence.Content{Kind: evidence.KindBatch, DefHash: g.defhash, Readings: rs}))
			},
			want: Held, reject: true, reason: "nothing",
		},
		"event that cannot be decoded": {
			make: func(w *world, g *gateway) intake.Message {
				e := g.sign(evidence.Content{Kind: evidence.KindEvent, Data: []byte{0xa0}})
				return g.message(g.session.Attached("", "event", e.Bytes, false, w.now))
			},
			want: Held, reject: true, reason: "event",
		},
		"key revoked before": {
			make: func(w *world, g *gateway) intake.Message {
				k := w.keys[g.key.Public().ID()]
				k.Revoked = start.Add(-time.Hour)
				w.keys[g.key.Public().ID()] = k
				return g.batch(start)
			},
			want: Held, reject: true, reason: "revoked",
		},
		"key compromised": {
			make: func(w *world, g *gateway) intake.Message {
				k := w.keys[g.key.Public().ID()]
				k.Revoked, k.CompromisedSince = start.Add(time.Hour), start.Add(time.Hour)
				w.keys[g.key.Public().ID()] = k
				return g.batch(start)
			},
			want: Held, reject: true, reason: "compromised",
		},
		"key of another collector's site": {
			make: func(w *world, g *gateway) intake.Message {
				k := w.keys[g.key.Public().ID()]
				k.Of.Site = "elsewhere"
				w.keys[g.key.Public().ID()] = k
				return g.batch(start)
			},
			want: UnknownKey, reason: "does not own",
		},
		"rejected by the series store": {
			make: func(w *world, g *gateway) intake.Message { return g.batch(start.Add(13 * time.Second)) },
			want: Held, reject: true, reason: "thirteen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.series.reject = func(r row) string {
				if r.Time.Second() == 13 {
					return "thirteen brings bad luck"
				}
				return ""
			}
			g := w.enrolled("gw-1", 1)
			w.deliver(g.begin()...)
			w.answers()
			m := c.make(w, g)
			jseq := g.jseq
			before := len(w.series.rows)
			got := w.deliver(m)
			w.want(got, c.want)
			if !strings.Contains(got[0].reason, c.reason) {
				t.Errorf("reason %q does not tell %q", got[0].reason, c.reason)
			}
			ack, reject, _, _ := w.answers()
			if ack != "" {
				t.Errorf("acknowledged: %s", ack)
			}
			var want evidence.Ranges
			if c.reject {
				want.Add(g.jid, jseq)
			}
			if reject != want.String() {
				t.Errorf("rejected %q, want %q", reject, want.String())
			}
			if len(w.series.rows) != before {
				t.Error("something of it is in the series store")
			}
			if l := w.kept.List(); len(l) != 1 || l[0].Outcome != string(c.want) || (l[0].Class == intake.Held) != c.reject {
				t.Errorf("quarantine holds %+v", l)
			}
			// The gateway goes on as if nothing had been.
			if k := w.keys[g.key.Public().ID()]; k.Revoked.IsZero() && k.Of.Site == "tz" && g.defGateway == "" && g.defSite == "" {
				w.want(w.deliver(g.batch(start.Add(time.Minute))), Stored)
			}
		})
	}
}

// TestReplacedKeyVouchesForThePast: an orderly replacement loses nothing that
// was recorded before.
func TestReplacedKeyVouchesForThePast(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	ms := append(g.begin(), g.batch(start))
	k := w.keys[g.key.Public().ID()]
	k.Revoked = start.Add(time.Minute)
	w.keys[g.key.Public().ID()] = k
	w.now = start.Add(time.Hour)
	w.want(w.deliver(ms...), Stored, Stored, Stored)
}

func TestMissingDefinition(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.epoch())
	define := g.define()
	batch := g.batch(start)
	w.answers()
	w.want(w.deliver(batch), Undefined)
	w.wantAnswers("", "", "", g.defhash.String())
	w.want(w.deliver(batch), Undefined)
	w.wantAnswers("", "", "", "") // not asked twice within ten seconds
	w.now = w.now.Add(defineEvery)
	w.want(w.deliver(batch), Undefined)
	w.wantAnswers("", "", "", g.defhash.String())
	w.want(w.deliver(define, batch), Stored, Stored)
	w.wantAnswers("1001:2-3", "", "", "")
}

// TestRenamedGateway: the catalog's alias makes the old id the same gateway.
func TestRenamedGateway(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	g.defGateway = "old"
	ms := []intake.Message{g.epoch(), g.define()}
	ms = append(ms, g.batch(start))
	w.want(w.deliver(ms...), Stored, Held, Held)
	w.want(w.deliver(ms[2]), Held) // its definition is known to be held
	w.answers()
	w.alias["tz/old/"] = "tz/gw-1/"
	w.want(w.deliver(ms[1], ms[2]), Stored, Stored)
	w.wantAnswers("1001:2-3", "", "", "")
}

// TestFork: two machines from one disk image start two epochs after one.
func TestFork(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(append(g.begin(), g.batch(start))...)
	clone := func(jid uint64) *gateway {
		c := w.gateway("gw-1", 1)
		c.jid, c.prevJID, c.pseq = jid, g.jid, 3
		return c
	}
	w.want(w.deliver(clone(2001).epoch()), Stored)
	if got := w.alarms(); len(got) != 0 {
		t.Fatalf("a restart alarms: %v", got)
	}
	w.want(w.deliver(clone(2002).epoch()), Stored)
	if got := w.alarms(); !slices.Equal(got, []string{"fork"}) {
		t.Errorf("alarms %v, want fork", got)
	}
}

func TestChainBreak(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	g.prev[0] ^= 1
	w.want(w.deliver(g.batch(start)), Stored)
	if got := w.alarms(); !slices.Equal(got, []string{"chain_break"}) {
		t.Errorf("alarms %v, want chain_break", got)
	}
}

// TestGaps: below Oldest Unacked everything is stored, held or declared lost;
// what is not is a chain gap, asked for again, and told once.
func TestGaps(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	lost := g.batch(start)                     // 3: an acknowledgement was forged
	w.deliver(g.batch(start.Add(time.Second))) // 4
	g.batch(start.Add(2 * time.Second))        // 5: declared lost
	w.deliver(g.event(evidence.Loss{JID: g.jid, Lo: 5, Hi: 5, Reason: "journal full"}))
	if got := w.alarms(); !slices.Equal(got, []string{"loss"}) {
		t.Fatalf("alarms %v", got)
	}
	w.answers()
	status := func(oldest string) intake.Message {
		return g.message(g.session.NodeData(sparkplug.Status{OldestUnacked: oldest, NextSeq: "1001:7", KeyID: g.key.Public().ID().String(),
			ClockState: telemetry.Synchronised, Backlog: 4, Version: "1.0"}, w.now))
	}
	w.want(w.deliver(status("1001:3")), Status)
	w.wantAnswers("", "", "", "") // pending, not missing
	w.want(w.deliver(status("1001:7")), Status)
	w.wantAnswers("", "", "1001:3", "")
	w.want(w.deliver(status("1001:7")), Status)
	w.wantAnswers("", "", "", "")
	w.now = w.now.Add(replayEvery)
	w.want(w.deliver(status("1001:7")), Status)
	w.wantAnswers("", "", "1001:3", "")
	if got := w.alarms(); !slices.Equal(got, []string{"loss", "chain_gap"}) {
		t.Errorf("alarms %v", got)
	}
	w.want(w.deliver(lost), Stored)
	w.answers()
	w.now = w.now.Add(replayEvery)
	w.deliver(status("1001:7"))
	w.wantAnswers("", "", "", "")
	gws, err := w.records.Gateways(t.Context(), scopeAll)
	if err != nil || len(gws) != 1 || gws[0].Backlog != 4 || gws[0].Version != "1.0" || gws[0].ClockState != "S" || !gws[0].Online || gws[0].Unsigned {
		t.Errorf("gateway %+v, %v", gws, err)
	}
	w.now = w.now.Add(time.Second)
	w.deliver(g.message(g.session.NodeDeath(w.now)))
	if gws, _ = w.records.Gateways(t.Context(), scopeAll); gws[0].Online {
		t.Error("online after its death")
	}
}

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

// TestClock: entries of a boot without time are stored flagged, and again at
// the right times once their boot has one, in whatever order they come.
func TestClock(t *testing.T) {
	wrong := time.Date(1970, 1, 1, 0, 0, 10, 0, time.UTC)
	for name, order := range map[string]string{"in order": "us", "history after live": "su", "one flush": "(us)", "live first, one flush": "(su)"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.enrolled("gw-1", 1)
			w.deliver(g.begin()...)
			g.clock = telemetry.Clock{State: telemetry.Unsynchronised, BootID: [16]byte{42}, Mono: 100 * time.Second}
			u := g.send(g.sign(evidence.Content{Kind: evidence.KindBatch, DefHash: g.defhash, Readings: readings(wrong, 3), Recorded: wrong.Add(time.Second)}))
			g.clock = telemetry.Clock{State: telemetry.Synchronised, BootID: [16]byte{42}, Mono: 200 * time.Second}
			s := g.batch(start)
			w.answers()
			switch order {
			case "us":
				w.want(w.deliver(u), Stored)
				w.want(w.deliver(s), Stored)
			case "su":
				w.want(w.deliver(s), Stored)
				w.want(w.deliver(u), Stored)
			case "(us)":
				w.want(w.deliver(u, s), Stored, Stored)
			case "(su)":
				w.want(w.deliver(s, u), Stored, Stored)
			}
			w.wantAnswers("1001:3-4", "", "", "")
			if err := w.p.flush(t.Context(), nil); err != nil { // the idle tick
				t.Fatal(err)
			}
			right := start.Add(-101 * time.Second) // 100 s before the anchor, read 1 s before it was recorded
			k := rowKey(g.device(), right, "import_total")
			if _, ok := w.series.rows[k]; !ok || w.series.failed[k] {
				t.Errorf("not at the corrected time: %v, flagged %v", w.series.rows, w.series.failed[k])
			}
			k = rowKey(g.device(), wrong, "import_total")
			if _, ok := w.series.rows[k]; ok && !w.series.failed[k] {
				t.Error("stands as good at the wrong time")
			}
			writes := w.series.writes
			if err := w.p.flush(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if w.series.writes != writes {
				t.Error("it is re-timed for ever")
			}
		})
	}
}

// TestFutureIsNotRefused: an absurd time is stored, flagged, and acknowledged.
func TestFutureIsNotRefused(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	w.answers()
	at := start.AddDate(30, 0, 0)
	g.clock.BootID[1] = 1 // a boot of which nothing better is known
	w.want(w.deliver(g.batch(at)), Stored)
	w.wantAnswers("1001:3", "", "", "")
	if !w.series.failed[rowKey(g.device(), at, "import_total")] {
		t.Error("a time thirty years ahead is not flagged")
	}
}

// TestRetryResumes: a store that is down holds everything back and nothing is
// acknowledged; when it works again all is stored once.
func TestRetryResumes(t *testing.T) {
	for name, breakIt := range map[string]func(w *world, err error){
		"series":   func(w *world, err error) { w.series.mu.Lock(); w.series.fail = err; w.series.mu.Unlock() },
		"evidence": func(w *world, err error) { w.log.fail = err },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.enrolled("gw-1", 1)
			w.deliver(g.begin()...)
			w.answers()
			breakIt(w, errors.New("no room"))
			m := g.batch(start)
			done := make(chan []*arrival)
			a := w.d.decode(job{Message: m})
			if name == "evidence" { // fail is read by the flush: mend it through the clock of retries
				w.log.fail = nil
				tries := 0
				w.p.Evidence = failing{w.log, &tries}
			} else {
				time.AfterFunc(50*time.Millisecond, func() { breakIt(w, nil) })
			}
			go func() {
				if err := w.p.flush(t.Context(), []*arrival{a}); err != nil {
					t.Error(err)
				}
				close(done)
			}()
			<-done
			w.want([]*arrival{a}, Stored)
			w.wantAnswers("1001:3", "", "", "")
			if len(w.series.rows) != 3 {
				t.Errorf("%d values", len(w.series.rows))
			}
		})
	}
}

// failing fails the first commit.
type failing struct {
	*watchedLog
	tries *int
}

func (f failing) Commit() error {
	if *f.tries++; *f.tries == 1 {
		return errors.Join(f.watchedLog.Commit(), errors.New("input/output error"))
	}
	return f.watchedLog.Commit()
}

// TestBackPressure: with the series store down memory stays bounded, what does
// not fit is dropped and counted, and nobody is blocked.
func TestBackPressure(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.series.fail = errors.New("down")
	ms := append(g.begin(), g.batch(start))
	taken := 0
	for range 3 * 4096 {
		if w.p.Offer(ms[2]) {
			taken++
		}
	}
	if taken > 4096 {
		t.Errorf("%d messages are held, the queue takes 4096", taken)
	}
	if taken == 0 {
		t.Error("none is taken")
	}
}

func TestSlots(t *testing.T) {
	at := func(s string) int64 {
		x, err := time.Parse(time.RFC3339, "2026-11-23T"+s+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return x.UnixMilli()
	}
	for in, want := range map[string][]string{
		"08:00:00": {"08:00:00", "07:45:00"},
		"08:01:00": {"08:00:00", "07:45:00"},
		"08:01:01": {"08:00:00"},
		"08:13:59": {"08:00:00"},
		"08:14:00": {"08:00:00", "08:15:00"},
		"00:00:30": {"00:00:00"},
	} {
		first, second, two := slotsOf(time.UnixMilli(at(in)))
		if first != at(want[0]) || two && len(want) > 1 && second != at(want[1]) || !two && len(want) > 1 {
			t.Errorf("%s: %d %d %v", in, first, second, two)
		}
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

func TestQueueKeepsNodesTogether(t *testing.T) {
	w := newWorld(t)
	a := w.p.queue("spBv1.0/tz/DDATA/gw-1/m1")
	for _, topic := range []string{"spBv1.0/tz/NDATA/gw-1", "spBv1.0/tz/DDATA/gw-1/m2", "spBv1.0/tz/NBIRTH/gw-1"} {
		if w.p.queue(topic) != a {
			t.Errorf("%s has another worker", topic)
		}
	}
}

func FuzzIngest(f *testing.F) {
	w := newWorldAt(f, f.TempDir(), crashfs.New()) // no disk: many more inputs a second
	records := newMemRecords()
	w.p.Records, w.p.Clocks, w.p.Send = records, records, func(string, []byte) {}
	g := w.enrolled("gw-1", 1)
	for _, m := range append(g.begin(), g.batch(start), g.message(g.session.NodeBirth(sparkplug.Status{KeyID: "00", OldestUnacked: "1001:4"}, start))) {
		f.Add(m.Topic, m.Payload)
		w.deliver(m)
	}
	f.Add("spBv1.0/tz/DDATA/plc/pump", (&sparkplug.Payload{Time: start, Metrics: []sparkplug.Metric{{Name: "x", Time: start, Type: sparkplug.Double, Value: telemetry.Float(1)}}}).Append(nil))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		w.t = t
		before := len(w.series.rows)
		a := w.d.decode(job{Message: intake.Message{Topic: topic, Payload: bytes.Clone(payload), At: start}})
		if err := w.p.flush(t.Context(), []*arrival{a}); err != nil {
			t.Fatal(err)
		}
		if a.outcome == "" {
			t.Error("no outcome")
		}
		if a.outcome != Stored && a.outcome != Unsigned && len(w.series.rows) != before {
			t.Errorf("%s left something in the store", a.outcome)
		}
	})
}

// TestStoreDownThenUp: a whole pipeline with its goroutines over a series
// store that is down at first. Nothing is acknowledged meanwhile; then all is,
// without help.
func TestStoreDownThenUp(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.series.fail = errors.New("connection refused")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.p.Run(ctx) }()
	for _, m := range append(g.begin(), g.batch(start)) {
		w.p.Offer(m)
	}
	var rest []intake.Message
	for i := range 700 {
		rest = append(rest, g.batch(start.Add(time.Duration(i+1)*time.Second)))
	}
	for _, m := range rest {
		w.p.Offer(m)
	}
	for writes := 0; writes < 2; { // it has been tried twice
		w.series.mu.Lock()
		writes = w.series.writes
		w.series.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	if ack, _, _, _ := w.answers(); strings.Contains(ack, "3") {
		t.Errorf("acknowledged while the store is down: %s", ack)
	}
	w.series.mu.Lock()
	w.series.fail = nil
	w.series.mu.Unlock()
	want := "1001:1-703"
	var got evidence.Ranges
	for deadline := time.Now().Add(20 * time.Second); got.String() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("acknowledged %s, want %s", got, want)
		}
		ack, _, _, _ := w.answers()
		r, err := evidence.ParseRanges(ack)
		if err != nil {
			t.Fatal(err)
		}
		got.Union(r)
		got.AddSpan(evidence.Span{JID: 1001, Lo: 1, Hi: 2}) // may have been read above
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
