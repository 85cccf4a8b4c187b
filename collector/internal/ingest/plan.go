package ingest

import (
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
)

// plan is one flush while it is made.
type plan struct {
	now         time.Time
	batch       []*arrival
	accepted    []*arrival // in order; their entries are stored
	numbers     map[numberKey]evidence.Hash
	definitions map[evidence.Hash]*definition // of this flush
	statuses    map[intake.Gateway]*intake.Status
	touched     map[*epoch]bool // whose ranges must be written
	replies     map[intake.Gateway]*reply
	flush       intake.Flush
	retimed     []retimed
}

type numberKey struct {
	e    *epoch
	jseq uint64
}

// reply gathers what a node is told after the flush, in one command if it fits.
type reply struct {
	ack, reject, replay evidence.Ranges
	define              []evidence.Hash
	rebirth             bool
}

func newPlan(now time.Time, batch []*arrival) *plan {
	return &plan{
		now: now, batch: batch,
		numbers:     map[numberKey]evidence.Hash{},
		definitions: map[evidence.Hash]*definition{},
		statuses:    map[intake.Gateway]*intake.Status{},
		touched:     map[*epoch]bool{},
		replies:     map[intake.Gateway]*reply{},
	}
}

// lighten lets go of the bytes of messages that will be neither written nor
// kept any more: a flush may have to wait long for a store.
func (pl *plan) lighten() {
	for _, a := range pl.batch {
		switch a.outcome {
		case Held, Equivocation, UnknownKey, Invalid: // go into quarantine as they came
			a.entry.Bytes, a.entry.Content.Readings = nil, nil
		case Stored:
			if a.entry.Bytes == nil && a.rows == nil { // else the series store may refuse it
				a.Payload = nil
			}
		default:
			a.Payload, a.entry.Bytes, a.entry.Content.Readings = nil, nil, nil
		}
	}
}

// status returns the news of a gateway in this flush.
func (pl *plan) status(of intake.Gateway) *intake.Status {
	st := pl.statuses[of]
	if st == nil {
		st = &intake.Status{Of: of}
		pl.statuses[of] = st
	}
	return st
}

func (pl *plan) reply(node intake.Gateway) *reply {
	r := pl.replies[node]
	if r == nil {
		r = &reply{}
		pl.replies[node] = r
	}
	return r
}

// event notes something about a gateway.
func (pl *plan) event(a *arrival, typ, text string, alarm bool) {
	at := a.entry.Content.Recorded
	if at.IsZero() || absurd(at, a.At) {
		at = a.At
	}
	pl.flush.Events = append(pl.flush.Events, intake.Event{
		Of: a.of(), At: at, Type: typ, JID: a.entry.Content.JID, JSeq: a.entry.Content.JSeq, Text: text, Alarm: alarm,
	})
}

// commands returns the commands that say r to a node. Nearly always it is one.
func (r *reply) commands() []sparkplug.Command {
	acks, rejects, replays := r.ack.Split(), r.reject.Split(), r.replay.Split()
	n := max(len(acks), len(rejects), len(replays), len(r.define))
	if r.rebirth {
		n = max(n, 1)
	}
	out := make([]sparkplug.Command, n)
	for i := range out {
		if i < len(acks) {
			out[i].Ack = acks[i].String()
		}
		if i < len(rejects) {
			out[i].Reject = rejects[i].String()
		}
		if i < len(replays) {
			out[i].Replay = replays[i].String()
		}
		if i < len(r.define) {
			out[i].Define = r.define[i].String()
		}
		out[i].Rebirth = r.rebirth && i == 0
	}
	return out
}

// slotLength is the interval of the records.
const slotLength = 15 * time.Minute

// nearBorder is how far a counter reading may lie from a slot's border to
// count as the reading of that border.
const nearBorder = 60 * time.Second

// slotsOf returns the starts of the slots that a counter reading at t
// touches: its own, and the neighbour whose border it may stand for.
func slotsOf(t time.Time) (first int64, second int64, two bool) {
	const length, near = int64(slotLength / time.Millisecond), int64(nearBorder / time.Millisecond)
	ms := t.UnixMilli()
	into := ms % length
	if into < 0 {
		into += length
	}
	start := ms - into
	switch {
	case into <= near:
		return start, start - length, true
	case length-into <= near:
		return start, start + length, true
	}
	return start, 0, false
}

// rowsOfBatch makes rows of the readings of a signed batch, which are sorted
// by time, then name, and names the slots whose counters they touch. shift is
// added to the times of an entry whose clock is known better now.
func rowsOfBatch(e *evidence.Entry, def *definition, at time.Time, failed bool, shift time.Duration) (rows []series.Row, slots []intake.Slot) {
	rs := e.Content.Readings
	fields := make([]series.Field, len(rs))
	for i := 0; i < len(rs); {
		j, counter := i, false
		for ; j < len(rs) && rs[j].Time.Equal(rs[i].Time); j++ {
			r := &rs[j]
			fields[j] = series.Field{Point: r.Point, Value: r.Value, Quality: r.Quality}
			if !counter {
				_, counter = def.counters[r.Point]
			}
		}
		t := rs[i].Time.Add(shift)
		row := series.Row{Device: def.device, Time: t, ClockFailed: failed || absurd(t, at), Fields: fields[i:j:j]}
		rows = append(rows, row)
		if counter && !row.ClockFailed {
			first, second, two := slotsOf(t)
			slots = append(slots, intake.Slot{Device: def.device, Start: first})
			if two {
				slots = append(slots, intake.Slot{Device: def.device, Start: second})
			}
		}
		i = j
	}
	return rows, slots
}
