package ingest

import (
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

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

// TestClockOfAGateway: what the list says of a gateway's clock is the newest
// news, not what history or a replay says, in whatever order they come.
func TestClockOfAGateway(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	shown := func(want string) {
		t.Helper()
		gws, err := w.records.Gateways(t.Context(), scopeAll)
		if err != nil || len(gws) != 1 || gws[0].ClockState != want {
			t.Errorf("shown %+v, %v; want clock %s", gws, err, want)
		}
	}
	entry := func(state telemetry.ClockState, recorded time.Time) intake.Message {
		g.clock.State = state
		return g.batch(recorded)
	}
	status := func(state telemetry.ClockState) intake.Message {
		return g.message(g.session.NodeData(sparkplug.Status{KeyID: g.key.Public().ID().String(), Version: "1.0", ClockState: state}, w.now))
	}
	shown("S") // of the epoch, recorded now
	w.deliver(status(telemetry.Informative))
	shown("I")
	w.deliver(entry(telemetry.Synchronised, start.Add(-time.Hour)))
	shown("I") // history
	w.now = start.Add(time.Minute)
	w.deliver(status(telemetry.Informative), entry(telemetry.Synchronised, start.Add(30*time.Second)))
	shown("I") // recorded before the status
	w.deliver(entry(telemetry.Synchronised, start.Add(30*time.Second)))
	shown("I") // the same, in another flush
	w.now = start.Add(2 * time.Minute)
	w.deliver(entry(telemetry.Synchronised, w.now.Add(-time.Second)), entry(telemetry.Relative, w.now.Add(-20*time.Second)))
	shown("S") // live ones, the newest of them
	w.deliver(entry(telemetry.Unsynchronised, time.Date(1970, 1, 1, 0, 0, 9, 0, time.UTC)))
	shown("S")
	w.deliver(entry(telemetry.Relative, w.now.Add(30*time.Second)))
	shown("R") // a clock that is ahead
	w.now = w.now.Add(time.Second)
	w.deliver(status(telemetry.Unsynchronised))
	shown("U") // does not hide what comes later
}

// TestReplayShowsNoLife: a message from the quarantine does not make a gateway
// that is away seem present.
func TestReplayShowsNoLife(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	m := g.batch(start)
	w.deliver(g.message(g.session.NodeDeath(w.now)))
	w.now = start.Add(time.Hour)
	m.At = w.now
	a := w.d.decode(job{Message: m, done: make(chan Result, 1)})
	if err := w.p.flush(t.Context(), []*arrival{a}); err != nil {
		t.Fatal(err)
	}
	w.want([]*arrival{a}, Stored)
	gws, err := w.records.Gateways(t.Context(), scopeAll)
	if err != nil || gws[0].Online || !gws[0].LastSeen.Equal(start) {
		t.Errorf("shown %+v, %v", gws[0], err)
	}
}
