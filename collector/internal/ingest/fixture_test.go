package ingest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"yunhe/collector/internal/evidencestore"
	"yunhe/collector/internal/intake"
	"yunhe/collector/internal/quarantine"
	store "yunhe/collector/internal/records"
	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/series"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// world is a pipeline over real stores, with a series store and a sender that
// enforce the order: nothing is accepted before its evidence is on disk, and
// nothing acknowledged before it is in all three.
type world struct {
	t       testing.TB
	p       *Pipeline
	d       *decoder
	now     time.Time
	keys    book
	alias   map[string]string // "site/gateway/device" -> the present one
	log     *watchedLog
	series  *fakeSeries
	records *store.Store
	kept    *quarantine.Store

	mu     sync.Mutex
	sent   []sparkplug.Command
	to     []string
	signed map[string]evidence.Entry // by gateway and number; and, of batches, by row
}

// mustBeDurable fails the test if a row of a signed batch is to be written
// before its evidence is on disk.
func (w *world) mustBeDurable(r series.Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.signed[rowKey(r.Device, r.Time, "")]
	if ok && !r.ClockFailed && !w.log.isDurable(e.Hash) {
		w.t.Errorf("the readings of %s at %s are written before their evidence is on disk", r.Device, r.Time)
	}
}

// orderedRecords refuse entries that are not in the two stores before them.
type orderedRecords struct {
	Records
	w *world
}

func (o orderedRecords) Commit(ctx context.Context, f *intake.Flush) error {
	for _, e := range f.Entries {
		if !o.w.log.isDurable(e.Hash) {
			o.w.t.Errorf("entry %d:%d is noted before its evidence is on disk", e.Epoch.JID, e.JSeq)
		}
		o.w.mustBeInSeries(e.Epoch.Of, e.Epoch.JID, e.JSeq)
	}
	return o.Records.Commit(ctx, f)
}

func numberText(of intake.Gateway, jid, jseq uint64) string {
	return fmt.Sprintf("%s %d:%d", of, jid, jseq)
}

func (w *world) mustBeInSeries(of intake.Gateway, jid, jseq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.signed[numberText(of, jid, jseq)]
	if e.Content.Kind != evidence.KindBatch || e.Content.Clock.State != telemetry.Synchronised || absurd(e.Content.Recorded, w.now) {
		return
	}
	w.series.mu.Lock()
	defer w.series.mu.Unlock()
	for _, r := range e.Content.Readings {
		d := series.Device{Kind: "meter", Site: of.Site, Gateway: of.Gateway, ID: "meter-1"}
		if _, ok := w.series.rows[rowKey(d, r.Time, r.Point)]; !ok && len(w.alias) == 0 {
			w.t.Errorf("entry %d:%d is noted before its reading %s is in the series store", jid, jseq, r.Point)
		}
	}
}

// mustBeStored fails the test if an acknowledged entry is not in all three.
func (w *world) mustBeStored(topic string, ack evidence.Ranges) {
	tp, err := sparkplug.ParseTopic(topic)
	if err != nil || tp.Type != sparkplug.NCMD {
		w.t.Errorf("a command on %s", topic)
	}
	of := intake.Gateway{Site: tp.Group, Gateway: tp.Node}
	ack.Each(func(jid, lo, hi uint64) bool {
		ep, err := w.records.Epoch(context.Background(), of, jid)
		if err != nil {
			w.t.Error(err)
			return false
		}
		for n := lo; n <= hi; n++ {
			h, ok, err := w.records.SeenHash(context.Background(), ep.ID, n)
			if err != nil || !ok {
				w.t.Errorf("entry %d:%d is acknowledged and not in the records: %v", jid, n, err)
			}
			w.mu.Lock()
			e, known := w.signed[numberText(of, jid, n)]
			w.mu.Unlock()
			if known && h == e.Hash && !w.log.isDurable(h) && w.log.mine {
				w.t.Errorf("entry %d:%d is acknowledged and its evidence is not on disk", jid, n)
			}
			w.mustBeInSeries(of, jid, n)
		}
		return true
	})
}

