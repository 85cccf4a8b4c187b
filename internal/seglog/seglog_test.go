package seglog_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

func open(t testing.TB, fsys seglog.FS, change func(*seglog.Options)) *seglog.Log {
	t.Helper()
	opts := seglog.Options{Dir: testDir, Name: "test", FS: fsys}
	if change != nil {
		change(&opts)
	}
	l, _, err := seglog.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func contents(t testing.TB, l *seglog.Log) (found []string) {
	t.Helper()
	for rec, err := range l.Scan(seglog.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, string(rec.Data))
	}
	return found
}

// TestGroupCommit appends at several moments: all return together once the
// interval of the first has passed, with one sync between them.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 100 * time.Millisecond
		fsys := crashfs.New()
		l := open(t, fsys, func(o *seglog.Options) { o.Sync = interval })
		if _, err := l.Append([]byte("creates the segment")); err != nil {
			t.Fatal(err)
		}
		fsys.CrashAt(0) // counts from here
		start := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var took []time.Duration
		for i := range 5 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				if _, err := l.Append(fmt.Appendf(nil, "record %d", i)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			})
		}
		time.Sleep(interval - time.Millisecond)
		synctest.Wait()
		mu.Lock()
		if len(took) > 0 {
			t.Errorf("%d appends returned before the commit", len(took))
		}
		mu.Unlock()
		if n := len(contents(t, l)); n != 1 {
			t.Errorf("%d records are readable before the commit, want 1", n)
		}
		wg.Wait()
		for _, d := range took {
			if d != interval {
				t.Errorf("an append returned after %s, want %s", d, interval)
			}
		}
		if n := fsys.Ops(); n != 2 {
			t.Errorf("%d operations, want one write and one sync", n)
		}
	})
}

// TestCloseEndsGroup closes the log while an append gathers: it returns
// durable, not at the end of the interval.
func TestCloseEndsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, crashfs.New(), func(o *seglog.Options) { o.Sync = time.Hour })
		start := time.Now()
		done := make(chan error)
		go func() {
			_, err := l.Append([]byte("last words"))
			done <- err
		}()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil || time.Since(start) != 0 {
			t.Errorf("append returned %v after %s", err, time.Since(start))
		}
		if _, err := l.Append([]byte("too late")); !errors.Is(err, seglog.ErrClosed) {
			t.Errorf("append after close: %v", err)
		}
	})
}

// TestManyAppendsOneSync is the collector's way.
func TestManyAppendsOneSync(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, nil)
	if _, err := l.Append([]byte("creates the segment")); err != nil {
		t.Fatal(err)
	}
	fsys.CrashAt(0)
	for i := range 1000 {
		if _, err := l.AppendBuffered(fmt.Appendf(nil, "record %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(contents(t, l)); n != 1 {
		t.Errorf("%d records are readable before Commit", n)
	}
	if err := l.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := len(contents(t, l)); n != 1001 || fsys.Ops() != 2 {
		t.Errorf("%d records after %d operations", n, fsys.Ops())
	}
}

// TestCommitHearsOfFailure lets another's append carry buffered records to a
// failing disk: Commit must not say that all is well.
func TestCommitHearsOfFailure(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, nil)
	if _, err := l.AppendBuffered([]byte("buffered")); err != nil {
		t.Fatal(err)
	}
	fsys.FailSync(1)
	if _, err := l.Append([]byte("carrier")); !errors.Is(err, syscall.EIO) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Append([]byte("works again")); err != nil {
		t.Errorf("append: %v", err)
	}
	if err := l.Commit(); !errors.Is(err, syscall.EIO) {
		t.Errorf("commit: %v", err)
	}
	if err := l.Commit(); err != nil {
		t.Errorf("second commit: %v", err)
	}
}

// TestFailedSync has one fsync fail: that append says so, the next goes to a
// fresh segment, and the old one is written no more.
func TestFailedSync(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, nil)
	first, err := l.Append([]byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	fsys.FailSync(1)
	if _, err := l.Append([]byte("fails")); !errors.Is(err, syscall.EIO) {
		t.Fatalf("append over a failing sync: %v", err)
	}
	next, err := l.Append([]byte("next"))
	if err != nil || next.Segment == first.Segment {
		t.Errorf("append after a failed sync: %s, %v", next, err)
	}
	if got := contents(t, l); !slices.Equal(got, []string{"first", "next"}) {
		t.Errorf("found %q", got)
	}
}

