//go:build unix

package seglog

import (
	"fmt"
	"os"
	"syscall"
)

// OS returns the file system of the machine.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) OpenDir(name string) (Dir, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osDir{f}, nil
}

func (osFS) Mkdir(name string) error              { return os.Mkdir(name, 0o700) }
func (osFS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }
func (osFS) Remove(name string) error             { return os.Remove(name) }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

type osDir struct{ f *os.File }

func (d osDir) List() ([]FileInfo, error) {
	entries, err := os.ReadDir(d.f.Name())
	if err != nil {
		return nil, err
	}
	infos := make([]FileInfo, 0, len(entries))
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if os.IsNotExist(err) {
			continue // removed between the two calls
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, FileInfo{Name: e.Name(), Size: info.Size()})
	}
	return infos, nil
}

func (d osDir) Sync() error { return d.f.Sync() }

// Lock uses flock(2) on the directory itself: no lock file is left behind,
// and the kernel drops the lock when the process ends in any way.
func (d osDir) Lock() error {
	err := syscall.Flock(int(d.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return fmt.Errorf("%s: %w", d.f.Name(), ErrLocked)
	}
	return err
}

func (d osDir) Close() error { return d.f.Close() }
