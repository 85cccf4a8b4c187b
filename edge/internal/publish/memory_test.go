package publish

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

// memory is a journal and the answers to it, in memory. It enforces what a
// journal promises: what is settled is not pending.
type memory struct {
	t   testing.TB
	key *evidence.PrivateKey
	jid uint64

	mu      sync.Mutex
	prev    evidence.Hash
	entries []Entry
	bytes   map[uint64][]byte // by jseq
	settled map[uint64]bool
	acked   map[uint64]bool
	updated chan struct{}
}

func newMemory(t testing.TB, key *evidence.PrivateKey, jid uint64) *memory {
	return &memory{
		t: t, key: key, jid: jid, bytes: map[uint64][]byte{}, settled: map[uint64]bool{}, acked: map[uint64]bool{},
		updated: make(chan struct{}, 1),
	}
}

// batch appends a batch of one reading.
func (m *memory) batch(device, point string, at time.Time) uint64 {
	m.t.Helper()
	return m.append(device, evidence.Content{
		Kind: evidence.KindBatch, DefHash: evidence.Hash{1}, Recorded: at,
		Readings: []telemetry.Reading{{Point: point, Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(1.5)}},
	})
}

// event appends an event of the gateway itself.
func (m *memory) event(at time.Time) uint64 {
	m.t.Helper()
	data, err := evidence.ClockStep{FromMs: 1, ToMs: 2, Reason: "test"}.Encode()
	if err != nil {
		m.t.Fatal(err)
	}
	return m.append("", evidence.Content{Kind: evidence.KindEvent, Recorded: at, Data: data})
}

func (m *memory) append(device string, c evidence.Content) uint64 {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	c.JID, c.JSeq, c.Prev = m.jid, uint64(len(m.entries)+1), m.prev
	c.Clock = telemetry.Clock{State: telemetry.Synchronised}
	e, err := m.key.Sign(c)
	if err != nil {
		m.t.Fatal(err)
	}
	m.prev = e.Hash
	m.entries = append(m.entries, Entry{JID: m.jid, JSeq: c.JSeq, Device: device, Bytes: len(e.Bytes)})
	m.bytes[c.JSeq] = e.Bytes
	notify(m.updated)
	return c.JSeq
}

func (m *memory) Pending(from any, limit int) ([]Entry, any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := from.(int)
	var out []Entry
	for ; i < len(m.entries) && len(out) < limit; i++ {
		if !m.settled[m.entries[i].JSeq] {
			out = append(out, m.entries[i])
		}
	}
	return out, i, nil
}

func (m *memory) Mark() (any, uint64, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries), m.jid, uint64(len(m.entries) + 1)
}

func (m *memory) Read(e Entry) (evidence.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.bytes[e.JSeq]
	if !ok {
		return evidence.Entry{}, fmt.Errorf("entry %d is gone", e.JSeq)
	}
	return evidence.Parse(b)
}

func (m *memory) Updated() <-chan struct{} { return m.updated }

func (m *memory) settle(r evidence.Ranges, fn func(seq uint64)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		if r.Contains(e.JID, e.JSeq) {
			fn(e.JSeq)
		}
	}
	notify(m.updated)
}

// unacked returns how many entries are not acknowledged.
func (m *memory) unacked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries) - len(m.acked)
}

// replies spreads answers over journals and notes definitions asked for.
type replies struct {
	journals []*memory
	mu       sync.Mutex
	defined  []evidence.Hash
}

func (a *replies) Ack(r evidence.Ranges) {
	for _, m := range a.journals {
		m.settle(r, func(seq uint64) { m.settled[seq], m.acked[seq] = true, true })
	}
}

func (a *replies) Hold(r evidence.Ranges) {
	for _, m := range a.journals {
		m.settle(r, func(seq uint64) { m.settled[seq] = true })
	}
}

func (a *replies) Replay(r evidence.Ranges) {
	for _, m := range a.journals {
		m.settle(r, func(seq uint64) { delete(m.settled, seq) })
	}
}

func (a *replies) Define(_ context.Context, h evidence.Hash) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.defined = append(a.defined, h)
	return nil
}
