package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"yunhe/collector/internal/evidencestore"
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

func (r *memRecords) epochID(jid uint64) int64 {
	for key, e := range r.epochs {
		if key.jid == jid {
			return e.ID
		}
	}
	return 0
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
	*evidencestore.Store
	cancel func()
}

func (d dying) Append(log intake.Log, b []byte) (intake.Place, error) {
	at, err := d.Store.Append(log, b)
	if err != nil {
		d.cancel()
	}
	return at, err
}

func (d dying) Commit() error {
	err := d.Store.Commit()
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

func runUntilPowerCut(t *testing.T, fs seglog.FS, crashed func() bool) powerRun {
	t.Helper()
	r := powerRun{records: newMemRecords()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, err := evidencestore.Open(evidencestore.Options{Dir: powerDir, FS: fs, SegmentBytes: 4096})
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
	boundary := g.journal("boundary", 5000)
	flushes := [][]intake.Message{append(g.begin(), boundary.begin()...)}
	for i := range 4 {
		at := start.Add(time.Duration(i) * 10 * time.Second)
		e := g.entry(at)
		body, _ := e.Detached()
		wrong := g.message(g.session.DeviceData("meter-9", e.Content.Readings, body, false, start))
		flushes = append(flushes, []intake.Message{g.batch(at.Add(time.Second)), wrong, g.batch(at.Add(2 * time.Second)), boundary.batch(at)})
	}
	for _, ms := range flushes {
		batch := make([]*arrival, len(ms))
		for i, m := range ms {
			batch[i] = w.d.decode(job{Message: m})
		}
		if p.flush(ctx, batch) != nil || crashed() {
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
	all := runUntilPowerCut(t, whole, whole.Crashed)
	if all.acked.Len() != 16 || all.reject.Len() != 4 {
		t.Fatalf("without a power cut: acked %s, rejected %s", all.acked, all.reject)
	}
	raw := 0
	for id, numbers := range all.records.seen {
		for n, e := range numbers {
			if (e.At.Log == intake.RawLog) != (id == 1 && n > 2) {
				t.Errorf("entry %d:%d lies in log %d", e.Epoch.JID, n, e.At.Log)
			}
			raw += int(e.At.Log)
		}
	}
	if raw != 8 {
		t.Fatalf("%d entries in the raw log", raw)
	}
	total := whole.Ops()
	if total < 20 {
		t.Fatalf("only %d operations on the disk", total)
	}
	for n := 1; n <= total; n++ {
		fs := crashfs.New()
		fs.CrashAt(n)
		r := runUntilPowerCut(t, fs, fs.Crashed)
		for i, policy := range crashfs.Policies(2) {
			if err := checkAfter(fs.PowerCut(policy), r); err != nil {
				t.Errorf("operation %d of %d, policy %d: %v", n, total, i, err)
			}
		}
	}
}

func checkAfter(fs *crashfs.FS, r powerRun) error {
	log, err := evidencestore.Open(evidencestore.Options{Dir: powerDir, FS: fs, SegmentBytes: 4096})
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
			e := r.records.seen[r.records.epochID(jid)][n]
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

// unsynced is a disk that syncs no file of one directory.
type unsynced struct {
	seglog.FS
	dir string
}

func (u unsynced) Open(path string, flag int) (seglog.File, error) {
	f, err := u.FS.Open(path, flag)
	if err == nil && strings.Contains(path, u.dir) {
		f = unsyncedFile{f}
	}
	return f, err
}

type unsyncedFile struct{ seglog.File }

func (unsyncedFile) Sync() error { return nil }

// TestPowerCutNoticesAMissingSync: the test above is able to fail, for each log.
func TestPowerCutNoticesAMissingSync(t *testing.T) {
	for _, dir := range []string{"/evidence/", "/evidence-raw/", "/quarantine/"} {
		fs := crashfs.New()
		r := runUntilPowerCut(t, unsynced{fs, dir}, fs.Crashed)
		if err := checkAfter(fs.PowerCut(crashfs.Forget()), r); err == nil {
			t.Errorf("with every sync of %s ignored nothing is missed", dir)
		}
	}
}
