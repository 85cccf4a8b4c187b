package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
)

// TestRetryResumes: a store that fails once holds everything back and nothing
// is acknowledged; when it works again all is stored once.
func TestRetryResumes(t *testing.T) {
	for name, breakIt := range map[string]func(w *world, once *failOnce){
		"evidence": func(w *world, once *failOnce) { w.p.Evidence = failingEvidence{w.log, once} },
		"series":   func(w *world, once *failOnce) { w.p.Series = failingSeries{w.series, once} },
		"records":  func(w *world, once *failOnce) { w.p.Records = failingRecords{w.p.Records, once} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.enrolled("gw-1", 1)
			w.deliver(g.begin()...)
			w.answers()
			once := &failOnce{w: w}
			breakIt(w, once)
			w.want(w.deliver(g.batch(start)), Stored)
			w.wantAnswers("1001:3", "", "", "")
			if len(w.series.rows) != 3 || once.tries != 2 {
				t.Errorf("%d values after %d tries", len(w.series.rows), once.tries)
			}
		})
	}
}

// failOnce fails the first try, and the test if anything was answered by then.
type failOnce struct {
	w     *world
	tries int
}

func (f *failOnce) err() error {
	if f.tries++; f.tries > 1 {
		return nil
	}
	f.w.wantAnswers("", "", "", "")
	return errors.New("input/output error")
}

type failingEvidence struct {
	*watchedLog
	once *failOnce
}

func (f failingEvidence) Commit() error {
	return errors.Join(f.watchedLog.Commit(), f.once.err())
}

type failingSeries struct {
	Series
	once *failOnce
}

func (f failingSeries) Write(ctx context.Context, rows []series.Row) ([]series.Rejected, error) {
	if err := f.once.err(); err != nil {
		return nil, &series.TryLaterError{After: time.Millisecond, Err: err}
	}
	return f.Series.Write(ctx, rows)
}

type failingRecords struct {
	Records
	once *failOnce
}

func (f failingRecords) Commit(ctx context.Context, flush *intake.Flush) error {
	if err := f.once.err(); err != nil {
		return err
	}
	return f.Records.Commit(ctx, flush)
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

func TestQueueKeepsNodesTogether(t *testing.T) {
	w := newWorld(t)
	a := w.p.queue("spBv1.0/tz/DDATA/gw-1/m1")
	for _, topic := range []string{"spBv1.0/tz/NDATA/gw-1", "spBv1.0/tz/DDATA/gw-1/m2", "spBv1.0/tz/NBIRTH/gw-1"} {
		if w.p.queue(topic) != a {
			t.Errorf("%s has another worker", topic)
		}
	}
}
