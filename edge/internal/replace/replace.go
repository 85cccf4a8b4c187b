// Package replace writes small files that hold the old or the new text after a
// power cut, never half of one.
package replace

import (
	"errors"
	"os"
	"path/filepath"
)

// File replaces the file at path, mode 0600. When it returns nil the new bytes
// are durable; after an error the old ones stand.
func File(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
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
