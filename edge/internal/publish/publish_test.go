package publish

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"yunhe/edge/internal/publish/publishtest"
	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/sparkplug/sparkplugtest"
	"yunhe/internal/telemetry"
)

// rig is a publisher over journals in memory, a real broker and a scripted
// collector.
type rig struct {
	t                   *testing.T
	boundary, raw, past *memory
	replies             *replies
	publisher           *Publisher
	broker              *publishtest.Broker
	recorder            *sparkplugtest.Recorder
	collector           *publishtest.Collector
	skew                atomic.Int64 // how far the publisher's clock differs from the real one
	births              atomic.Pointer[[]Birth]
	stop                func()
}

var node = sparkplug.Topic{Group: "site", Type: sparkplug.NCMD, Node: "gw"}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.skew.Load())) }

func newRig(t *testing.T, script func(publishtest.Arrival) publishtest.Decision) *rig {
	t.Helper()
	seed := [32]byte{7}
	key, err := evidence.NewKeyFromSeed(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, recorder: sparkplugtest.NewRecorder(),
		boundary: newMemory(t, key, 11), raw: newMemory(t, key, 12), past: newMemory(t, key, 13)}
	r.replies = &replies{journals: []*memory{r.boundary, r.raw, r.past}}
	r.skew.Store(int64(-3 * time.Hour)) // so that tests can let time pass without leaving the present
	r.births.Store(&[]Birth{{Device: "meter", Points: []sparkplug.BirthPoint{{Name: "power", Type: telemetry.TypeFloat}}}})
	r.broker = publishtest.StartBroker(t, "", r.recorder)
	r.collector = publishtest.StartCollector(t, r.broker, key.Public(), script)
	r.publisher = New(Config{
		Site: "site", Gateway: "gw", Broker: Broker{URL: r.broker.URL(), ClientID: "site.gw"},
		BdSeqFile: filepath.Join(t.TempDir(), "bdseq"),
		Boundary:  r.boundary, Live: r.raw, Past: []Journal{r.past}, Answers: r.replies,
		Births: func() []Birth { return *r.births.Load() },
		Status: func() sparkplug.Status { return sparkplug.Status{NextSeq: "12:1", KeyID: "k"} },
		Now:    r.now, Logger: slog.New(slog.DiscardHandler),
	})
	return r
}

func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.publisher.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("run: %v", err)
		}
	}
	r.t.Cleanup(r.stop)
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	publishtest.Until(r.t, 20*time.Second, what, ok)
}

func (r *rig) allAcked() bool {
	return r.boundary.unacked()+r.raw.unacked()+r.past.unacked() == 0
}

// conforms asserts the requirements of Sparkplug over the whole conversation.
func (r *rig) conforms() {
	r.t.Helper()
	for _, v := range sparkplugtest.Check(r.recorder.Conversation("site.gw")) {
		r.t.Errorf("%+v", v)
	}
}

// A whole conversation: births, data of every lane, a rebirth on command, new
// points, an orderly end, and a second session with the next bdSeq.
func TestConversation(t *testing.T) {
	r := newRig(t, nil)
	old := r.now().Add(-time.Hour)
	for range 5 {
		r.past.batch("meter", "power", old.Add(-24*time.Hour))
		r.raw.batch("meter", "power", old)
		r.boundary.batch("meter", "power", old)
	}
	r.start()
	r.until("backlog acknowledged", r.allAcked)
	r.raw.event(r.now())
	r.raw.batch("meter", "power", r.now())
	r.until("live acknowledged", r.allAcked)

	arrivals := r.collector.Arrivals()
	for i, a := range arrivals {
		if want := []uint64{11, 12, 13}[min(i/5, 2)]; i < 15 && a.JID != want {
			t.Errorf("arrival %d is of journal %d, want %d: boundary, then backlog, then history", i, a.JID, want)
		}
		if live := i >= 15; a.Historical == live {
			t.Errorf("arrival %d: historical %v", i, a.Historical)
		}
	}
	r.collector.Command(node, sparkplug.Command{Rebirth: true})
	r.until("a rebirth", func() bool { return r.collector.Births() == 2 })
	births := append(*r.births.Load(), Birth{Device: "pump", Points: []sparkplug.BirthPoint{{Name: "heat", Type: telemetry.TypeFloat}}})
	r.births.Store(&births)
	r.publisher.Changed()
	r.until("a rebirth with the new device", func() bool { return r.collector.Births() == 3 })
	r.raw.batch("pump", "heat", r.now())
	r.until("data of the new device", r.allAcked)
	r.stop()
	r.start()
	r.raw.batch("meter", "power", r.now())
	r.until("data in the second session", r.allAcked)
	r.stop()
	r.conforms()
	if n := len(r.collector.Arrivals()); n != 19 {
		t.Errorf("%d arrivals, want 19: nothing twice", n)
	}
}

// History of a device and a point that are gone is born before it is sent.
func TestGonePointsAreBorn(t *testing.T) {
	r := newRig(t, nil)
	r.raw.batch("removed", "level", r.now().Add(-time.Hour))
	r.raw.batch("meter", "current", r.now().Add(-time.Hour))
	r.start()
	r.until("all acknowledged", r.allAcked)
	r.stop()
	r.conforms()
}

