package edge

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"yunhe/edge/internal/journal"
	"yunhe/edge/internal/poll"
	"yunhe/edge/internal/publish/publishtest"
	"yunhe/internal/evidence"
	"yunhe/internal/profile"
	"yunhe/internal/seglog/crashfs"
)

// counting is a bus on which every register holds the number of the poll.
type counting struct{ tick *uint32 }

func (c counting) Read(_ context.Context, table profile.Table, _, count uint16) ([]byte, time.Time, error) {
	raw := make([]byte, 0, table.ByteCount(int(count)))
	for len(raw) < cap(raw) {
		raw = binary.BigEndian.AppendUint32(raw, *c.tick)
	}
	return raw, time.UnixMilli(int64(*c.tick) * 1000).UTC(), nil
}

// gateway is an agent whose journals are on a disk that loses its power, and
// what it was told to be recorded.
type gateway struct {
	t        *testing.T
	cfg      Config
	random   *rand.ChaCha8
	recorded []uint32                             // polls
	signed   map[publishtest.Number]evidence.Hash // what was ever seen under a number
	epochs   map[uint64]bool                      // of lives that are over
}

const powerDevices = 3

func newGateway(t *testing.T, dir string) *gateway {
	cfg := Config{
		Gateway: "g", Site: "s", StateDir: dir, Broker: Broker{URL: "mqtt://127.0.0.1:1"},
		Journal: Journal{MaxSize: 64 << 20, Floor: time.Hour},
		Buses:   []Bus{{ID: "a", Address: "tcp://127.0.0.1:1"}},
		Devices: []Device{{ID: "m", Profile: "eastron-sdm630", Bus: "a"}},
	}
	return &gateway{t: t, cfg: cfg, random: rand.NewChaCha8([32]byte{9}), signed: map[publishtest.Number]evidence.Hash{}, epochs: map[uint64]bool{}}
}

func (g *gateway) open(fs *crashfs.FS) (*Agent, error) {
	return Open(g.t.Context(), g.cfg, Deps{Random: g.random, files: fs})
}

// live polls on the quarter hours and beside them until the power goes.
func (g *gateway) live(fs *crashfs.FS, first, polls uint32) {
	a, err := g.open(fs)
	if err != nil {
		return // the power went before the epoch began
	}
	defer func() { _ = a.Close() }() // has nothing to report without power
	for _, name := range []string{rawJournal, boundaryJournal} {
		g.epochs[a.journals.Journal(name).Stats().Next.JID] = true
	}
	p, err := a.cfg.loadProfile("eastron-sdm630")
	if err != nil {
		g.t.Fatal(err)
	}
	p.Match = nil
	var tick uint32
	var devices []*poll.Device
	for i := range powerDevices {
		d, err := poll.New(poll.Config{
			Site: "s", Gateway: "g", Device: fmt.Sprintf("m-%d", i), Profile: p, Points: []string{"active_power", "active_energy_import"},
			Fast: time.Minute, Slow: time.Minute, Reader: counting{&tick}, Sink: a.recorder, Clock: a.deps.Clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			g.t.Fatal(err)
		}
		devices = append(devices, d)
	}
	for i := range polls {
		tick = (first + i) * 300 // each third is a quarter hour
		if err := pollAll(g.t.Context(), devices, time.Unix(int64(tick), 0).UTC()); err != nil {
			g.t.Fatal(err)
		}
		a.recorder.wait()
		if err, _, _ := a.recorder.state(); err != nil || fs.Crashed() {
			return // this poll was not confirmed
		}
		g.recorded = append(g.recorded, tick)
	}
}

// check starts again and demands everything that was confirmed.
func (g *gateway) check(fs *crashfs.FS) error {
	a, err := g.open(fs)
	if err != nil {
		return fmt.Errorf("does not start: %w", err)
	}
	defer a.Close()
	found := map[string]bool{} // a reading by definition (so by device), point and time
	for _, name := range []string{rawJournal, boundaryJournal} {
		chains, err := g.entries(a, a.journals.Journal(name))
		if err != nil {
			return fmt.Errorf("journal %s: %w", name, err)
		}
		now := a.journals.Journal(name).Stats().Next.JID
		if g.epochs[now] {
			return fmt.Errorf("journal %s goes on under jid %d: a number may be used twice", name, now)
		}
		if err := checkChains(chains, now); err != nil {
			return fmt.Errorf("journal %s: %w", name, err)
		}
		for _, chain := range chains {
			for _, e := range chain {
				for _, r := range e.Content.Readings {
					found[fmt.Sprintf("%s %s %d", e.Content.DefHash, r.Point, r.Time.Unix())] = true
				}
			}
		}
	}
	count := map[string]int{}
	for reading := range found {
		count[reading[2*len(evidence.Hash{}):]]++
	}
	for _, tick := range g.recorded {
		for _, point := range []string{"active_power", "active_energy_import"} {
			if n := count[fmt.Sprintf(" %s %d", point, tick)]; n != powerDevices {
				return fmt.Errorf("%s of poll %d: %d of %d devices", point, tick, n, powerDevices)
			}
		}
	}
	return nil
}

// entries reads what waits to be sent, by epoch, and demands that it is
// validly signed and that no number ever meant anything else.
func (g *gateway) entries(a *Agent, j *journal.Journal) (map[uint64][]evidence.Entry, error) {
	chains := map[uint64][]evidence.Entry{}
	refs, _, err := j.Pending(journal.Cursor{}, 1<<20)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		b, err := j.Read(ref)
		if err != nil {
			return nil, err
		}
		e, err := evidence.Parse(b)
		if err == nil {
			err = e.Verify(a.key.Public())
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d:%d: %w", ref.JID, ref.JSeq, err)
		}
		n := publishtest.Number{JID: ref.JID, JSeq: ref.JSeq}
		if old, seen := g.signed[n]; seen && old != e.Hash {
			return nil, fmt.Errorf("%v was signed for two contents", n)
		}
		g.signed[n] = e.Hash
		chains[ref.JID] = append(chains[ref.JID], e)
	}
	return chains, nil
}

