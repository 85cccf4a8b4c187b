package ingest

import (
	"context"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
)

// Limits on what the storing goroutine keeps in memory.
const (
	maxEpochs      = 50000
	maxDefinitions = 50000
	maxAnchors     = 50000
	maxNodes       = 10000 // nodes without an enrolled key whose state is shown
	maxUnsigned    = 10000 // devices of such nodes
	maxLimiters    = 50000
	// maxSpans bounds the holes of an epoch that are kept in memory; beyond it
	// each number is looked up.
	maxSpans = 4096
)

// state is what the storing goroutine knows. It alone touches it.
type state struct {
	epochs      map[epochKey]*epoch
	definitions map[evidence.Hash]*definition
	refused     map[refusedKey]string // definitions held, and why
	anchors     map[bootKey]intake.Anchor
	noAnchor    map[bootKey]bool
	nodes       map[intake.Gateway]bool // shown although not enrolled
	unsigned    map[series.Device]bool  // of nodes that sign nothing: each is a series for ever
	limits      map[string]limit
	sampled     limit     // of all nodes
	retime      bool      // entries may wait whose boot has an anchor
	evicted     time.Time // when old raw evidence was last looked for
}

type epochKey struct {
	of  intake.Gateway
	jid uint64
}

// refusedKey names the gateway too: what one key signs holds nothing of another
// gateway, though it be the same bytes.
type refusedKey struct {
	of   intake.Gateway
	hash evidence.Hash
}

type bootKey struct {
	of   intake.Gateway
	boot [16]byte
}

func newState() state {
	return state{
		epochs:      map[epochKey]*epoch{},
		definitions: map[evidence.Hash]*definition{},
		refused:     map[refusedKey]string{},
		anchors:     map[bootKey]intake.Anchor{},
		noAnchor:    map[bootKey]bool{},
		nodes:       map[intake.Gateway]bool{},
		unsigned:    map[series.Device]bool{},
		limits:      map[string]limit{},
		retime:      true, // something may wait from before
	}
}

// bound makes room for one more entry by dropping any one. What is dropped
// here is looked up again when it is needed.
func bound[K comparable, V any](m map[K]V, n int) {
	for k := range m {
		if len(m) < n {
			return
		}
		delete(m, k)
	}
}

// epoch is an epoch with what is kept beside its record.
type epoch struct {
	*intake.Epoch
	spans  int       // holes in Seen, at most
	saved  time.Time // when its ranges were last written
	recent [4]link   // the newest entries of a few runs
	turn   int
}

type link struct {
	jseq uint64
	hash evidence.Hash
}

// add notes a stored number.
func (e *epoch) add(jseq uint64) {
	if e.spans > maxSpans {
		return
	}
	if !e.Seen.Contains(e.JID, jseq-1) && !e.Seen.Contains(e.JID, jseq+1) {
		e.spans++
	}
	e.Seen.Add(e.JID, jseq)
}

// follows reports whether an entry names the one before it as it is known; the
// one before may not be known, as the runs of live and history interleave.
func (e *epoch) follows(c *evidence.Content, hash evidence.Hash) bool {
	for i := range e.recent {
		if l := &e.recent[i]; l.jseq != 0 && l.jseq+1 == c.JSeq {
			ok := l.hash == c.Prev
			*l = link{c.JSeq, hash}
			return ok
		}
	}
	e.recent[e.turn] = link{c.JSeq, hash}
	e.turn = (e.turn + 1) % len(e.recent)
	return true
}

// samples reports whether one more sample of any node may be kept. Its limit
// is not among those that others push out.
func (s *state) samples(now time.Time) bool {
	if now.Sub(s.sampled.since) >= time.Hour {
		s.sampled = limit{since: now}
	}
	s.sampled.n++
	return s.sampled.n <= allSamplesPerHour
}

// limit allows n things in a period.
type limit struct {
	since time.Time
	n     int
}

// allow reports whether one more of what may happen now.
func (s *state) allow(what string, now time.Time, every time.Duration, most int) bool {
	l, ok := s.limits[what]
	if !ok {
		bound(s.limits, maxLimiters)
	}
	if !ok || now.Sub(l.since) >= every {
		l = limit{since: now}
	}
	if l.n >= most {
		return false
	}
	l.n++
	s.limits[what] = l
	return true
}

// epochOf returns an epoch, from memory or the records.
func (p *Pipeline) epochOf(ctx context.Context, of intake.Gateway, jid uint64) (*epoch, error) {
	e, err := p.peekEpoch(ctx, of, jid)
	if err == nil {
		p.state.epochs[epochKey{of, jid}] = e
	}
	return e, err
}

// peekEpoch is epochOf for a number that nobody signed: it leaves nothing in
// memory.
func (p *Pipeline) peekEpoch(ctx context.Context, of intake.Gateway, jid uint64) (*epoch, error) {
	if e := p.state.epochs[epochKey{of, jid}]; e != nil {
		return e, nil
	}
	e := &epoch{saved: p.Now()}
	err := p.retry(ctx, "records", func() (err error) {
		e.Epoch, err = p.Records.Epoch(ctx, of, jid)
		return err
	})
	if err != nil {
		return nil, err
	}
	for range e.Seen.Spans() {
		e.spans++
	}
	if e.ID != 0 {
		p.state.epochs[epochKey{of, jid}] = e
	}
	return e, nil
}

// seenHash returns the hash stored under a number of an epoch.
func (p *Pipeline) seenHash(ctx context.Context, e *epoch, jseq uint64) (h evidence.Hash, ok bool, err error) {
	if e.ID == 0 || e.spans <= maxSpans && !e.Seen.Contains(e.JID, jseq) {
		return h, false, nil
	}
	err = p.retry(ctx, "records", func() (err error) {
		h, ok, err = p.Records.SeenHash(ctx, e.ID, jseq)
		return err
	})
	return h, ok, err
}

// definitionOf returns a stored definition, nil if there is none.
func (p *Pipeline) definitionOf(ctx context.Context, hash evidence.Hash) (*definition, error) {
	if d := p.state.definitions[hash]; d != nil {
		return d, nil
	}
	var data []byte
	var ok bool
	err := p.retry(ctx, "records", func() (err error) {
		data, ok, err = p.Records.Definition(ctx, hash)
		return err
	})
	if err != nil || !ok {
		return nil, err
	}
	d, err := evidence.DecodeDefinition(data)
	if err != nil {
		p.Logger.Error("a stored definition cannot be read; its batches wait", "hash", hash, "error", err)
		return nil, nil
	}
	return p.keepDefinition(hash, d), nil
}

func (p *Pipeline) keepDefinition(hash evidence.Hash, d evidence.Definition) *definition {
	bound(p.state.definitions, maxDefinitions)
	def := newDefinition(d)
	p.state.definitions[hash] = def
	return def
}

// anchorOf returns what ties a boot to the wall clock.
func (p *Pipeline) anchorOf(ctx context.Context, key bootKey) (a intake.Anchor, ok bool, err error) {
	if a, ok = p.state.anchors[key]; ok {
		return a, true, nil
	}
	if p.state.noAnchor[key] {
		return a, false, nil
	}
	err = p.retry(ctx, "records", func() (err error) {
		a, ok, err = p.Clocks.Anchor(ctx, key.of, key.boot)
		return err
	})
	switch {
	case err != nil:
	case ok:
		bound(p.state.anchors, maxAnchors)
		p.state.anchors[key] = a
	default:
		bound(p.state.noAnchor, maxAnchors)
		p.state.noAnchor[key] = true
	}
	return a, ok, err
}
