package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/collector/internal/quarantine"
	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
	"yunhe/internal/sparkplug"
)

// memRecords are records in memory that count as durable once Commit returns.
type memRecords struct {
	epochs map[epochKey]*intake.Epoch
	seen   map[int64]map[uint64]intake.Entry
	defs   map[evidence.Hash][]byte
}

func newMemRecords() *memRecords {
	return &memRecords{map[epochKey]*intake.Epoch{}, map[int64]map[uint64]intake.Entry{}, map[evidence.Hash][]byte{}}
}

func (r *memRecords) Commit(_ context.Context, f *intake.Flush) error {
	for _, e := range f.Entries {
		if e.Epoch.ID == 0 {
			e.Epoch.ID = int64(len(r.epochs) + 1)
			r.epochs[epochKey{e.Epoch.Of, e.Epoch.JID}] = e.Epoch
			r.seen[e.Epoch.ID] = map[uint64]intake.Entry{}
		}
		if _, twice := r.seen[e.Epoch.ID][e.JSeq]; twice {
			return fmt.Errorf("entry %d:%d is stored twice", e.Epoch.JID, e.JSeq)
		}
		r.seen[e.Epoch.ID][e.JSeq] = e
	}
	for _, d := range f.Definitions {
		r.defs[d.Hash] = d.Data
	}
	return nil
}

func (r *memRecords) Epoch(_ context.Context, of intake.Gateway, jid uint64) (*intake.Epoch, error) {
	if e := r.epochs[epochKey{of, jid}]; e != nil {
		return e, nil
	}
	return &intake.Epoch{Of: of, JID: jid}, nil
}

func (r *memRecords) SeenHash(_ context.Context, id int64, jseq uint64) (evidence.Hash, bool, error) {
	e, ok := r.seen[id][jseq]
	return e.Hash, ok, nil
}

func (r *memRecords) Definition(_ context.Context, h evidence.Hash) ([]byte, bool, error) {
	d, ok := r.defs[h]
	return d, ok, nil
}

func (r *memRecords) Anchor(context.Context, intake.Gateway, [16]byte) (a intake.Anchor, ok bool, err error) {
	return a, false, nil
}
func (r *memRecords) Untimed(context.Context, int) ([]intake.Retime, error) { return nil, nil }
func (r *memRecords) Successor(context.Context, intake.Gateway, uint64, uint64) (uint64, error) {
	return 0, nil
}

// dying is an evidence store whose first failure ends the context: the power
// is gone, nobody tries again.
type dying struct {
	*seglog.Log
	cancel func()
}

func (d dying) AppendBuffered(b []byte) (seglog.Position, error) {
	at, err := d.Log.AppendBuffered(b)
	if err != nil {
		d.cancel()
	}
	return at, err
}

func (d dying) Commit() error {
	err := d.Log.Commit()
	if err != nil {
		d.cancel()
	}
	return err
}

// powerRun sends a gateway's life through a pipeline until it is done or the
// power goes, and returns what was answered.
type powerRun struct {
	records       *memRecords
	acked, reject evidence.Ranges
}

const powerDir = "/state"