// book is an enrolment file in memory.
type book map[evidence.KeyID]intake.Key

func (b book) Lookup(id evidence.KeyID) (intake.Key, bool) { k, ok := b[id]; return k, ok }
func (b book) Enrolled(g intake.Gateway) bool {
	for _, k := range b {
		if k.Of == g {
			return true
		}
	}
	return false
}

// watchedLog is an evidence store that knows which entries it has confirmed.
type watchedLog struct {
	*evidencestore.Store
	mu       sync.Mutex
	buffered []evidence.Hash
	durable  map[evidence.Hash]bool
	at       map[evidence.Hash]intake.Place
	mine     bool // it saw every append
}

func (l *watchedLog) isDurable(h evidence.Hash) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable[h]
}

func (l *watchedLog) Append(log intake.Log, b []byte) (intake.Place, error) {
	e, err := evidence.Parse(b)
	if err != nil {
		return intake.Place{}, err
	}
	l.buffered = append(l.buffered, e.Hash)
	at, err := l.Store.Append(log, b)
	l.at[e.Hash] = at
	return at, err
}

func (l *watchedLog) Commit() error {
	if err := l.Store.Commit(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.buffered {
		l.durable[h] = true
	}
	l.buffered = nil
	return nil
}

// fakeSeries holds rows like a store: by device, time and point.
type fakeSeries struct {
	mu     sync.Mutex
	rows   map[string]series.Field
	failed map[string]bool // keys whose clock failed
	writes int
	fail   error
	reject func(series.Row) string
	before func(series.Row) // enforces the order
}

func rowKey(d series.Device, t time.Time, point string) string {
	return d.Measurement() + "|" + d.String() + "|" + t.UTC().Format(time.RFC3339Nano) + "|" + point
}

func (s *fakeSeries) Write(ctx context.Context, rows []series.Row) ([]series.Rejected, error) {
	if s.before != nil {
		for _, r := range rows {
			s.before(r)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		return nil, s.fail
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []series.Rejected
	for i, r := range rows {
		if err := series.CheckRow(r); err != nil {
			out = append(out, series.Rejected{Row: i, Reason: err.Error()})
			continue
		}
		if s.reject != nil {
			if reason := s.reject(r); reason != "" {
				out = append(out, series.Rejected{Row: i, Reason: reason})
				continue
			}
		}
		for _, f := range r.Fields {
			k := rowKey(r.Device, r.Time, f.Point)
			s.rows[k] = f
			s.failed[k] = r.ClockFailed
		}
	}
	return out, nil
}

func newFakeSeries() *fakeSeries {
	return &fakeSeries{rows: map[string]series.Field{}, failed: map[string]bool{}}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, t.TempDir(), seglog.OS())
}

func newWorldAt(t testing.TB, dir string, fs seglog.FS) *world {
	t.Helper()
	return newWorldOf(t, dir, fs, 64<<20)
}

// newWorldOf is a world whose evidence lies in segments of a size.
func newWorldOf(t testing.TB, dir string, fs seglog.FS, segment int64) *world {
	t.Helper()
	w := &world{t: t, now: start, keys: book{}, alias: map[string]string{}, signed: map[string]evidence.Entry{}, series: newFakeSeries()}
	w.series.before = w.mustBeDurable
	log, err := evidencestore.Open(evidencestore.Options{Dir: dir, FS: fs, SegmentBytes: segment})
	if err != nil {
		t.Fatal(err)
	}
	w.log = &watchedLog{Store: log, durable: map[evidence.Hash]bool{}, at: map[evidence.Hash]intake.Place{}, mine: log.Bytes(intake.KeptLog) == 0}
	w.kept, err = quarantine.Open(quarantine.Options{Dir: filepath.Join(dir, "quarantine"), FS: fs, MaxBytes: 8 << 20, MaxEntries: 1000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.records, err = store.Open(t.Context(), filepath.Join(dir, "records.db"), func() time.Time { return w.now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.records.Close(); w.kept.Close(); log.Close() })
	w.p, err = New(Config{Sites: []string{"tz"}, Entries: 500, Interval: 10 * time.Millisecond, Queue: 4096, QueueBytes: 64 << 20, Workers: 2}, Deps{
		Keys: w.keys, Evidence: w.log, Series: w.series, Records: orderedRecords{w.records, w}, Clocks: w.records, Retention: w.records, Quarantine: w.kept,
		Send: w.receive, Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
		Alias: func(s, g, d string) (string, string, string) {
			if to, ok := w.alias[s+"/"+g+"/"+d]; ok {
				var out [3]string
				for i, f := range bytes.Split([]byte(to), []byte("/")) {
					out[i] = string(f)
				}
				return out[0], out[1], out[2]
			}
			return s, g, d
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.d = newDecoder(w.p)
	return w
}

// receive is the broker's side of Send. An acknowledgement whose entry is not
// in all three stores fails the test.
func (w *world) receive(topic string, payload []byte) {
	var p sparkplug.Payload
	if err := sparkplug.Decode(payload, &p); err != nil {
		w.t.Errorf("the collector sends what cannot be decoded: %v", err)
		return
	}
	c, err := sparkplug.ParseCommand(&p)
	if err != nil {
		w.t.Errorf("the collector sends no command: %v", err)
		return
	}
	ack, err := evidence.ParseRanges(c.Ack)
	if err != nil {
		w.t.Error(err)
	}
	w.mustBeStored(topic, ack)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent, w.to = append(w.sent, c), append(w.to, topic)
}

// deliver takes messages through decoding and one flush and returns their
// outcomes.
func (w *world) deliver(ms ...intake.Message) []*arrival {
	w.t.Helper()
	batch := make([]*arrival, len(ms))
	for i, m := range ms {
		batch[i] = w.d.decode(job{Message: m})
	}
	if err := w.p.flush(w.t.Context(), batch); err != nil {
		w.t.Fatal(err)
	}
	return batch
}

// answers returns what was sent since the last call, merged.
func (w *world) answers() (ack, reject, replay, define string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var a, r, p evidence.Ranges
	for _, c := range w.sent {
		for _, x := range []struct {
			to   *evidence.Ranges
			text string
		}{{&a, c.Ack}, {&r, c.Reject}, {&p, c.Replay}} {
			v, err := evidence.ParseRanges(x.text)
			if err != nil {
				w.t.Error(err)
			}
			x.to.Union(v)
		}
		define += c.Define
	}
	w.sent, w.to = nil, nil
	return a.String(), r.String(), p.String(), define
}

func outcomes(as []*arrival) []Outcome {
	var out []Outcome
	for _, a := range as {
		out = append(out, a.outcome)
	}
	return out
}

func (w *world) want(as []*arrival, want ...Outcome) {
	w.t.Helper()
	if got := outcomes(as); !slices.Equal(got, want) {
		for _, a := range as {
			w.t.Logf("%s: %s", a.outcome, a.reason)
		}
		w.t.Fatalf("outcomes %v, want %v", got, want)
	}
}

func (w *world) wantAnswers(ack, reject, replay, define string) {
	w.t.Helper()
	a, r, p, d := w.answers()
	if a != ack || r != reject || p != replay || d != define {
		w.t.Fatalf("answers: ack %q reject %q replay %q define %q\nwant:    ack %q reject %q replay %q define %q", a, r, p, d, ack, reject, replay, define)
	}
}

// events returns the types of the events in the records.
func (w *world) alarms() []string {
	w.t.Helper()
	evs, err := w.records.Events(w.t.Context(), "tz", 100)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range evs {
		if e.Alarm {
			out = append(out, e.Type)
		}
	}
	return out
}