// checkChains demands numbers without holes, each naming the one before, and
// an epoch that names the end of the one before it. A write that was never
// confirmed may leave a hole, which the new epoch then declares.
func checkChains(chains map[uint64][]evidence.Entry, now uint64) error {
	lost := map[publishtest.Number]bool{}
	var epoch evidence.Epoch
	for i, e := range chains[now] {
		event, err := evidence.DecodeEvent(e.Content.Data)
		if err != nil {
			return err
		}
		switch event := event.(type) {
		case evidence.Epoch:
			epoch = event
		case evidence.Loss:
			for n := event.Lo; n <= event.Hi; n++ {
				lost[publishtest.Number{JID: event.JID, JSeq: n}] = true
			}
		}
		if (i == 0) != (epoch.Site != "" && e.Content.JSeq == 1) {
			return fmt.Errorf("entry %d of the new epoch %d is a %T", e.Content.JSeq, now, event)
		}
	}
	for jid, chain := range chains {
		next, prev := uint64(1), evidence.Hash{}
		for _, e := range chain {
			whole := true
			for ; next < e.Content.JSeq; next++ {
				if whole = false; !lost[publishtest.Number{JID: jid, JSeq: next}] {
					return fmt.Errorf("entry %d of epoch %d is missing and not declared", next, jid)
				}
			}
			if whole && e.Content.Prev != prev {
				return fmt.Errorf("entry %d of epoch %d does not name the one before", next, jid)
			}
			next, prev = e.Content.JSeq+1, e.Hash
		}
	}
	before := chains[epoch.PrevJID]
	if len(chains) > 1 && len(before) == 0 {
		return fmt.Errorf("epoch %d names epoch %d, which is not there", now, epoch.PrevJID)
	}
	if n := len(before); n > 0 && (epoch.PrevJSeq != before[n-1].Content.JSeq || epoch.PrevHash != before[n-1].Hash) {
		return fmt.Errorf("epoch %d names %d:%d, which is not the last entry", now, epoch.PrevJID, epoch.PrevJSeq)
	}
	return nil
}

// TestPowerCut cuts the power of an agent that polls, after each operation on
// its disk: in its first life, in the restart and in the life after. All that
// was not synced is forgotten, and in another run of the same cut a part of it.
func TestPowerCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	whole, fs := newGateway(t, dir), crashfs.New()
	whole.live(fs, 1, 4)
	first := fs.Ops()
	whole.live(fs, 5, 4)
	if len(whole.recorded) != 8 {
		t.Fatalf("the life is too quiet: polls %v", whole.recorded)
	}
	cuts := 0
	for at := 1; at <= fs.Ops(); at++ {
		g, disk := newGateway(t, dir), crashfs.New()
		disk.CrashAt(at)
		g.live(disk, 1, 4)
		if !disk.Crashed() && at > first/2 {
			g.live(disk, 5, 4)
		}
		all := crashfs.Policies(uint64(at))
		for _, p := range []crashfs.Policy{crashfs.Forget(), all[at%len(all)]} {
			cuts++
			if err := g.check(disk.PowerCut(p)); err != nil {
				t.Errorf("power cut after operation %d of %d, %s: %v", at, fs.Ops(), p.Name, err)
			}
		}
	}
	t.Logf("%d power cuts at %d operations", cuts, fs.Ops())

	g, disk := newGateway(t, dir), crashfs.New()
	disk.IgnoreSync(func(string) bool { return true })
	g.live(disk, 1, 4)
	if err := g.check(disk.PowerCut(crashfs.Forget())); err == nil {
		t.Error("a disk that syncs nothing loses nothing: this test proves nothing")
	}
}
