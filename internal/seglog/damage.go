package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Damage is a stretch of a segment that holds no intact record.
type Damage struct {
	File   string // the segment's file name
	Offset int64  // where the stretch begins, in bytes
	Length int64
	Reason string
	// Tail says that the stretch ends the last segment of the log: most
	// likely a write that a power cut or a kill broke off, which was never
	// confirmed. It cannot be told from damage to the last confirmed record.
	Tail bool
	// SetAside is the file that holds a copy of the bytes, "" if the stretch
	// is all zeros or could not be copied.
	SetAside string
	// New says that this Open has set it aside, not an earlier one.
	New bool

	zeros bool
}

// String says place and cause.
func (d Damage) String() string {
	s := fmt.Sprintf("%s: %d bytes at offset %d: %s", d.File, d.Length, d.Offset, d.Reason)
	if d.SetAside != "" {
		s += "; copied to " + d.SetAside
	}
	return s
}

// DamageError is met in the place of a damaged record.
type DamageError struct{ Damage Damage }

// Error says place and cause.
func (e *DamageError) Error() string { return "damaged: " + e.Damage.String() }

// setAside copies each damaged stretch of s to a file of its own, once. The
// segment keeps its bytes. The order is: write the copy under a temporary
// name, sync it, rename it, sync the directory.
func (l *Log) setAside(s *segment) error {
	var errs []error
	for i := range s.damage {
		d := &s.damage[i]
		if d.zeros || d.SetAside != "" {
			continue
		}
		if err := l.copyDamage(d); err != nil {
			errs = append(errs, fmt.Errorf("set aside %s at %d: %w", d.File, d.Offset, err))
			continue
		}
		if d.New {
			l.opts.Logger.Warn("damage in log set aside", "log", l.opts.Name, "file", d.File, "offset", d.Offset,
				"length", d.Length, "reason", d.Reason, "copy", d.SetAside)
		}
	}
	return errors.Join(errs...)
}

func (l *Log) copyDamage(d *Damage) error {
	src, err := l.opts.FS.Open(l.path(d.File), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Close()
	name := fmt.Sprintf("%s.%x%s", d.File, d.Offset, damagedSuffix)
	same, taken := l.sameBytes(name, src, d)
	if same {
		d.SetAside = name
		return nil
	}
	for n := 2; taken; n++ { // other damage in the same place: keep both
		name = fmt.Sprintf("%s.%x-%d%s", d.File, d.Offset, n, damagedSuffix)
		if same, taken = l.sameBytes(name, src, d); same {
			d.SetAside = name
			return nil
		}
	}
	if err := l.writeCopy(name, src, d); err != nil {
		return err
	}
	d.SetAside, d.New = name, true
	return nil
}

func (l *Log) writeCopy(name string, src io.ReaderAt, d *Damage) error {
	temp := l.path(name + tempSuffix)
	dst, err := l.opts.FS.Open(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	w := window{file: src, end: d.Offset + d.Length}
	for at := d.Offset; at < w.end && err == nil; {
		block := w.at(at, min(readBlock, w.end-at))
		_, err = dst.WriteAt(block, at-d.Offset)
		at += int64(len(block))
	}
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return errors.Join(err, l.opts.FS.Remove(temp))
	}
	if err := l.opts.FS.Rename(temp, l.path(name)); err != nil {
		return err
	}
	return l.dir.Sync()
}

// sameBytes reports whether a file of that name exists, and whether it is a
// copy of d.
func (l *Log) sameBytes(name string, src io.ReaderAt, d *Damage) (same, exists bool) {
	f, err := l.opts.FS.Open(l.path(name), os.O_RDONLY)
	if err != nil {
		return false, !errors.Is(err, os.ErrNotExist)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size != d.Length {
		return false, true
	}
	a := window{file: f, end: size}
	b := window{file: src, end: d.Offset + d.Length}
	for at := int64(0); at < size; at += readBlock {
		if !bytes.Equal(a.at(at, min(readBlock, size-at)), b.at(d.Offset+at, min(readBlock, size-at))) {
			return false, true
		}
	}
	return true, true
}
