package journal

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// BenchmarkAppend writes and syncs on the machine's disk, from one poll and
// from 20 at once. file-B/op is what the entry takes in the segments;
// block-B/op is what the kernel hands to the block device for it, file
// system journal included; it means something if nothing else writes to that
// device (TMPDIR on a file system of its own).
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{300, 1000} {
		for _, polls := range []int{1, 20} {
			b.Run(fmt.Sprintf("%dB/%d-polls", size, polls), func(b *testing.B) { benchmarkAppend(b, size, polls, 0) })
		}
		b.Run(fmt.Sprintf("%dB/20-polls-gathered", size), func(b *testing.B) { benchmarkAppend(b, size, 20, 20*time.Millisecond) })
	}
}

func benchmarkAppend(b *testing.B, size, polls int, gather time.Duration) {
	w := newWorld(b)
	opts := w.options()
	opts.FS, opts.Dir, opts.MaxBytes, opts.Now = seglog.OS(), b.TempDir(), 256<<20, time.Now
	opts.Sync = gather
	content := []byte(strings.Repeat("x", size))
	seal := func(jid, jseq uint64, prev evidence.Hash) (evidence.Entry, error) {
		return evidence.Entry{Content: evidence.Content{Kind: evidence.KindBatch, JID: jid, JSeq: jseq, Recorded: w.now}, Bytes: content}, nil
	}
	s, _, err := Open(opts, w.events())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	j := s.Journal("raw")
	before, blocks := j.Stats().Bytes, blockBytes(opts.Dir)
	b.ResetTimer()
	var wg sync.WaitGroup
	for p := range polls {
		wg.Go(func() {
			for i := p; i < b.N; i += polls {
				if _, err := j.Append("meter-1", false, seal); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(j.Stats().Bytes-before)/float64(b.N), "file-B/op")
	if after := blockBytes(opts.Dir); after > blocks {
		b.ReportMetric(float64(after-blocks)/float64(b.N), "block-B/op")
	}
}

// blockBytes returns what the device that holds dir has been given to write
// since boot, 0 if that cannot be known.
func blockBytes(dir string) int64 {
	var st syscall.Stat_t
	stats, err := os.ReadFile("/proc/diskstats")
	if err != nil || syscall.Stat(dir, &st) != nil {
		return 0
	}
	for line := range strings.Lines(string(stats)) {
		var major, minor, reads, merged, sectors, ms, writes, wmerged, written uint64
		var name string
		_, err := fmt.Sscan(line, &major, &minor, &name, &reads, &merged, &sectors, &ms, &writes, &wmerged, &written)
		if err == nil && major == uint64(st.Dev)>>8&0xfff && minor == uint64(st.Dev)&0xff {
			return int64(written) * 512
		}
	}
	return 0
}

// BenchmarkOpen opens a day's backlog: 100,000 entries.
func BenchmarkOpen(b *testing.B) {
	w := newWorld(b)
	w.max = 512 << 20
	s := w.open()
	for range 100_000 {
		w.append(s.Journal("raw"), strings.Repeat("x", 500))
	}
	s.Close()
	b.ReportAllocs()
	for b.Loop() {
		s := w.open()
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}
