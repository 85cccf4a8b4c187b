// Package quarantine keeps refused messages whole, keyed by hash, within
// bounds: validly signed ones in one budget, samples of the others in another,
// so that noise pushes out no evidence. Put returns only after the message is
// on disk. docs/formats/quarantine.md has the format.
package quarantine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// segmentsPerArea is how finely the oldest is dropped.
const segmentsPerArea = 16

// Options say where the quarantine is and what it may hold. Each class has
// half of the bytes and half of the entries.
type Options struct {
	Dir        string
	FS         seglog.FS
	MaxBytes   int64
	MaxEntries int
	Logger     *slog.Logger
}

// Store is an open quarantine. Its methods may be called from several
// goroutines.
type Store struct {
	mu    sync.Mutex
	areas map[intake.Class]*area
}

// area is one class: a log and what of it still counts.
type area struct {
	class      intake.Class
	log        *seglog.Log
	logger     *slog.Logger
	maxBytes   int64
	maxEntries int
	items      map[evidence.Hash]kept
	dropped    uint64 // since start
}

type kept struct {
	at   seglog.Position
	item intake.Item // without its payload
}

// record is what stands in the log: an item, or the end of one.
type record struct {
	Item *intake.Item   `json:"item,omitempty"`
	Gone *evidence.Hash `json:"gone,omitempty"`
}

// Open opens or creates the quarantine in opts.Dir.
func Open(opts Options) (*Store, error) {
	s := &Store{areas: map[intake.Class]*area{}}
	for _, c := range []intake.Class{intake.Held, intake.Sample} {
		a, err := openArea(opts, c)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open quarantine: %w", err), s.Close())
		}
		s.areas[c] = a
	}
	return s, nil
}

func openArea(opts Options, c intake.Class) (*area, error) {
	a := &area{class: c, logger: opts.Logger, maxBytes: opts.MaxBytes / 2, maxEntries: opts.MaxEntries / 2, items: map[evidence.Hash]kept{}}
	log, report, err := seglog.Open(seglog.Options{
		Dir:          filepath.Join(opts.Dir, string(c)),
		Name:         "quarantine-" + string(c),
		FS:           opts.FS,
		SegmentBytes: a.maxBytes / segmentsPerArea,
		Each:         a.load,
		Logger:       opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	a.log = log
	if n := len(report.Damage); n > 0 {
		opts.Logger.Warn("the quarantine has damaged parts; they are set aside", "class", c, "parts", n)
	}
	return a, nil
}

// load takes up one record when the log opens.
func (a *area) load(at seglog.Position, data []byte) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		a.logger.Warn("a quarantine record cannot be read and is left out", "class", a.class, "at", at, "error", err)
		return
	}
	if r.Gone != nil {
		delete(a.items, *r.Gone)
	}
	if r.Item != nil {
		r.Item.Payload = nil
		a.items[r.Item.ID] = kept{at, *r.Item}
	}
}

// Put keeps items, which are on disk when Put returns nil: one fsync a class,
// however many there are. One whose id is already there is left as it is; fresh
// says which were not. After an error none is promised.
func (s *Store) Put(items []intake.Item) (fresh []bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh = make([]bool, len(items))
	for class, a := range s.areas {
		if err := a.put(items, class, fresh); err != nil {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
	}
	return fresh, nil
}

// put keeps those of one class.
func (a *area) put(items []intake.Item, class intake.Class, fresh []bool) error {
	written := map[evidence.Hash]kept{}
	for i := range items {
		it := items[i]
		_, there := a.items[it.ID]
		_, twice := written[it.ID]
		if it.Class != class || there || twice {
			continue
		}
		at, err := a.append(record{Item: &it})
		if err != nil {
			_ = a.log.Commit() // clears the failure for the next
			return err
		}
		it.Payload = nil
		written[it.ID], fresh[i] = kept{at, it}, true
	}
	if len(written) == 0 {
		return nil
	}
	if err := a.log.Commit(); err != nil {
		return err
	}
	maps.Copy(a.items, written)
	a.bound()
	return nil
}

// append writes a record that is durable after the next commit.
func (a *area) append(r record) (seglog.Position, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return seglog.Position{}, err
	}
	return a.log.AppendBuffered(b)
}

// bound drops the oldest segments until the area is within its budget.
func (a *area) bound() {
	for a.log.Bytes() > a.maxBytes || len(a.items) > a.maxEntries {
		segs := a.log.Segments()
		if len(segs) == 0 {
			return
		}
		if len(segs) == 1 {
			a.log.Rotate()
		}
		oldest := segs[0].ID
		if err := a.log.Remove(oldest); err != nil {
			a.logger.Warn("the oldest part of the quarantine cannot be dropped", "class", a.class, "error", err)
			return
		}
		before := len(a.items)
		for id, k := range a.items {
			if k.at.Segment == oldest {
				delete(a.items, id)
			}
		}
		n := before - len(a.items)
		a.dropped += uint64(n)
		a.logger.Warn("the quarantine is full; its oldest items are dropped", "class", a.class, "items", n)
	}
}

// List returns what is kept, oldest first, without payloads.
func (s *Store) List() []intake.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []kept
	for _, a := range s.areas {
		for _, k := range a.items {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b kept) int {
		return cmp.Or(a.item.At.Compare(b.item.At), cmp.Compare(a.item.Class, b.item.Class), a.at.Compare(b.at))
	})
	out := make([]intake.Item, len(all))
	for i, k := range all {
		out[i] = k.item
	}
	return out
}

// Get returns one item with its payload.
func (s *Store) Get(id evidence.Hash) (intake.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.areas {
		k, ok := a.items[id]
		if !ok {
			continue
		}
		b, err := a.log.ReadAt(k.at)
		if err != nil {
			return intake.Item{}, fmt.Errorf("read quarantined item %s: %w", id, err)
		}
		var r record
		if err := json.Unmarshal(b, &r); err != nil || r.Item == nil {
			return intake.Item{}, fmt.Errorf("read quarantined item %s: the record holds no item (%v)", id, err)
		}
		return *r.Item, nil
	}
	return intake.Item{}, fmt.Errorf("no item %s is in quarantine: see the list", id)
}

// Remove ends items, because they were replayed with success.
func (s *Store) Remove(id evidence.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.areas {
		if _, ok := a.items[id]; !ok {
			continue
		}
		_, err := a.append(record{Gone: &id})
		if err = errors.Join(err, a.log.Commit()); err != nil {
			return fmt.Errorf("remove quarantined item %s: %w", id, err)
		}
		delete(a.items, id)
		a.bound()
	}
	return nil
}

// Stats is what one class holds.
type Stats struct {
	Items   int
	Bytes   int64
	Dropped uint64 // since start
}

// Stats returns the figures of a class.
func (s *Store) Stats(c intake.Class) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.areas[c]
	if a == nil {
		return Stats{}
	}
	return Stats{Items: len(a.items), Bytes: a.log.Bytes(), Dropped: a.dropped}
}

// Close gives the directories free.
func (s *Store) Close() error {
	var err error
	for _, a := range s.areas {
		err = errors.Join(err, a.log.Close())
	}
	return err
}