// TestFailedSyncAtOpen has the sync of what a killed process left fail, of the
// file or of its directory: new records go to a fresh segment and survive.
func TestFailedSyncAtOpen(t *testing.T) {
	for sync, want := range []uint64{1, 2, 2} { // 0: none fails
		fsys := crashfs.New()
		l := open(t, fsys, nil)
		if _, err := l.Append([]byte("confirmed")); err != nil {
			t.Fatal(err)
		}
		fsys.CrashAt(1) // written, not synced
		l.Append([]byte("left"))
		fsys.Restart()
		fsys.FailSync(sync)
		l = open(t, fsys, nil)
		if got := contents(t, l); !slices.Equal(got, []string{"confirmed", "left"}) {
			t.Errorf("sync %d fails: found %q", sync, got)
		}
		next, err := l.Append([]byte("next"))
		if err != nil || next.Segment != want {
			t.Errorf("sync %d fails: the next record is at %s, %v, want segment %d", sync, next, err, want)
		}
		after := contents(t, open(t, fsys.PowerCut(crashfs.Forget()), nil))
		if !slices.Contains(after, "confirmed") || !slices.Contains(after, "next") {
			t.Errorf("sync %d fails: after a power cut there is %q", sync, after)
		}
	}
}

// slowSync lets a test act while a sync is under way, which then fails.
type slowSync struct {
	seglog.FS
	during func()
}

type slowFile struct {
	seglog.File
	fs *slowSync
}

func (f *slowSync) Open(name string, flag int) (seglog.File, error) {
	file, err := f.FS.Open(name, flag)
	return slowFile{file, f}, err
}

func (f slowFile) Sync() error {
	if during := f.fs.during; during != nil {
		f.fs.during = nil
		during()
		return syscall.EIO
	}
	return f.File.Sync()
}

// TestBehindAFailure appends while the commit before is under way and fails:
// the second stands on the first's place and must fail too.
func TestBehindAFailure(t *testing.T) {
	fsys := &slowSync{FS: crashfs.New()}
	l := open(t, fsys, nil)
	if _, err := l.Append([]byte("first")); err != nil {
		t.Fatal(err)
	}
	var second seglog.Ticket
	fsys.during = func() {
		var err error
		if _, second, err = l.Enqueue([]byte("behind")); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Append([]byte("fails")); !errors.Is(err, syscall.EIO) {
		t.Errorf("append: %v", err)
	}
	if err := second.Wait(); !errors.Is(err, syscall.EIO) {
		t.Errorf("the append behind it: %v", err)
	}
	if _, err := l.Append([]byte("next")); err != nil {
		t.Error(err)
	}
	if got := contents(t, l); !slices.Equal(got, []string{"first", "next"}) {
		t.Errorf("found %q", got)
	}
}

// TestReserveIsFresh has a power cut undo the renaming of a used reserve: its
// old words do not come back when it is used again.
func TestReserveIsFresh(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, func(o *seglog.Options) { o.Reserve = 4096 })
	if _, err := l.Append([]byte("first")); err != nil {
		t.Fatal(err)
	}
	fsys.CrashAt(3) // renamed, written, synced; not yet the directory
	l.AppendReserved([][]byte{[]byte("not confirmed 1"), []byte("not confirmed 2")})
	after := fsys.PowerCut(crashfs.BytesOnly())
	l = open(t, after, func(o *seglog.Options) { o.Reserve = 4096 })
	if _, err := l.AppendReserved([][]byte{[]byte("confirmed, long")}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = open(t, after, func(o *seglog.Options) { o.Reserve = 4096 })
	if got := contents(t, l); !slices.Equal(got, []string{"first", "confirmed, long"}) {
		t.Errorf("found %q", got)
	}
}

// TestEnqueueWaitsForReset: nothing may overtake a record that failed.
func TestEnqueueWaitsForReset(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, nil)
	fsys.FailSync(1)
	_, ticket, err := l.Enqueue([]byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if err := ticket.Wait(); err == nil {
		t.Fatal("no error")
	}
	if _, _, err := l.Enqueue([]byte("two")); !errors.Is(err, syscall.EIO) {
		t.Errorf("enqueue after a failure: %v", err)
	}
	l.Reset()
	if _, _, err := l.Enqueue([]byte("one")); err != nil {
		t.Error(err)
	}
}

// TestDiskFull fills the disk: an append says ENOSPC, the reserve still takes
// its words, and with room it goes on in the same segment.
func TestDiskFull(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, func(o *seglog.Options) { o.Reserve = 4096 })
	if _, err := l.Append([]byte("first")); err != nil {
		t.Fatal(err)
	}
	fsys.SetCapacity(fsys.Used() + 10)
	if _, err := l.Append([]byte("no room for this")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("append on a full disk: %v", err)
	}
	if _, err := l.AppendReserved([][]byte{[]byte("loss 1"), []byte("loss 2")}); err != nil {
		t.Errorf("reserve: %v", err)
	}
	if _, err := l.AppendReserved([][]byte{[]byte(strings.Repeat("x", 5000))}); err == nil {
		t.Error("the reserve took more than it holds")
	}
	fsys.SetCapacity(0)
	if _, err := l.Append([]byte("room")); err != nil {
		t.Errorf("append with room again: %v", err)
	}
	if got := contents(t, l); !slices.Equal(got, []string{"first", "loss 1", "loss 2", "room"}) {
		t.Errorf("found %q", got)
	}
	if _, err := l.AppendReserved([][]byte{[]byte("loss 3")}); err != nil {
		t.Errorf("reserve: %v", err)
	}
	if got := contents(t, l); got[len(got)-1] != "loss 3" {
		t.Errorf("found %q: what came last is not last", got)
	}
	l.Close()
	l = open(t, fsys, func(o *seglog.Options) { o.Reserve = 4096 })
	if got := contents(t, l); len(got) != 5 {
		t.Errorf("found %q after a restart", got)
	}
}