func runUntilPowerCut(t *testing.T, fs *crashfs.FS) powerRun {
	t.Helper()
	r := powerRun{records: newMemRecords()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, _, err := seglog.Open(seglog.Options{Dir: powerDir + "/evidence", Name: "evidence", FS: fs, SegmentBytes: 4096})
	if err != nil {
		return r
	}
	defer log.Close()
	kept, err := quarantine.Open(quarantine.Options{Dir: powerDir + "/quarantine", FS: fs, MaxBytes: 8 << 20, MaxEntries: 1000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return r
	}
	defer kept.Close()
	w := &world{t: t, now: start, keys: book{}, series: newFakeSeries()}
	p, err := New(Config{Sites: []string{"tz"}, Entries: 500, Interval: time.Millisecond, Queue: 16, Workers: 1}, Deps{
		Keys: w.keys, Evidence: dying{log, cancel}, Series: w.series, Records: r.records, Clocks: r.records, Quarantine: kept,
		Now: func() time.Time { return start }, Logger: slog.New(slog.DiscardHandler),
		Send: func(_ string, b []byte) {
			var p sparkplug.Payload
			if err := sparkplug.Decode(b, &p); err != nil {
				t.Error(err)
			}
			c, err := sparkplug.ParseCommand(&p)
			ack, err1 := evidence.ParseRanges(c.Ack)
			reject, err2 := evidence.ParseRanges(c.Reject)
			if err := errors.Join(err, err1, err2); err != nil {
				t.Error(err)
			}
			r.acked.Union(ack)
			r.reject.Union(reject)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.p, w.d = p, newDecoder(p)
	g := w.enrolled("gw-1", 1)
	flushes := [][]intake.Message{g.begin()}
	for i := range 4 {
		at := start.Add(time.Duration(i) * 10 * time.Second)
		e := g.entry(at)
		body, _ := e.Detached()
		wrong := g.message(g.session.DeviceData("meter-9", e.Content.Readings, body, false, start))
		flushes = append(flushes, []intake.Message{g.batch(at.Add(time.Second)), wrong, g.batch(at.Add(2 * time.Second))})
	}
	for _, ms := range flushes {
		batch := make([]*arrival, len(ms))
		for i, m := range ms {
			batch[i] = w.d.decode(job{Message: m})
		}
		if p.flush(ctx, batch) != nil || fs.Crashed() {
			break
		}
	}
	return r
}

// TestPowerCut: the power goes at every operation on the disk, and the disk
// keeps what it likes of what was not synced. Whatever was acknowledged is
// then in the evidence store byte for byte where the records say, and whatever
// was rejected is in quarantine.
func TestPowerCut(t *testing.T) {
	whole := crashfs.New()
	all := runUntilPowerCut(t, whole)
	if all.acked.Len() != 10 || all.reject.Len() != 4 {
		t.Fatalf("without a power cut: acked %s, rejected %s", all.acked, all.reject)
	}
	total := whole.Ops()
	if total < 20 {
		t.Fatalf("only %d operations on the disk", total)
	}
	for n := 1; n <= total; n++ {
		fs := crashfs.New()
		fs.CrashAt(n)
		r := runUntilPowerCut(t, fs)
		for i, policy := range crashfs.Policies(2) {
			if err := checkAfter(fs.PowerCut(policy), r); err != nil {
				t.Errorf("operation %d of %d, policy %d: %v", n, total, i, err)
			}
		}
	}
}

func checkAfter(fs *crashfs.FS, r powerRun) error {
	log, _, err := seglog.Open(seglog.Options{Dir: powerDir + "/evidence", Name: "evidence", FS: fs, SegmentBytes: 4096})
	if err != nil {
		return err
	}
	defer log.Close()
	kept, err := quarantine.Open(quarantine.Options{Dir: powerDir + "/quarantine", FS: fs, MaxBytes: 8 << 20, MaxEntries: 1000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer kept.Close()
	var lost error
	r.acked.Each(func(jid, lo, hi uint64) bool {
		for n := lo; n <= hi; n++ {
			e := r.records.seen[1][n]
			b, err := log.ReadAt(e.At)
			if err != nil {
				lost = errors.Join(lost, fmt.Errorf("acknowledged entry %d:%d is lost: %w", jid, n, err))
				continue
			}
			if got, err := evidence.Parse(b); err != nil || got.Hash != e.Hash {
				lost = errors.Join(lost, fmt.Errorf("acknowledged entry %d:%d is another one: %w", jid, n, err))
			}
		}
		return true
	})
	items := kept.List()
	r.reject.Each(func(jid, lo, hi uint64) bool {
		for n := lo; n <= hi; n++ {
			if !slices.ContainsFunc(items, func(it intake.Item) bool { return it.JID == jid && it.JSeq == n }) {
				lost = errors.Join(lost, fmt.Errorf("rejected entry %d:%d is not in quarantine", jid, n))
			}
		}
		return true
	})
	return lost
}

// TestPowerCutNoticesAMissingSync: the test above is able to fail.
func TestPowerCutNoticesAMissingSync(t *testing.T) {
	fs := crashfs.New()
	fs.IgnoreSync(func(string) bool { return true })
	r := runUntilPowerCut(t, fs)
	if err := checkAfter(fs.PowerCut(crashfs.Forget()), r); err == nil {
		t.Error("with every sync ignored nothing is missed")
	}
}
