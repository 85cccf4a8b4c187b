package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"yunhe/edge/internal/journal"
	"yunhe/edge/internal/poll"
	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

// recorder signs what the pollers give it and journals it. Appends run beside
// each other, because each waits for the same group commit; how many is
// bounded, and beyond that the pollers wait, skip polls and count them.
type recorder struct {
	key           *evidence.PrivateKey
	clock         telemetry.Source
	definitions   definitions
	raw, boundary *journal.Journal
	historical    bool
	fresh         *fresh // nil: nobody sends at once

	log    *slog.Logger
	places chan struct{}
	under  sync.WaitGroup

	defined *defined

	mu    sync.Mutex
	again map[evidence.Hash]time.Time // of the newest re-definition asked for
	lost  map[string]uint64           // batches and events that could not be journalled, by journal
	err   error
	errAt time.Time
	told  time.Time // of the newest line in the log about what is lost
}

// defined is what was journalled in the present epochs; recorders that share
// journals share it.
type defined struct {
	mu sync.Mutex
	in map[definedIn]*defining
}

func newDefined() *defined { return &defined{in: map[definedIn]*defining{}} }

// definedIn says where a definition was journalled in this epoch.
type definedIn struct {
	journal string
	hash    evidence.Hash
}

// defining is a definition on its way into a journal.
type defining struct {
	done chan struct{}
	err  error
}

// definePause bounds how often a collector can have a definition journalled.
const definePause = time.Minute

func newRecorder(key *evidence.PrivateKey, clock telemetry.Source, d definitions, defined *defined, raw, boundary *journal.Journal, places int) *recorder {
	return &recorder{
		key: key, clock: clock, definitions: d, raw: raw, boundary: boundary,
		places: make(chan struct{}, places), defined: defined, again: map[evidence.Hash]time.Time{},
		lost: map[string]uint64{}, log: slog.New(slog.DiscardHandler),
	}
}

// Batch takes one batch; it returns when there is room to append it.
func (r *recorder) Batch(ctx context.Context, b poll.Batch) error {
	c := r.content(evidence.KindBatch)
	c.DefHash, c.Readings = b.Meaning.Hash, b.Readings
	j := r.raw
	if b.Boundary {
		j = r.boundary
	}
	return r.submit(ctx, j, func() error {
		if err := r.define(j, b.Meaning.Device, b.Meaning.Hash, b.Meaning.Data); err != nil {
			return err
		}
		return r.append(j, b.Meaning.Device, c)
	})
}

// Event takes one event of the gateway or of a device.
func (r *recorder) Event(ctx context.Context, e evidence.Event) error {
	data, err := e.Encode()
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	device := ""
	if fall, ok := e.(evidence.CounterFall); ok {
		device = fall.Device
	}
	c := r.content(evidence.KindEvent)
	c.Data = data
	return r.submit(ctx, r.raw, func() error { return r.append(r.raw, device, c) })
}

// Define journals a definition anew because a collector lacks it.
func (r *recorder) Define(ctx context.Context, h evidence.Hash) error {
	def, data, err := r.definitions.find(h)
	if err != nil {
		return err
	}
	now := r.clock.Now()
	r.mu.Lock()
	recent := now.Sub(r.again[h]).Abs() < definePause
	if !recent {
		r.again[h] = now
	}
	r.mu.Unlock()
	if recent {
		return nil
	}
	c := r.content(evidence.KindDefinition)
	c.Data = data
	return r.submit(ctx, r.raw, func() error { return r.append(r.raw, def.Device, c) })
}

func (r *recorder) content(kind evidence.Kind) evidence.Content {
	return evidence.Content{Kind: kind, Recorded: r.clock.Now(), Clock: r.clock.Clock()}
}

// submit runs fn, which appends to j, when there is a place.
func (r *recorder) submit(ctx context.Context, j *journal.Journal, fn func() error) error {
	select {
	case r.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.under.Go(func() {
		defer func() { <-r.places }()
		if err := fn(); err != nil {
			r.fail(j, err)
		}
	})
	return nil
}

// tellEvery spaces the lines about what could not be journalled.
const tellEvery = time.Minute

// fail counts what was lost. An entry that waits in memory for the disk is
// not: the journal writes it later.
func (r *recorder) fail(j *journal.Journal, err error) {
	r.note(err)
	if errors.Is(err, journal.ErrKept) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost[j.Name()]++
	if now := time.Now(); now.Sub(r.told) >= tellEvery {
		r.told = now
		r.log.Warn("readings are lost: they cannot be journalled; make room on the disk of state_dir, or mend it",
			"journal", j.Name(), "lost_since_start", r.lost[j.Name()], "error", err)
	}
}

// lostOf returns how much could not be appended to a journal.
func (r *recorder) lostOf(journal string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost[journal]
}

// note keeps an error for Status.
func (r *recorder) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.errAt = err, r.clock.Now()
}

// state returns the last error and how much was lost.
func (r *recorder) state() (err error, at time.Time, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.lost {
		lost += n
	}
	return r.err, r.errAt, lost
}

// wait returns when everything taken is durable or has failed.
func (r *recorder) wait() { r.under.Wait() }

// define journals a definition before the first batch of an epoch cites it.
func (r *recorder) define(j *journal.Journal, device string, h evidence.Hash, data []byte) error {
	key := definedIn{j.Name(), h}
	r.defined.mu.Lock()
	d, known := r.defined.in[key]
	if !known {
		d = &defining{done: make(chan struct{})}
		r.defined.in[key] = d
	}
	r.defined.mu.Unlock()
	if known {
		<-d.done
		return d.err
	}
	if err := r.definitions.keep(h, data); err != nil {
		r.note(err) // the copy in the journal is what batches need
	}
	c := r.content(evidence.KindDefinition)
	c.Data = data
	d.err = r.append(j, device, c)
	if errors.Is(d.err, journal.ErrKept) {
		d.err = nil // it has its number, before that of the batch
	}
	if d.err != nil {
		r.defined.mu.Lock()
		delete(r.defined.in, key) // the next batch tries again
		r.defined.mu.Unlock()
	}
	close(d.done)
	return d.err
}

func (r *recorder) append(j *journal.Journal, device string, c evidence.Content) error {
	seal := sealer(r.key, c)
	if r.fresh == nil {
		_, err := j.Append(device, r.historical, seal)
		return err
	}
	_, err := j.Append(device, r.historical, func(jid, jseq uint64, prev evidence.Hash) (evidence.Entry, error) {
		e, err := seal(jid, jseq, prev)
		if err == nil {
			r.fresh.put(e) // taken only once the journal shows the entry, which is when it is durable
		}
		return e, err
	})
	return err
}

// sealer signs c under the number the journal gives it.
func sealer(key *evidence.PrivateKey, c evidence.Content) journal.Sealer {
	return func(jid, jseq uint64, prev evidence.Hash) (evidence.Entry, error) {
		c.JID, c.JSeq, c.Prev = jid, jseq, prev
		return key.Sign(c)
	}
}