// What is lost on the way is sent again, as history, until it is acknowledged.
func TestLostMessages(t *testing.T) {
	var seen atomic.Int64
	lost := map[publishtest.Number]bool{}
	r := newRig(t, func(a publishtest.Arrival) publishtest.Decision {
		if seen.Add(1); a.JSeq%3 == 0 && !lost[a.Number] {
			lost[a.Number] = true // arrived, and the acknowledgement went astray
			return publishtest.Silence
		}
		return publishtest.Ack
	})
	r.start()
	for range 9 {
		r.raw.batch("meter", "power", r.now())
	}
	r.until("nine arrivals", func() bool { return seen.Load() == 9 })
	if n := r.raw.unacked(); n != 3 {
		r.until("six acknowledged", func() bool { return r.raw.unacked() == 3 })
	}
	r.skew.Add(int64(16 * time.Second))
	r.until("the others sent again and acknowledged", r.allAcked)
	for _, a := range r.collector.Arrivals()[9:] {
		if !a.Historical || a.JSeq%3 != 0 {
			t.Errorf("sent again: %v historical %v", a.Number, a.Historical)
		}
	}
	r.stop()
	r.conforms()
}

// A refused entry is sent no more until the collector asks for it; commands
// that make no sense, and numbers that are not ours, change nothing.
func TestRejectReplayDefine(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	r := newRig(t, func(a publishtest.Arrival) publishtest.Decision {
		if refuse.Load() && a.JSeq == 2 {
			return publishtest.Reject
		}
		return publishtest.Ack
	})
	for range 3 {
		r.raw.batch("meter", "power", r.now())
	}
	r.start()
	r.until("two acknowledged and one held", func() bool { return r.raw.unacked() == 1 && len(r.collector.Arrivals()) == 3 })
	for _, c := range []sparkplug.Command{
		{Ack: "99:1-9007199254740991"}, {Ack: "nonsense"}, {Reject: "12:"}, {Define: "zz"},
		{Define: evidence.Hash{1}.String()},
	} {
		r.collector.Command(node, c)
	}
	r.until("the definition is asked for", func() bool {
		r.replies.mu.Lock()
		defer r.replies.mu.Unlock()
		return len(r.replies.defined) == 1
	})
	r.skew.Add(int64(time.Hour))
	time.Sleep(1200 * time.Millisecond) // a tick of the session: nothing may be sent
	if n := len(r.collector.Arrivals()); n != 3 {
		t.Errorf("%d arrivals: a held entry was sent again", n)
	}
	refuse.Store(false)
	r.collector.Command(node, sparkplug.Command{Replay: "12:1-2"})
	r.until("the replayed entries", func() bool { return len(r.collector.Arrivals()) == 5 && r.allAcked() })
	r.stop()
	r.conforms()
}

// A collector that does not know the key is not flooded, and gets everything
// once it does.
func TestUnknownKey(t *testing.T) {
	var known atomic.Bool
	r := newRig(t, func(publishtest.Arrival) publishtest.Decision {
		if known.Load() {
			return publishtest.Ack
		}
		return publishtest.Silence
	})
	for range 300 {
		r.raw.batch("meter", "power", r.now())
	}
	r.start()
	first := int(historyShare * minWindow) // all of it is backlog
	r.until("the first window", func() bool { return len(r.collector.Arrivals()) >= first })
	for range 4 {
		r.skew.Add(int64(2 * time.Minute))
		time.Sleep(1100 * time.Millisecond)
	}
	if n := len(r.collector.Arrivals()); n < first+2 || n > first+5 {
		t.Errorf("%d arrivals while nobody answers, want %d and one probe a minute", n, first)
	}
	if !r.publisher.State().Silent {
		t.Error("the state does not say that nobody acknowledges")
	}
	known.Store(true)
	r.skew.Add(int64(2 * time.Minute))
	r.until("everything acknowledged", r.allAcked)
	r.stop()
	r.conforms()
}

// A broker that goes away and comes back costs no entry.
func TestBrokerRestart(t *testing.T) {
	r := newRig(t, nil)
	r.start()
	r.raw.batch("meter", "power", r.now())
	r.until("the first acknowledged", r.allAcked)
	key := r.raw.key.Public()
	r.broker.Stop()
	for range 10 {
		r.raw.batch("meter", "power", r.now())
	}
	b := publishtest.StartBroker(t, r.broker.Addr, r.recorder)
	publishtest.StartCollector(t, b, key, nil)
	r.until("the rest acknowledged", r.allAcked)
	r.stop()
	r.conforms()
	bdSeqs := 0
	for _, p := range r.recorder.Conversation("site.gw") {
		if p.Kind == sparkplugtest.Connect {
			bdSeqs++
		}
	}
	if bdSeqs < 2 {
		t.Errorf("%d connections seen", bdSeqs)
	}
}

func TestBdSeq(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bdseq")
	start := func(path string) *Publisher { return New(Config{BdSeqFile: path}) }
	p := start(path)
	for want := range uint64(258) {
		if want%3 == 0 {
			p = start(path)
		}
		got, err := p.nextBdSeq()
		if err != nil || got != want%256 {
			t.Fatalf("bdSeq %d %v, want %d", got, err, want%256)
		}
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := start(path).nextBdSeq(); err != nil || got != 0 {
		t.Errorf("after a damaged file: %d %v, want 0", got, err)
	}
	// A disk that takes nothing, full or read-only, must not end the sessions:
	// acknowledgements are what makes room.
	p = start(filepath.Join(path, "x"))
	for want := range uint64(3) {
		if got, err := p.nextBdSeq(); got != want || err == nil || !strings.Contains(err.Error(), "bdSeq") {
			t.Errorf("where nothing can be written: %d %v, want %d and a warning", got, err, want)
		}
	}
}
