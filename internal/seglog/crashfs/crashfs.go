// Package crashfs is a file system in memory that forgets at a simulated
// power cut: written bytes until File.Sync, and created, renamed and removed
// names until Dir.Sync. What it keeps of the unsynced rest is chosen by a
// Policy: nothing, all, a torn beginning, or any pages in any order.
//
// It can stop at any operation (CrashAt), run out of room (SetCapacity), fail
// a sync the way a kernel does (FailSync: the data are forgotten and the next
// sync lies), and ignore the syncs of one place in the code (IgnoreSync), to
// prove that a test notices when that sync is missing.
package crashfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"yunhe/internal/seglog"
)

// ErrCrashed is what every operation returns once the power is gone.
var ErrCrashed = errors.New("the power is gone")

// FS is the file system. Make one with New.
type FS struct {
	mu       sync.Mutex
	root     *dir
	ops      int
	crashAt  int
	crashed  bool
	failSync int
	syncs    int
	capacity int64
	ignore   func(site string) bool
	sites    map[string]bool
	locked   map[*dir]bool
}

// New returns an empty file system with a root directory.
func New() *FS {
	return &FS{root: newDir(), sites: map[string]bool{}, locked: map[*dir]bool{}}
}

// node is a file or a directory.
type node interface{ isNode() }

type dir struct {
	live    map[string]node
	durable map[string]node
	pending []dirOp
}

type dirOp struct {
	name string
	node node // nil: removed
	from string
}

type file struct {
	live    []byte
	durable []byte
	pending []fileOp
}

// fileOp is an unsynced write, or a truncation if data is nil.
type fileOp struct {
	offset int64
	data   []byte
}

func (*dir) isNode()  {}
func (*file) isNode() {}

func newDir() *dir { return &dir{live: map[string]node{}, durable: map[string]node{}} }

// CrashAt cuts the power right after the n-th changing operation from now
// on; 0 never.
func (f *FS) CrashAt(n int) { f.locking(func() { f.ops, f.crashAt = 0, n }) }

// Crashed reports whether the power is gone.
func (f *FS) Crashed() (crashed bool) { f.locking(func() { crashed = f.crashed }); return crashed }

// Ops returns how many changing operations there were since CrashAt.
func (f *FS) Ops() (n int) { f.locking(func() { n = f.ops }); return n }

// FailSync makes the n-th sync from now on fail; 0 none.
func (f *FS) FailSync(n int) { f.locking(func() { f.syncs, f.failSync = 0, n }) }

// SetCapacity bounds the bytes of all files; 0 does not.
func (f *FS) SetCapacity(bytes int64) { f.locking(func() { f.capacity = bytes }) }

// Used returns the bytes of all files.
func (f *FS) Used() (bytes int64) { f.locking(func() { bytes = f.root.used() }); return bytes }

// IgnoreSync makes syncs called from a place in the code (function:line) do
// nothing and report success.
func (f *FS) IgnoreSync(ignore func(site string) bool) { f.locking(func() { f.ignore = ignore }) }

// SyncSites returns the places that have called Sync.
func (f *FS) SyncSites() (sites []string) {
	f.locking(func() {
		for s := range f.sites {
			sites = append(sites, s)
		}
	})
	return sites
}

func (f *FS) locking(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// step counts one changing operation; the power goes after the crashAt-th.
func (f *FS) step() {
	f.ops++
	if f.ops == f.crashAt {
		f.crashed = true
	}
}

// syncing handles faults of a sync: done means that it must not be carried
// out, with what it reports.
func (f *FS) syncing(forget func()) (err error, done bool) {
	site := caller()
	f.sites[site] = true
	f.syncs++
	if f.syncs == f.failSync {
		forget()
		f.step()
		return fmt.Errorf("sync: %w", syscall.EIO), true
	}
	if f.ignore != nil && f.ignore(site) {
		f.step()
		return nil, true
	}
	return nil, false
}

// caller names the function and line outside this package that called Sync.
func caller() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		fr, more := frames.Next()
		if !strings.Contains(fr.Function, "/crashfs.") {
			return fmt.Sprintf("%s:%d", fr.Function[strings.LastIndex(fr.Function, "/")+1:], fr.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

// find walks to the directory that holds the last element of name.
func (f *FS) find(name string) (*dir, string, error) {
	d := f.root
	parts := strings.Split(strings.Trim(filepath.Clean(name), "/"), "/")
	for _, p := range parts[:len(parts)-1] {
		next, ok := d.live[p].(*dir)
		if !ok {
			return nil, "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		d = next
	}
	return d, parts[len(parts)-1], nil
}

// Open implements seglog.FS.
func (f *FS) Open(name string, flag int) (seglog.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, ErrCrashed
	}
	d, base, err := f.find(name)
	if err != nil {
		return nil, err
	}
	n, exists := d.live[base]
	switch {
	case exists && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case !exists && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case !exists:
		n = &file{}
		d.live[base] = n
		d.pending = append(d.pending, dirOp{name: base, node: n})
		f.step()
	}
	data, ok := n.(*file)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	if flag&os.O_TRUNC != 0 && len(data.live) > 0 {
		data.truncate(0)
		f.step()
	}
	return &handle{fs: f, file: data}, nil
}

// OpenDir implements seglog.FS.
func (f *FS) OpenDir(name string) (seglog.Dir, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, ErrCrashed
	}
	if strings.Trim(filepath.Clean(name), "/.") == "" {
		return &dirHandle{fs: f, dir: f.root}, nil
	}
	d, base, err := f.find(name)
	if err != nil {
		return nil, err
	}
	child, ok := d.live[base].(*dir)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &dirHandle{fs: f, dir: child}, nil
}

// Mkdir implements seglog.FS.
func (f *FS) Mkdir(name string) error {
	return f.change(name, func(d *dir, base string) error {
		if _, exists := d.live[base]; exists {
			return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
		}
		d.apply(dirOp{name: base, node: newDir()})
		return nil
	})
}

// Rename implements seglog.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.change(oldname, func(d *dir, base string) error {
		n, exists := d.live[base]
		if !exists {
			return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
		}
		d.apply(dirOp{name: filepath.Base(newname), node: n, from: base})
		return nil
	})
}

// Remove implements seglog.FS.
func (f *FS) Remove(name string) error {
	return f.change(name, func(d *dir, base string) error {
		if _, exists := d.live[base]; !exists {
			return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
		}
		d.apply(dirOp{name: base})
		return nil
	})
}

func (f *FS) change(name string, do func(*dir, string) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return ErrCrashed
	}
	d, base, err := f.find(name)
	if err == nil {
		err = do(d, base)
	}
	if err == nil {
		f.step()
	}
	return err
}

// apply changes the live names and notes the change as unsynced.
func (d *dir) apply(op dirOp) {
	op.applyTo(d.live)
	d.pending = append(d.pending, op)
}

func (op dirOp) applyTo(names map[string]node) {
	if op.from != "" {
		delete(names, op.from)
	}
	if op.node == nil {
		delete(names, op.name)
		return
	}
	names[op.name] = op.node
}

// used sums the bytes of all files below d.
func (d *dir) used() (sum int64) {
	for _, n := range d.live {
		switch n := n.(type) {
		case *dir:
			sum += n.used()
		case *file:
			sum += int64(len(n.live))
		}
	}
	return sum
}
