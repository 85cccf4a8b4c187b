package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// watchEvery is how soon a changed password file takes effect.
const watchEvery = 2 * time.Second

// PasswordFile is a password file that is read again when it changes. A file
// that cannot be read leaves the last good one in force.
type PasswordFile struct {
	path    string
	logger  *slog.Logger
	current atomic.Pointer[Passwords]
	stamp   string
}

// OpenPasswords reads the file at path; Run follows its changes.
func OpenPasswords(path string, logger *slog.Logger) (*PasswordFile, error) {
	f := &PasswordFile{path: path, logger: logger}
	return f, f.read()
}

// Secret returns the secret of an account.
func (f *PasswordFile) Secret(name string) (Secret, bool) {
	s, ok := (*f.current.Load())[name]
	return s, ok
}

// Run follows the file until ctx ends.
func (f *PasswordFile) Run(ctx context.Context) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if f.stamp == stampOf(f.path) {
			continue
		}
		if err := f.read(); err != nil {
			f.logger.Warn("password file cannot be read; the accounts stay as they were", "err", err)
			continue
		}
		f.logger.Info("accounts read again", "file", f.path)
	}
}

func (f *PasswordFile) read() error {
	f.stamp = stampOf(f.path)
	p, err := ReadPasswords(f.path)
	if err != nil {
		return err
	}
	f.current.Store(&p)
	return nil
}

// stampOf tells one version of a file from another.
func stampOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}
