// Package sqlite keeps readings in one SQLite file: the store of a single
// box and of tests. The file is described in docs/formats/series.md.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"sync"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"yunhe/internal/series"
)

// Store is a series.Store in one file. Every accepted Write is one
// transaction, on disk when Write returns (WAL, synchronous=FULL).
type Store struct {
	writer *sql.DB // one connection
	reader *sql.DB // query_only

	mu   sync.Mutex // held by Write: guards dict and orders writers
	dict *dictionary
}

var _ series.Store = (*Store)(nil)

// readers bounds the connections, and so the exports that run side by side.
const readers = 4

// Open opens the store in the file at path and makes it if it is not there.
// The folder must exist. One process at a time may write.
func Open(ctx context.Context, path string) (*Store, error) {
	writer, err := sql.Open("sqlite", source(path)+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open series file %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	dict, err := prepare(ctx, writer)
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open series file %s: %w", path, err)
	}
	reader, err := sql.Open("sqlite", source(path)+"&_pragma=query_only(1)")
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open series file %s: %w", path, err)
	}
	reader.SetMaxOpenConns(readers)
	return &Store{writer: writer, reader: reader, dict: dict}, nil
}

// source names the file and the pragmas every connection gets.
func source(path string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
}

// Close waits for running calls and closes the file.
func (s *Store) Close() error {
	rerr := s.reader.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writer.Close(); err != nil {
		return fmt.Errorf("close series file: %w", err)
	}
	if rerr != nil {
		return fmt.Errorf("close series file: %w", rerr)
	}
	return nil
}
