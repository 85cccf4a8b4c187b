package seglog_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

// smallLog writes three records of different lengths and returns the bytes
// of the one segment and where each record begins and ends.
func smallLog(t testing.TB) (file []byte, records []string, starts, ends []int) {
	t.Helper()
	dir := t.TempDir()
	l, _, err := seglog.Open(seglog.Options{Dir: dir, Name: "test", FS: seglog.OS()})
	if err != nil {
		t.Fatal(err)
	}
	records = []string{"first", strings.Repeat("second ", 9), "3"}
	for _, r := range records {
		pos, err := l.Append([]byte(r))
		if err != nil {
			t.Fatal(err)
		}
		starts = append(starts, int(pos.Offset))
		ends = append(ends, int(pos.Offset)+seglog.RecordOverhead+len(r))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file, err = os.ReadFile(filepath.Join(dir, "0000000000000001.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return file, records, starts, ends
}

// openBytes opens a log whose one segment has these bytes and returns what
// Open and Scan found, which must be the same.
func openBytes(t testing.TB, file []byte) (found []string, report seglog.Report, fsys *crashfs.FS) {
	t.Helper()
	fsys = crashfs.New()
	open(t, fsys, nil).Close() // makes the directory
	f, err := fsys.Open(testDir+"/0000000000000001.seg", os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(file, 0); err != nil {
		t.Fatal(err)
	}
	l, report, err := seglog.Open(seglog.Options{Dir: testDir, Name: "test", FS: fsys, Each: func(_ seglog.Position, b []byte) {
		found = append(found, string(b))
	}})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer l.Close()
	var scanned []string
	damaged := 0
	for rec, err := range l.Scan(seglog.Position{}) {
		if de := (*seglog.DamageError)(nil); errors.As(err, &de) {
			damaged++
			continue
		}
		if err != nil {
			t.Fatalf("scan: %v", err)
		}
		scanned = append(scanned, string(rec.Data))
		again, err := l.ReadAt(rec.Position)
		if err != nil || !bytes.Equal(again, rec.Data) {
			t.Fatalf("read %s again: %q, %v", rec.Position, again, err)
		}
	}
	if diff := cmp.Diff(found, scanned); diff != "" {
		t.Fatalf("Open and Scan differ: %s", diff)
	}
	if damaged != len(report.Damage) {
		t.Fatalf("Scan met %d damages, Open reported %v", damaged, report.Damage)
	}
	if pos, err := l.Append([]byte("new")); err != nil {
		t.Fatalf("append: %v", err)
	} else if b, err := l.ReadAt(pos); err != nil || string(b) != "new" {
		t.Fatalf("read back: %q, %v", b, err)
	}
	l.Close()
	var last string
	l, _, err = seglog.Open(seglog.Options{Dir: testDir, Name: "test", FS: fsys, Each: func(_ seglog.Position, b []byte) { last = string(b) }})
	if err != nil || last != "new" {
		t.Fatalf("the record appended behind damage is not found again: %q, %v", last, err)
	}
	l.Close()
	return found, report, fsys
}

// TestFlipEveryByte damages each byte: only the record it belongs to is
// gone, the stretch is reported and its bytes are kept.
func TestFlipEveryByte(t *testing.T) {
	file, records, starts, ends := smallLog(t)
	for at := range file {
		damaged := bytes.Clone(file)
		damaged[at] ^= 0x40
		var want []string
		start, end := 0, starts[0] // the segment header
		for i, r := range records {
			if at >= starts[i] && at < ends[i] {
				start, end = starts[i], ends[i]
				continue
			}
			want = append(want, r)
		}
		found, report, fsys := openBytes(t, damaged)
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("byte %d flipped: %s", at, diff)
		}
		if len(report.Damage) != 1 {
			t.Errorf("byte %d flipped: %d damages reported: %v", at, len(report.Damage), report.Damage)
			continue
		}
		d := report.Damage[0]
		if int(d.Offset) != start || int(d.Offset+d.Length) != end || d.Reason == "" || !d.New {
			t.Errorf("byte %d flipped: reported %+v, want %d to %d", at, d, start, end)
		}
		if kept := readAll(t, fsys, d.SetAside); !bytes.Equal(kept, damaged[start:end]) {
			t.Errorf("byte %d flipped: set aside %q", at, kept)
		}
	}
}

// TestCutEveryByte cuts the file at each length: whole records are there,
// the rest is reported as a torn tail.
func TestCutEveryByte(t *testing.T) {
	file, records, starts, ends := smallLog(t)
	for size := range file {
		var want []string
		clean := 0
		if size >= starts[0] {
			clean = starts[0]
		}
		for i, r := range records {
			if size >= ends[i] {
				want, clean = append(want, r), ends[i]
			}
		}
		found, report, _ := openBytes(t, file[:size])
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("cut at %d: %s", size, diff)
		}
		switch {
		case size == clean && len(report.Damage) > 0:
			t.Errorf("cut at %d, between records: reported %v", size, report.Damage)
		case size != clean && (len(report.Damage) != 1 || !report.Damage[0].Tail || int(report.Damage[0].Offset) != clean):
			t.Errorf("cut at %d: reported %+v", size, report.Damage)
		}
	}
}

// TestDamage is a table of ways to spoil a segment that flips and cuts do not
// reach.
func TestDamage(t *testing.T) {
	file, records, starts, ends := smallLog(t)
	gap := func(from, to int, fill byte) []byte {
		b := bytes.Clone(file)
		copy(b[from:to], bytes.Repeat([]byte{fill}, to-from))
		return b
	}
	tests := map[string]struct {
		file    []byte
		want    []string
		damages int
	}{
		"empty file":                 {nil, nil, 0},
		"one zero":                   {[]byte{0}, nil, 1},
		"a page of zeros":            {make([]byte, 4096), nil, 2},
		"zeros behind":               {append(bytes.Clone(file), make([]byte, 100)...), records, 1},
		"junk behind":                {append(bytes.Clone(file), "junk"...), records, 1},
		"zeros over two":             {gap(starts[0], ends[1], 0), records[2:], 1},
		"a hole across a border":     {gap(ends[0]-2, starts[1]+2, 0xff), records[2:], 2},
		"twice itself":               {append(bytes.Clone(file), file...), records, 1},
		"a record copied behind":     {append(bytes.Clone(file), file[starts[1]:ends[1]]...), records, 1},
		"a record in another's data": {append(bytes.Clone(file[:ends[0]]), file[starts[2]:ends[2]]...), records[:1], 1},
		"four bytes inserted":        {append(append(bytes.Clone(file[:ends[0]]), "four"...), file[ends[0]:]...), records[:1], 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, report, _ := openBytes(t, test.file)
			if diff := cmp.Diff(test.want, found); diff != "" {
				t.Error(diff)
			}
			if len(report.Damage) != test.damages {
				t.Errorf("reported %v", report.Damage)
			}
		})
	}
}

// TestMisplaced opens a segment under another number and in another log: none
// of its records may pass.
func TestMisplaced(t *testing.T) {
	file, _, _, _ := smallLog(t)
	for _, test := range []struct{ segment, name string }{{"0000000000000002.seg", "test"}, {"0000000000000001.seg", "other"}} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, test.segment), file, 0o600); err != nil {
			t.Fatal(err)
		}
		l, report, err := seglog.Open(seglog.Options{Dir: dir, Name: test.name, FS: seglog.OS()})
		if err != nil {
			t.Fatal(err)
		}
		if report.Records != 0 || len(report.Damage) == 0 {
			t.Errorf("%v: %d records pass, damage %v", test, report.Records, report.Damage)
		}
		l.Close()
	}
}

