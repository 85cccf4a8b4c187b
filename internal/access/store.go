package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// maxPresented bounds what is hashed for a caller who may be anybody.
const maxPresented = 256

// Store answers whether a presented key is valid. It reads the file again
// whenever it has changed, so that a new or revoked key needs no restart. A
// file that cannot be read grants nothing until it is mended.
type Store struct {
	path   string
	logger *slog.Logger

	mu      sync.Mutex
	seen    os.FileInfo // the file behind entries; nil: there was none
	entries []entry
	err     error // why nothing is granted
}

// Open reads the file at path. A file that is not there is a store without
// keys; it may be made later.
func Open(path string, logger *slog.Logger) (*Store, error) {
	s := &Store{path: path, logger: logger}
	s.seen, _ = os.Stat(path)
	var err error
	if s.entries, err = load(path); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	return s, nil
}

// Check returns the key behind presented. It hashes what it was given and
// compares with every stored hash in constant time, so that its duration does
// not tell whether an id exists.
func (s *Store) Check(presented string) (Key, bool) {
	if len(presented) > maxPresented {
		return Key{}, false
	}
	entries := s.current()
	hash := sha256.Sum256([]byte(presented))
	found := -1
	for i := range entries {
		same := subtle.ConstantTimeCompare(hash[:], entries[i].hash[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 || !entries[found].Revoked.IsZero() {
		return Key{}, false
	}
	return entries[found].Key, true
}

// Lookup returns a key that is still valid by its id, for a session that was
// opened with it.
func (s *Store) Lookup(id string) (Key, bool) {
	for _, e := range s.current() {
		if e.ID == id {
			return e.Key, e.Revoked.IsZero()
		}
	}
	return Key{}, false
}

// Err says why the store grants nothing at present, nil if it works.
func (s *Store) Err() error {
	s.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// current returns the keys of the file as it is now.
func (s *Store) current() []entry {
	info, err := os.Stat(s.path)
	if err != nil {
		info = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if unchanged(s.seen, info) {
		return s.entries
	}
	// info was taken before reading: a change in between is seen next time.
	s.seen = info
	s.entries, s.err = load(s.path)
	if s.err != nil {
		s.logger.Error("key file refused, no key is valid until it is mended", "file", s.path, "err", s.err)
		return nil
	}
	s.logger.Info("key file read", "file", s.path, "keys", len(s.entries))
	return s.entries
}

func unchanged(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