// TestLock opens a log twice, on the real file system.
func TestLock(t *testing.T) {
	opts := seglog.Options{Dir: t.TempDir(), Name: "test", FS: seglog.OS()}
	l, _, err := seglog.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := seglog.Open(opts); !errors.Is(err, seglog.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	l.Close()
	if l, _, err = seglog.Open(opts); err != nil {
		t.Fatalf("open after close: %v", err)
	}
	l.Close()
}

// TestRemove refuses the active segment and removes others for good.
func TestRemove(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, nil)
	pos, err := l.Append([]byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(pos.Segment); !errors.Is(err, seglog.ErrActive) {
		t.Errorf("remove the active segment: %v", err)
	}
	l.Rotate()
	if err := l.Remove(pos.Segment); err != nil {
		t.Error(err)
	}
	if err := l.Remove(pos.Segment); !errors.Is(err, seglog.ErrNotFound) {
		t.Errorf("remove twice: %v", err)
	}
	if _, err := l.ReadAt(pos); !errors.Is(err, seglog.ErrNotFound) {
		t.Errorf("read what was removed: %v", err)
	}
	if _, err := l.Append([]byte("two")); err != nil {
		t.Error(err)
	}
}

// TestConcurrent appends from many goroutines over small segments.
func TestConcurrent(t *testing.T) {
	l := open(t, crashfs.New(), func(o *seglog.Options) { o.SegmentBytes = 500 })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				text := fmt.Sprintf("%d/%d", g, i)
				pos, err := l.Append([]byte(text))
				if err != nil {
					t.Error(err)
					return
				}
				if b, err := l.ReadAt(pos); err != nil || string(b) != text {
					t.Errorf("read %s: %q, %v", pos, b, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(contents(t, l)); n != 400 {
		t.Errorf("%d records", n)
	}
}

// BenchmarkAppend writes and syncs on the machine's disk.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{200, 1000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			l, _, err := seglog.Open(seglog.Options{Dir: b.TempDir(), Name: "bench", FS: seglog.OS()})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			data := make([]byte, size)
			for b.Loop() {
				if _, err := l.Append(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(l.Bytes())/float64(b.N), "file-B/op")
		})
	}
}

// BenchmarkAppendMany is a store flush of the collector: 1,000 records, one
// sync.
func BenchmarkAppendMany(b *testing.B) {
	l, _, err := seglog.Open(seglog.Options{Dir: b.TempDir(), Name: "bench", FS: seglog.OS(), SegmentBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	data := make([]byte, 1000)
	b.SetBytes(1000 * 1000)
	for b.Loop() {
		for range 1000 {
			if _, err := l.AppendBuffered(data); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCheckFrom opens without reading the older segments: damage in them is
// met when they are read, and set aside before they are removed.
func TestCheckFrom(t *testing.T) {
	fsys := crashfs.New()
	l := open(t, fsys, nil)
	old, err := l.Append([]byte("an old record"))
	if err != nil {
		t.Fatal(err)
	}
	l.Rotate()
	if _, err := l.Append([]byte("new")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	name := filepath.Join(testDir, fmt.Sprintf("%016x.seg", old.Segment))
	f, err := fsys.Open(name, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, old.Offset+20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	var each []string
	l = open(t, fsys, func(o *seglog.Options) {
		o.CheckFrom = math.MaxUint64
		o.Each = func(_ seglog.Position, data []byte) { each = append(each, string(data)) }
	})
	if !slices.Equal(each, []string{"new"}) {
		t.Errorf("open has read %q, want the last segment alone", each)
	}
	var damage *seglog.DamageError
	if _, err := l.ReadAt(old); !errors.As(err, &damage) {
		t.Errorf("a damaged record reads as %v", err)
	}
	if err := l.Remove(old.Segment); err != nil {
		t.Fatal(err)
	}
	dir, err := fsys.OpenDir(testDir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := dir.List()
	if err != nil || !slices.ContainsFunc(files, func(f seglog.FileInfo) bool { return strings.HasSuffix(f.Name, ".damaged") }) {
		t.Errorf("no copy of the damage is left: %v, %v", files, err)
	}
}