// TestDamageIsSetAsideOnce opens a damaged log twice: the second time reports
// the damage and writes nothing.
func TestDamageIsSetAsideOnce(t *testing.T) {
	file, _, starts, _ := smallLog(t)
	file[starts[1]+20] ^= 1
	_, first, fsys := openBytes(t, file)
	l, second, err := seglog.Open(seglog.Options{Dir: testDir, Name: "test", FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir, err := fsys.OpenDir(testDir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := dir.List()
	if err != nil || len(files) != 3 {
		t.Errorf("files: %v, %v; want two segments and one copy", files, err)
	}
	if !first.Damage[0].New || second.Damage[0].New || second.Damage[0].SetAside != first.Damage[0].SetAside {
		t.Errorf("first %+v, second %+v", first.Damage[0], second.Damage[0])
	}
	// Removing the segment keeps the copy.
	l.Rotate()
	for _, s := range l.Segments() {
		if err := l.Remove(s.ID); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if got := readAll(t, fsys, first.Damage[0].SetAside); int64(len(got)) != first.Damage[0].Length {
		t.Errorf("the copy has %d bytes", len(got))
	}
}

// readAll returns the bytes of a file of the test directory.
func readAll(t testing.TB, fsys *crashfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(testDir+"/"+name, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// badSectors is a file system whose reads fail within one block.
type badSectors struct {
	seglog.FS
	from, to int64
}

type badFile struct {
	seglog.File
	from, to int64
}

func (f badSectors) Open(name string, flag int) (seglog.File, error) {
	file, err := f.FS.Open(name, flag)
	if err != nil || !strings.HasSuffix(name, ".seg") {
		return file, err
	}
	return badFile{file, f.from, f.to}, nil
}

func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(p)) > f.from {
		return 0, errors.New("input/output error")
	}
	return f.File.ReadAt(p, off)
}

// TestUnreadableBlock has the disk refuse one block of a segment: the records
// in the others are found.
func TestUnreadableBlock(t *testing.T) {
	dir := t.TempDir()
	opts := seglog.Options{Dir: dir, Name: "test", FS: seglog.OS()}
	l, _, err := seglog.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 100 {
		text := fmt.Sprintf("%03d %s", i, strings.Repeat("x", 980)) // 1,000 bytes on disk
		pos, err := l.Append([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if end := pos.Offset + 1000; end <= 8192 || pos.Offset >= 12288 {
			want = append(want, text)
		}
	}
	l.Close()
	var found []string
	opts.FS = badSectors{seglog.OS(), 8192, 12288}
	opts.Each = func(_ seglog.Position, b []byte) { found = append(found, string(b)) }
	l, report, err := seglog.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if len(found) < len(want)-5 || len(report.Damage) == 0 || !strings.Contains(fmt.Sprint(report.Damage), "input/output error") {
		t.Errorf("found %d of %d, damage %v", len(found), len(want), report.Damage)
	}
}

// FuzzOpen opens arbitrary bytes: no panic, no refusal, and every record of
// an intact log in front of them is found.
func FuzzOpen(f *testing.F) {
	file, records, _, _ := smallLog(f)
	f.Add([]byte("junk"))
	f.Add(file)
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, junk []byte) {
		openBytes(t, junk)
		found, _, _ := openBytes(t, append(bytes.Clone(file), junk...))
		if len(found) < len(records) {
			t.Fatalf("found %q", found)
		}
		if diff := cmp.Diff(records, found[:len(records)]); diff != "" {
			t.Fatal(diff)
		}
	})
}
