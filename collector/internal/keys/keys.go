// Package keys keeps the enrolment file: which key may sign for which gateway
// of which site. The file is written by machine alone, whole and atomically,
// and a running collector takes changes up without a restart.
package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
)

// Book answers who a key belongs to. Lookups take no lock.
type Book struct {
	path    string
	log     *slog.Logger
	current atomic.Pointer[snapshot]
}

type snapshot struct {
	stamp   stamp
	keys    map[evidence.KeyID]intake.Key
	signing map[intake.Gateway][]string // fingerprints not revoked
	known   map[intake.Gateway]bool     // ever enrolled
}

// stamp tells one version of the file from another.
type stamp struct {
	modified time.Time
	size     int64
	inode    uint64
}

// OpenBook reads the file at path; a missing file holds no key.
func OpenBook(path string, log *slog.Logger) (*Book, error) {
	b := &Book{path: path, log: log}
	if err := b.reload(); err != nil {
		return nil, err
	}
	return b, nil
}

// Lookup returns the enrolment of a key. Of several the one not revoked
// counts, else the newest.
func (b *Book) Lookup(id evidence.KeyID) (intake.Key, bool) {
	k, ok := b.current.Load().keys[id]
	return k, ok
}

// Enrolled reports whether a key was ever enrolled for the gateway: nothing it
// sends is then stored without evidence.
func (b *Book) Enrolled(g intake.Gateway) bool { return b.current.Load().known[g] }

// Fingerprints returns the keys that may sign for the gateway now.
func (b *Book) Fingerprints(g intake.Gateway) []string { return b.current.Load().signing[g] }

// Run takes up changes of the file until ctx ends. A file that cannot be read
// leaves the last good one in force.
func (b *Book) Run(ctx context.Context, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		err := b.reload()
		switch {
		case err == nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			b.log.Warn("the enrolment file cannot be read; the last good one stays in force", "error", err)
		}
	}
}

// reload reads the file if it changed.
func (b *Book) reload() error {
	at, err := stampOf(b.path)
	if err != nil {
		return err
	}
	old := b.current.Load()
	if old != nil && old.stamp == at {
		return nil
	}
	list, err := Load(b.path)
	if err != nil {
		return err
	}
	s, err := index(list)
	if err != nil {
		return fmt.Errorf("read %s: %w", b.path, err)
	}
	s.stamp = at
	b.current.Store(s)
	if old != nil {
		b.log.Info("enrolled keys reloaded", "keys", len(list))
	}
	return nil
}

func index(list []Enrolment) (*snapshot, error) {
	s := &snapshot{
		keys:    make(map[evidence.KeyID]intake.Key, len(list)),
		signing: map[intake.Gateway][]string{},
		known:   map[intake.Gateway]bool{},
	}
	for _, e := range list {
		public, err := evidence.ParsePublicKey(e.Key)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", e.Fingerprint, err)
		}
		of := intake.Gateway{Site: e.Site, Gateway: e.Gateway}
		s.known[of] = true
		k := intake.Key{Public: public, Of: of, From: e.From, Revoked: e.revoked(), CompromisedSince: e.compromised()}
		if k.Revoked.IsZero() {
			s.signing[of] = append(s.signing[of], public.Fingerprint())
		}
		old, twice := s.keys[public.ID()]
		if !twice || !old.Revoked.IsZero() && (k.Revoked.IsZero() || k.From.After(old.From)) {
			s.keys[public.ID()] = k
		}
	}
	return s, nil
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, fmt.Errorf("read enrolled keys: %w", err)
	}
	return stamp{info.ModTime(), info.Size(), inode(info)}, nil
}
