package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// mkdirAll creates dir and its missing parents; each new name is durable.
func mkdirAll(fsys FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err == nil {
		return d.Close()
	}
	parent := filepath.Dir(dir)
	if !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err
	}
	if err := mkdirAll(fsys, parent); err != nil {
		return err
	}
	if err := fsys.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	p, err := fsys.OpenDir(parent)
	if err != nil {
		return err
	}
	return errors.Join(p.Sync(), p.Close())
}

// load finds the segments, checks them, sets damage aside and chooses where
// to go on.
func (l *Log) load() (Report, error) {
	files, err := l.dir.List()
	if err != nil {
		return Report{}, fmt.Errorf("list: %w", err)
	}
	for _, f := range files {
		if id, ok := parseSegmentName(f.Name); ok {
			l.segments = append(l.segments, &segment{id: id, size: f.Size, end: f.Size})
		}
	}
	slices.SortFunc(l.segments, func(a, b *segment) int { return cmp.Compare(a.id, b.id) })
	l.tail = Position{Segment: 1}
	var report Report
	for i, s := range l.segments {
		last := i == len(l.segments)-1
		if s.id >= l.opts.CheckFrom || last {
			l.inspect(s, last, &report)
		}
		report.Segments++
		report.Bytes += s.size
	}
	l.ensureReserve(files)
	return report, nil
}

// settle makes durable what a killed process wrote to a segment and did not
// sync: it has been read, and what was read once must stay. After a failed
// fsync the next one may lie, so a segment for which it reports false is not
// written on.
func (l *Log) settle(s *segment) bool {
	file, err := l.opts.FS.Open(l.path(segmentName(s.id)), os.O_RDWR)
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err == nil {
		err = l.dir.Sync()
	}
	if err != nil {
		l.opts.Logger.Error("sync segment left by the last run", "log", l.opts.Name, "segment", segmentName(s.id), "error", err)
	}
	return err == nil
}

// inspect checks one segment. The last one is written on if it is whole and
// durable; else a fresh one begins, so that nothing is ever cut off.
func (l *Log) inspect(s *segment, last bool, report *Report) {
	flags := uint16(0)
	err := l.check(s, func(pos Position, data []byte, f uint16) {
		flags = f
		report.Records++
		if l.opts.Each != nil {
			l.opts.Each(pos, data)
		}
	})
	if err != nil {
		s.damage = append(s.damage, Damage{File: segmentName(s.id), Length: s.size, Reason: fmt.Sprintf("cannot be read: %v", err)})
	}
	durable := true // all but these were synced before the next was created
	if last || flags&flagPreallocated != 0 {
		durable = l.settle(s)
	}
	if err := l.setAside(s); err != nil {
		l.opts.Logger.Error("set damage aside", "log", l.opts.Name, "segment", segmentName(s.id), "error", err)
	}
	if last {
		l.tail = Position{Segment: s.id + 1}
		if durable && len(s.damage) == 0 && s.end > segmentHeaderSize && s.end == s.size && flags&flagPreallocated == 0 {
			l.tail = Position{Segment: s.id, Offset: s.end}
		}
		for i := range s.damage {
			d := &s.damage[i]
			d.Tail = d.Offset+d.Length == s.size
		}
	}
	report.Damage = append(report.Damage, s.damage...)
}

// check reads a segment whole, calls each for every intact record, and notes
// the damage.
func (l *Log) check(s *segment, each func(Position, []byte, uint16)) error {
	s.damage = nil
	if s.size == 0 {
		s.checked = true // created, and the power went: nothing was in it
		return nil
	}
	name := segmentName(s.id)
	file, err := l.opts.FS.Open(l.path(name), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	sc := newScanner(newFrame(l.opts.Name, s.id), file, s.size)
	flags, bad := sc.header()
	if bad != nil {
		s.damage = append(s.damage, Damage{File: name, Offset: bad.offset, Length: bad.length, Reason: bad.reason, zeros: sc.zeros(bad.offset, bad.length)})
	}
	for f, ok := sc.next(); ok; f, ok = sc.next() {
		if f.data != nil {
			if each != nil {
				each(Position{s.id, f.offset}, f.data, flags)
			}
			continue
		}
		zeros := sc.zeros(f.offset, f.length)
		if zeros && flags&flagPreallocated != 0 && sc.offset == s.size {
			l.mu.Lock()
			s.end = f.offset
			l.mu.Unlock()
			break
		}
		s.damage = append(s.damage, Damage{File: name, Offset: f.offset, Length: f.length, Reason: f.reason, zeros: zeros})
	}
	s.checked = true
	return nil
}
