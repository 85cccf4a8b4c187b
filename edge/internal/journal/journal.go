// Package journal keeps signed entries on the gateway's disk until the
// collector has them: durable when Append returns, numbered without holes,
// bounded in size with a stated order of what goes first.
//
// A Set is all journals of a gateway under one size limit, one directory
// each. Every Open begins a new epoch in every journal: a random 53-bit jid
// whose entry 1 is the signed epoch event. A pair (jid, jseq) is signed for
// one content only: an entry that could not be written is kept in memory and
// written, byte for byte, before any other.
//
// An entry is settled when it was acked or held by the collector. Settled
// entries are kept to the retention floor all the same, so an ack, forged or
// not, destroys nothing before that; only the size limit or a full disk does.
package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

var (
	// ErrFull is wrapped by Append when neither the disk nor the size limit
	// has room. Nothing was signed: the content is the caller's to keep or to
	// declare lost.
	ErrFull = errors.New("journal is full")
	// ErrKept is wrapped by Append when the entry was signed and could not be
	// made durable. It has its number and is written before the next entry;
	// appending its content again would store it twice. It is lost only if
	// the process ends first.
	ErrKept = errors.New("entry is signed and waits in memory for the disk")
	// ErrGone is wrapped by Read for an entry that is no longer there.
	ErrGone = errors.New("entry is no longer in the journal")
)

// MinBytes is the least size limit a Set accepts, per journal.
const MinBytes = 1 << 20

// reserveBytes is the preallocated segment for loss and epoch events.
const reserveBytes = 64 << 10

// Sealer signs one entry under the number it is given. It is called once per
// number, under the lock of the Set; it must not call the Set.
type Sealer func(jid, jseq uint64, prev evidence.Hash) (evidence.Entry, error)

// Events make the entries that journals write by themselves.
type Events struct {
	// Epoch seals the first entry of an epoch. The previous numbers are zero
	// at the very first start.
	Epoch func(journal string, prevJID, prevJSeq uint64, prevHash evidence.Hash) Sealer
	// Loss seals the declaration that entries were deleted before they were
	// settled. A later declaration for the same jid includes the earlier ones
	// that were not yet acked.
	Loss func(journal string, loss evidence.Loss) Sealer
}

// Options say where the journals are and what they may take.
type Options struct {
	Dir string
	FS  seglog.FS
	// Journals are the names, in the order in which they give way when the
	// limit is reached: the last gives way last (raw, boundary).
	Journals []string
	// MaxBytes bounds all journals together, preallocated segments included.
	MaxBytes int64
	// Floor is how long settled entries are kept.
	Floor time.Duration
	// Sync is the group commit interval: it delays the return of Append and
	// loses nothing that was confirmed. 0 commits at once.
	Sync   time.Duration
	Now    func() time.Time
	Random io.Reader // crypto/rand if nil
	Logger *slog.Logger
}

// Set is the journals of one gateway. Its methods, and those of its
// journals, may be called from several goroutines.
type Set struct {
	opts     Options
	segBytes int64

	mu       sync.Mutex // guards everything below and in the journals
	journals []*Journal // in drop order
}

// Journal is one chain of entries.
type Journal struct {
	set  *Set
	name string
	log  *seglog.Log

	jid      uint64
	next     uint64 // number of the next entry
	prev     evidence.Hash
	segments []*segmentIndex
	settled  spanSet
	held     spanSet              // part of settled
	losses   map[uint64]*declared // by the jid that lost
	waiting  []*waiting           // signed, not durable, in order
	failed   error                // why waiting ones could not be written
	opened   time.Time
	expired  time.Time // when expire last ran
	dropped  uint64
	acks     ackState
	updated  chan struct{}
	// lossSealer makes loss events of this journal.
	lossSealer func(evidence.Loss) Sealer
}

// waiting is a signed entry on its way to the disk.
type waiting struct {
	ref    Ref
	record []byte
	hash   evidence.Hash
}

// Ref names an entry and what a sender wants to know before reading it.
type Ref struct {
	JID, JSeq  uint64
	Device     string
	Kind       evidence.Kind
	Historical bool
	Recorded   time.Time // when it was signed
	Bytes      int       // of the entry

	pos  seglog.Position
	size int64 // of the record on disk
}

// Report says what Open found in each journal.
type Report map[string]seglog.Report

