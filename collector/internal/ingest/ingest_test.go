package ingest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestGapsBehindEveryAck: an acknowledgement forged for all that waited, and
// one for an epoch that is over, are noticed although nothing waits any more.
func TestGapsBehindEveryAck(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	g.batch(start)                              // 3: forged
	w.deliver(g.batch(start.Add(time.Second)))  // 4
	last := g.batch(start.Add(2 * time.Second)) // 5, the last of its epoch: forged
	w.answers()
	status := func(next string) []*arrival {
		w.now = w.now.Add(replayEvery)
		return w.deliver(g.message(g.session.NodeData(sparkplug.Status{NextSeq: next, KeyID: g.key.Public().ID().String()}, w.now)))
	}
	status("1001:5")
	w.wantAnswers("", "", "1001:3", "")
	status("1001:6")
	w.wantAnswers("", "", "1001:3,5", "")

	g.prevJID, g.pseq = g.jid, 5
	g.jid, g.jseq, g.prev = 1002, 0, evidence.Hash{}
	w.want(w.deliver(g.epoch()), Stored)
	w.answers()
	status("1002:2")
	w.wantAnswers("", "", "1001:3,5", "")
	w.want(w.deliver(last), Stored)
	w.answers()
	status("1002:2")
	w.wantAnswers("", "", "1001:3", "")
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
