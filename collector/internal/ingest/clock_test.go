package ingest

import (
	"testing"
	"time"

	"yunhe/internal/evidence"
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
