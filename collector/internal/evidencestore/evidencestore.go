// Package evidencestore keeps the signed bytes of entries, in two logs. What
// statements rest on (boundary batches, and the definitions, events and records
// that explain them) is never deleted; raw batches, which are most of the
// volume, lie apart and can be deleted by the segment.
package evidencestore

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"

	"yunhe/collector/internal/intake"
	"yunhe/internal/seglog"
)

// Segment sizes. Raw ones are small, because they are deleted whole.
const (
	keptSegment = 64 << 20
	rawSegment  = 16 << 20
)

// Options say where the store is.
type Options struct {
	Dir          string // of the collector's state
	FS           seglog.FS
	SegmentBytes int64 // 0: the usual sizes
	Logger       *slog.Logger
}

// Store is an open evidence store.
type Store struct{ logs [2]*seglog.Log }

// Open opens or creates the logs. The directories are locked, which makes the
// whole state one process's. Damage is set aside and logged.
func Open(o Options) (*Store, error) {
	s := &Store{}
	for log, name := range []string{intake.KeptLog: "evidence", intake.RawLog: "evidence-raw"} {
		size := o.SegmentBytes
		if size == 0 {
			size = [2]int64{intake.KeptLog: keptSegment, intake.RawLog: rawSegment}[log]
		}
		l, _, err := seglog.Open(seglog.Options{
			Dir: filepath.Join(o.Dir, name), Name: name, FS: o.FS,
			SegmentBytes: size, CheckFrom: math.MaxUint64, Logger: o.Logger,
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open evidence store: %w", err), s.Close())
		}
		s.logs[log] = l
	}
	return s, nil
}

// Append gives data its place in a log; it is on disk once Commit has returned
// nil, not before.
func (s *Store) Append(log intake.Log, data []byte) (intake.Place, error) {
	at, err := s.logs[log].AppendBuffered(data)
	return intake.Place{Log: log, Position: at}, err
}

// Commit puts on disk what was appended to both logs since the last Commit: one
// fsync for each that got something. After an error nothing is promised of
// either.
func (s *Store) Commit() error {
	var err error
	for _, l := range s.logs {
		err = errors.Join(err, l.Commit())
	}
	return err
}

// ReadAt returns what was appended at a place.
func (s *Store) ReadAt(at intake.Place) ([]byte, error) {
	b, err := s.logs[at.Log].ReadAt(at.Position)
	if at.Log == intake.RawLog && errors.Is(err, seglog.ErrNotFound) {
		return nil, fmt.Errorf("raw evidence is deleted after its retention: %w", err)
	}
	return b, err
}

// RemoveRaw deletes a segment of the raw log for good and reports whether it is
// gone. The newest one stays: it is written to, and its number keeps those of
// later ones growing, so that a place never comes to name another entry.
func (s *Store) RemoveRaw(segment uint64) (gone bool, err error) {
	raw := s.logs[intake.RawLog]
	if segs := raw.Segments(); len(segs) == 0 || segs[len(segs)-1].ID <= segment {
		return false, nil
	}
	err = raw.Remove(segment)
	switch {
	case errors.Is(err, seglog.ErrNotFound):
		return true, nil // deleted before the power went
	case err != nil:
		return false, fmt.Errorf("delete raw evidence: %w", err)
	}
	return true, nil
}

// Bytes returns the size of a log.
func (s *Store) Bytes(log intake.Log) int64 { return s.logs[log].Bytes() }

// Close gives the directories free.
func (s *Store) Close() error {
	var err error
	for _, l := range s.logs {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}
