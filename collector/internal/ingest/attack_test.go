package ingest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
)

// TestForeignDefinitionHoldsNothing: who signs another gateway's definition
// with a key of its own has it held, and the other gateway's batches are not.
func TestForeignDefinitionHoldsNothing(t *testing.T) {
	w := newWorld(t)
	a, b := w.enrolled("gw-a", 1), w.enrolled("gw-b", 2)
	w.deliver(a.epoch(), b.epoch())
	data, err := b.definition().Encode()
	if err != nil {
		t.Fatal(err)
	}
	stolen := a.sign(evidence.Content{Kind: evidence.KindDefinition, Data: data})
	w.want(w.deliver(a.message(a.session.Attached("meter-1", "definition", stolen.Bytes, false, w.now))), Held)
	def := b.define()
	m := b.batch(start)
	w.answers()
	w.want(w.deliver(m), Undefined)
	w.wantAnswers("", "", "", b.defhash.String())
	w.want(w.deliver(def, m), Stored, Stored)
}

// countedRecords counts epochs looked up.
type countedRecords struct {
	Records
	looked int
}

func (c *countedRecords) Epoch(ctx context.Context, of intake.Gateway, jid uint64) (*intake.Epoch, error) {
	c.looked++
	return c.Records.Epoch(ctx, of, jid)
}

// TestUnsignedStatusFillsNothing: statuses that name epochs nobody signed leave
// no row, no memory and one event an hour, and cost a bounded number of look-ups.
func TestUnsignedStatusFillsNothing(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	counted := &countedRecords{Records: w.p.Records}
	w.p.Records = counted
	epochs := len(w.p.state.epochs)
	for n := range 12 {
		var next string
		for i := range 300 {
			next += fmt.Sprintf("%d:5;", 100000+300*n+i)
		}
		w.deliver(g.message(g.session.NodeData(sparkplug.Status{NextSeq: next[:len(next)-1], KeyID: "00"}, w.now)))
		w.now = w.now.Add(10 * time.Millisecond)
	}
	if counted.looked > 2*gapsMost*maxStatusEpochs {
		t.Errorf("%d epochs are looked up", counted.looked)
	}
	if n := len(w.p.state.epochs); n != epochs {
		t.Errorf("%d epochs in memory, %d before", n, epochs)
	}
	if got := w.alarms(); !slices.Equal(got, []string{"chain_gap"}) {
		t.Errorf("alarms %v", got)
	}
	e, err := w.p.Records.Epoch(t.Context(), intake.Gateway{Site: "tz", Gateway: "gw-1"}, 100000)
	if err != nil || e.ID != 0 {
		t.Errorf("an epoch nobody signed is in the records: %+v, %v", e, err)
	}
}

// TestUnsignedNumberSilencesNothing: a number far ahead, which nobody signed,
// does not make a gap look old that shows later.
func TestUnsignedNumberSilencesNothing(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	w.deliver(g.batch(start))
	status := func(oldest uint64) {
		w.now = w.now.Add(replayEvery)
		w.deliver(g.message(g.session.NodeData(sparkplug.Status{OldestUnacked: fmt.Sprintf("1001:%d", oldest), KeyID: "00"}, w.now)))
	}
	status(evidence.MaxNumber)
	if got := w.alarms(); !slices.Equal(got, []string{"chain_gap"}) {
		t.Fatalf("alarms %v", got)
	}
	w.wantAnswersOnly(t, "1001:4-4099")
	g.jseq = 9000
	w.want(w.deliver(g.batch(start.Add(time.Second))), Stored)
	w.answers()
	status(9002)
	if got := w.alarms(); !slices.Equal(got, []string{"chain_gap", "chain_gap"}) {
		t.Errorf("alarms %v", got)
	}
	w.wantAnswersOnly(t, "1001:4-9000")
}

// wantAnswersOnly checks what is asked for again.
func (w *world) wantAnswersOnly(t *testing.T, replay string) {
	t.Helper()
	if _, _, got, _ := w.answers(); got != replay {
		t.Errorf("asked for %s, want %s", got, replay)
	}
}

// TestCopyOnAnotherTopicHidesNoGap: an entry that someone also sent on the topic
// of another gateway is still asked for.
func TestCopyOnAnotherTopicHidesNoGap(t *testing.T) {
	w := newWorld(t)
	g, thief := w.enrolled("gw-1", 1), w.enrolled("gw-2", 2)
	w.deliver(g.begin()...)
	e := g.entry(start) // 3
	body, err := e.Detached()
	if err != nil {
		t.Fatal(err)
	}
	w.want(w.deliver(thief.message(thief.session.DeviceData("meter-1", e.Content.Readings, body, false, w.now))), Held)
	w.answers()
	w.deliver(g.message(g.session.NodeData(sparkplug.Status{NextSeq: "1001:4", KeyID: "00"}, w.now)))
	w.wantAnswersOnly(t, "1001:3")
	w.want(w.deliver(g.send(e)), Stored)
}

// countedQuarantine counts what it is given.
type countedQuarantine struct {
	Quarantine
	items int
}

func (c *countedQuarantine) Put(items []intake.Item) ([]bool, error) {
	c.items += len(items)
	return c.Quarantine.Put(items)
}

// TestNamesAreFree: nodes under ever new names are bounded in all.
func TestNamesAreFree(t *testing.T) {
	w := newWorld(t)
	kept := &countedQuarantine{Quarantine: w.p.Quarantine}
	w.p.Quarantine = kept
	var junk []intake.Message
	for i := range allSamplesPerHour + 50 {
		junk = append(junk, intake.Message{Topic: fmt.Sprintf("spBv1.0/tz/DDATA/x-%d/d", i), Payload: fmt.Appendf(nil, "junk %d", i), At: w.now})
	}
	w.deliver(junk...)
	if kept.items != allSamplesPerHour {
		t.Errorf("%d samples are kept", kept.items)
	}
	for i := range maxUnsigned {
		w.p.state.unsigned[series.Device{ID: fmt.Sprint(i)}] = true
	}
	p := sparkplug.Payload{Time: w.now, Metrics: []sparkplug.Metric{{Name: "x", Time: w.now, Type: sparkplug.Double, Value: readings(start, 2)[1].Value}}}
	w.want(w.deliver(intake.Message{Topic: "spBv1.0/tz/DDATA/plc/pump", Payload: p.Append(nil), At: w.now}), Ignored)
	if len(w.series.rows) != 0 {
		t.Error("one device too many is stored")
	}
}
