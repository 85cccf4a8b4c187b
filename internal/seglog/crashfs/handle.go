package crashfs

import (
	"io"
	"syscall"

	"yunhe/internal/seglog"
)

// handle is an open file.
type handle struct {
	fs   *FS
	file *file
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.crashed {
		return 0, ErrCrashed
	}
	if off >= int64(len(h.file.live)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.live[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes as much as there is room for.
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.crashed {
		return 0, ErrCrashed
	}
	data, err := append([]byte(nil), p...), error(nil)
	if h.fs.capacity > 0 {
		room := h.fs.capacity - h.fs.root.used() + int64(len(h.file.live)) - off
		if room < int64(len(data)) {
			data, err = data[:max(room, 0)], syscall.ENOSPC
		}
	}
	if len(data) > 0 {
		op := fileOp{offset: off, data: data}
		h.file.live = op.applyTo(h.file.live)
		h.file.pending = append(h.file.pending, op)
		h.fs.step()
	}
	return len(data), err
}

func (h *handle) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.crashed {
		return ErrCrashed
	}
	h.file.truncate(size)
	h.fs.step()
	return nil
}

func (f *file) truncate(size int64) {
	op := fileOp{offset: size}
	f.live = op.applyTo(f.live)
	f.pending = append(f.pending, op)
}

func (op fileOp) applyTo(b []byte) []byte {
	end := op.offset + int64(len(op.data))
	if op.data == nil {
		if end <= int64(len(b)) {
			return b[:end:end]
		}
		return append(b[:len(b):len(b)], make([]byte, end-int64(len(b)))...)
	}
	if end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[op.offset:], op.data)
	return b
}

func (h *handle) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.file.live)), nil
}

// Sync makes the bytes durable, not the file's name.
func (h *handle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.crashed {
		return ErrCrashed
	}
	if err, done := h.fs.syncing(func() { h.file.pending = nil }); done {
		return err
	}
	for _, op := range h.file.pending {
		h.file.durable = op.applyTo(h.file.durable)
	}
	h.file.pending = nil
	h.fs.step()
	return nil
}

func (h *handle) Close() error { return nil }

// dirHandle is an open directory.
type dirHandle struct {
	fs   *FS
	dir  *dir
	lock bool
}

func (h *dirHandle) List() ([]seglog.FileInfo, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.crashed {
		return nil, ErrCrashed
	}
	var infos []seglog.FileInfo
	for name, n := range h.dir.live {
		if f, ok := n.(*file); ok {
			infos = append(infos, seglog.FileInfo{Name: name, Size: int64(len(f.live))})
		}
	}
	return infos, nil
}

// Sync makes the names durable, not what the files hold.
func (h *dirHandle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.crashed {
		return ErrCrashed
	}
	if err, done := h.fs.syncing(func() { h.dir.pending = nil }); done {
		return err
	}
	for _, op := range h.dir.pending {
		op.applyTo(h.dir.durable)
	}
	h.dir.pending = nil
	h.fs.step()
	return nil
}

func (h *dirHandle) Lock() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.locked[h.dir] {
		return seglog.ErrLocked
	}
	h.fs.locked[h.dir], h.lock = true, true
	return nil
}

func (h *dirHandle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.lock {
		delete(h.fs.locked, h.dir)
		h.lock = false
	}
	return nil
}