// Open opens the journals and begins a new epoch in each. Damage is in the
// report and never a reason to fail; a full disk neither: then the first
// Append tells.
func Open(opts Options, events Events) (*Set, Report, error) {
	if err := opts.check(); err != nil {
		return nil, nil, fmt.Errorf("open journals: %w", err)
	}
	if opts.Random == nil {
		opts.Random = rand.Reader
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Set{opts: opts}
	// Small segments free room in small steps; large ones cost fewer files.
	s.segBytes = min(max(opts.MaxBytes/64, 64<<10), 1<<20)
	report := Report{}
	for _, name := range opts.Journals {
		j, r, err := s.open(name)
		if err != nil {
			s.close()
			return nil, nil, fmt.Errorf("open journal %s: %w", name, err)
		}
		s.journals = append(s.journals, j)
		report[name] = r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.journals {
		if err := j.begin(events); err != nil {
			s.close()
			return nil, nil, fmt.Errorf("begin epoch of journal %s: %w", j.name, err)
		}
	}
	return s, report, nil
}

func (o *Options) check() error {
	switch {
	case len(o.Journals) == 0:
		return errors.New("no journal is named")
	case o.MaxBytes < MinBytes*int64(len(o.Journals)):
		return fmt.Errorf("a size limit of %d bytes is too small: give at least %d for %d journals",
			o.MaxBytes, MinBytes*len(o.Journals), len(o.Journals))
	case o.Floor < 0 || o.Sync < 0:
		return errors.New("floor and sync interval cannot be negative")
	case o.Now == nil || o.FS == nil:
		return errors.New("clock or file system is missing")
	}
	return nil
}

// open reads one journal into its index.
func (s *Set) open(name string) (*Journal, seglog.Report, error) {
	j := &Journal{
		set: s, name: name, opened: s.opts.Now(),
		settled: spanSet{}, held: spanSet{}, losses: map[uint64]*declared{},
		updated: make(chan struct{}, 1),
	}
	dir := filepath.Join(s.opts.Dir, name)
	unknown := 0
	log, report, err := seglog.Open(seglog.Options{
		Dir: dir, Name: "journal/" + name, FS: s.opts.FS, SegmentBytes: s.segBytes,
		Sync: s.opts.Sync, Reserve: reserveBytes, Logger: s.opts.Logger,
		Each: func(pos seglog.Position, data []byte) {
			r, err := decodeRecord(data)
			if err != nil {
				unknown++
				return
			}
			j.restore(pos, r)
		},
	})
	if err != nil {
		return nil, seglog.Report{}, err
	}
	if unknown > 0 {
		s.opts.Logger.Warn("journal holds records this program cannot read; they are kept", "journal", name, "records", unknown)
	}
	j.log = log
	j.loadAcks(filepath.Join(dir, acksName))
	return j, report, nil
}

// begin starts the epoch: its event, then a loss event for each hole that
// damage has left.
func (j *Journal) begin(events Events) error {
	prevJID, prevJSeq, prevHash := j.jid, j.next-1, j.prev
	if j.jid == 0 {
		prevJSeq = 0
	}
	jid, err := j.newJID()
	if err != nil {
		return err
	}
	j.jid, j.next, j.prev = jid, 1, evidence.Hash{}
	j.lossSealer = func(l evidence.Loss) Sealer { return events.Loss(j.name, l) }
	if err := j.appendUrgent(events.Epoch(j.name, prevJID, prevJSeq, prevHash), nil); err != nil {
		return err
	}
	return j.declareHoles()
}

// newJID draws a jid the journal does not hold yet.
func (j *Journal) newJID() (uint64, error) {
	var b [8]byte
	for range 16 {
		if _, err := io.ReadFull(j.set.opts.Random, b[:]); err != nil {
			return 0, fmt.Errorf("draw journal id: %w", err)
		}
		jid := binary.BigEndian.Uint64(b[:]) >> 11
		if jid != 0 && !j.has(jid) {
			return jid, nil
		}
	}
	return 0, errors.New("draw journal id: the random source repeats itself")
}

// Journal returns the journal of that name, nil if the Set has none.
func (s *Set) Journal(name string) *Journal {
	for _, j := range s.journals {
		if j.name == name {
			return j
		}
	}
	return nil
}

// Close writes the acks down and gives the directories free. Entries that
// still wait for the disk are lost; the error says how many.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *Set) close() error {
	var errs []error
	for _, j := range s.journals {
		if j.failed != nil {
			if err := j.retry(); err != nil {
				errs = append(errs, fmt.Errorf("journal %s: %d signed entries could not be written: %w", j.name, len(j.waiting), err))
			}
		}
		j.saveAcks()
		errs = append(errs, j.log.Close())
	}
	return errors.Join(errs...)
}

// Name returns the journal's name.
func (j *Journal) Name() string { return j.name }

// Updated receives after entries became pending: new ones or replayed ones.
func (j *Journal) Updated() <-chan struct{} { return j.updated }

func (j *Journal) notify() {
	select {
	case j.updated <- struct{}{}:
	default:
	}
}
