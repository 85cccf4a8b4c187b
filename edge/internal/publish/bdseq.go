package publish

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"yunhe/internal/sparkplug"
)

// nextBdSeq returns the bdSeq of the next CONNECT and writes it down before
// it is used: one that is spent twice would let an old will end a new session.
// The very first is 0 (tck-id-topics-nbirth-bdseq-increment).
func nextBdSeq(path string) (uint64, error) {
	var next uint64
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return 0, fmt.Errorf("read bdSeq: %w", err)
	default:
		// A damaged file costs the order of two sessions, no data: begin anew.
		if last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 8); err == nil {
			next = sparkplug.NextBdSeq(last)
		}
	}
	if err := replace(path, strconv.FormatUint(next, 10)+"\n"); err != nil {
		return 0, fmt.Errorf("write bdSeq: %w", err)
	}
	return next, nil
}

// replace writes a file so that it holds the old or the new text after a
// power cut.
func replace(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
