package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"yunhe/edge"
	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// tap carries the bytes of TCP connections to a server and counts them.
type tap struct {
	listener net.Listener
	bytes    atomic.Int64 // of the streams, both directions
	pieces   atomic.Int64 // reads, which are about the segments
	running  sync.WaitGroup
}

func newTap(to string) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tap{listener: l}
	t.running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			t.running.Go(func() { t.carry(in, out) })
			t.running.Go(func() { t.carry(out, in) })
		}
	})
	return t, nil
}

func (t *tap) carry(from, to net.Conn) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		t.bytes.Add(int64(n))
		if n > 0 {
			t.pieces.Add(int64((n + mss - 1) / mss))
		}
		if _, e := to.Write(buffer[:n]); err != nil || e != nil {
			return
		}
	}
}

// What the link carries beside the stream: an IPv4 and TCP header with
// timestamps for each segment, and one segment that acknowledges it.
const (
	mss        = 1400
	header     = 52
	perSegment = 2 * header
	tlsRecord  = 22 // TLS 1.3: header, content type, tag
)

// traffic is what passed a tap.
type traffic struct{ bytes, pieces int64 }

func (t *tap) traffic() traffic { return traffic{t.bytes.Load(), t.pieces.Load()} }

func (t traffic) minus(o traffic) traffic { return traffic{t.bytes - o.bytes, t.pieces - o.pieces} }

// link is what the network carried.
func (t traffic) link() float64 { return float64(t.bytes + perSegment*t.pieces) }

// virtual is a clock that is set by hand.
type virtual struct {
	mu sync.Mutex
	t  time.Time
}

func (v *virtual) set(t time.Time) { v.mu.Lock(); v.t = t; v.mu.Unlock() }

func (v *virtual) now() time.Time { v.mu.Lock(); defer v.mu.Unlock(); return v.t }

// meteredEvery is how often a meter on a metered link is polled by default.
const meteredEvery = 5 * time.Minute

// metered measures a day of one meter on a SIM: an agent in this process, with
// the poller, signer, journal and publisher of the product, whose history clock
// is stepped; mosquitto with TLS, a collector that acknowledges, and between
// agent and broker a proxy that counts.
func (b *bench) metered() error {
	plain, tls, err := b.startBroker()
	if err != nil {
		return err
	}
	t, err := newTap(tls)
	if err != nil {
		return err
	}
	defer t.running.Wait()
	defer t.listener.Close()
	hours := 24
	if b.short {
		hours = 1
	}
	to := time.Now().UTC().Truncate(time.Hour)
	clock := &virtual{t: to}
	m, err := newMeters(1, clock.now, household)
	if err != nil {
		return err
	}
	c := collectorSetup{name: "metered", broker: plain}
	_, cfg, err := b.agentConfig(agentSetup{name: "sim", broker: "mqtts://" + t.listener.Addr().String(), caFile: filepath.Join(b.dir, "broker.crt"),
		link: "{kind: metered}", sync: "20ms", poll: meteredEvery.String(), meters: 1, lines: m.addresses()})
	if err != nil {
		return err
	}
	if err := b.enrollAgent(cfg, c); err != nil {
		return err
	}
	if _, err := b.startCollector(c); err != nil {
		return err
	}
	agent, err := edge.Open(b.ctx, cfg, edge.Deps{Logger: slog.New(slog.DiscardHandler), Version: "bench"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	var errs [2]error
	running.Go(func() { errs[0] = m.run(ctx) })
	running.Go(func() { errs[1] = agent.Run(ctx) })
	day, connect, err := b.meteredDay(agent, t, clock, to, hours)
	cancel()
	running.Wait()
	if err := errors.Join(append(errs[:], err)...); err != nil {
		return err
	}
	b.addMetered(cfg, day, connect, hours)
	return nil
}

// meteredDay lets the agent live through one warm-up hour and then the hours
// that are counted. Before a quarter hour begins, everything of the one before
// is acknowledged, as it is in life.
func (b *bench) meteredDay(agent *edge.Agent, t *tap, clock *virtual, to time.Time, hours int) (day, connect traffic, err error) {
	settled := func() bool {
		s := agent.Status()
		return s.Session.Connected && backlogOf(s) == 0
	}
	if err := b.until("the agent's first entries are acknowledged", time.Minute, nil, settled); err != nil {
		return day, connect, err
	}
	connect = t.traffic()
	begin := to.Add(-time.Duration(hours) * time.Hour)
	var before traffic
	late := 0
	step := func(at time.Time) error {
		switch at.Sub(at.Truncate(15 * time.Minute)) {
		case meteredEvery: // a quarter hour was polled; its entries are journalled within 20 ms
			time.Sleep(60 * time.Millisecond)
		case 2 * meteredEvery: // and handed to the publisher with the poll after it
			// On a busy disk they may come a step later; the end waits for all.
			if err := b.until("the quarter hour is acknowledged", 2*time.Second, nil, settled); err != nil {
				late++
			}
		}
		if at.Equal(begin) {
			before = t.traffic()
		}
		clock.set(at)
		return nil
	}
	err = agent.Backfill(b.ctx, edge.History{From: begin.Add(-time.Hour), To: to, Every: meteredEvery, Step: step})
	if err == nil {
		err = b.until("everything is acknowledged", 30*time.Second, nil, settled)
	}
	if late > 0 {
		b.note("%d of %d quarter hours were acknowledged together with the next: their acknowledgements are too few", late, 4*(hours+1))
	}
	return t.traffic().minus(before), connect, err
}

// addMetered states the month: 30 times the measured day, and what a stepped
// clock does not show, computed.
func (b *bench) addMetered(cfg edge.Config, day, connect traffic, hours int) {
	perDay := 24 / float64(hours)
	data := day.link() * perDay * 30
	status := 30 * 24 * float64(statusBytes(cfg))
	pings := 30 * 96 * float64(2*(2+tlsRecord)+2*perSegment)
	reconnects := 30 * connect.link()
	b.add("one 20-value meter on a SIM, TLS and acks: in all", "MB a month", "≤ 10", (data+status+pings+reconnects)/1e6)
	b.add("  messages and acks, stream bytes of TLS (measured × 30)", "MB a month", "", float64(day.bytes)*perDay*30/1e6)
	b.add("  their TCP and IP headers (computed from measured segments)", "MB a month", "", float64(perSegment*day.pieces)*perDay*30/1e6)
	b.add("  status each hour (computed)", "MB a month", "", status/1e6)
	b.add("  keep-alive each 15 minutes (computed)", "MB a month", "", pings/1e6)
	b.add("  one reconnect a day with births (measured once × 30)", "MB a month", "", reconnects/1e6)
	if report, err := edge.Plan(cfg); err == nil {
		b.add("  what `yunhe-edge plan` foretells", "MB a month", "", report.MonthMB)
	}
	b.note("measured: %d h of a stepped clock, %d bytes of TLS in about %d segments, both directions, through a proxy; defaults of a metered link (polls each 5 min, counters on quarter hours, gauges by deadband each 15 min); messages carry is_historical, 2 bytes a value that live ones do not",
		hours, day.bytes, day.pieces)
	b.note("computed: %d bytes of header a segment and as much for its TCP acknowledgement; hourly status %d bytes; PINGREQ and PINGRESP 2+%d bytes each; connecting with TLS handshake and births measured at %d bytes in %d segments",
		header, statusBytes(cfg), tlsRecord, connect.bytes, connect.pieces)
}

// statusBytes is one NDATA with the status of a gateway, as the link carries it.
func statusBytes(cfg edge.Config) int {
	wire := sparkplug.NewSession(cfg.Site, cfg.Gateway, 0)
	offset := 3 * time.Millisecond
	m := wire.NodeData(sparkplug.Status{
		NextSeq: fmt.Sprintf("%d:100000;%d:3000", evidence.MaxNumber, evidence.MaxNumber-1), KeyID: evidence.KeyID{}.String(),
		Version: "v1.0.0", ClockState: telemetry.Synchronised, ClockOffset: &offset,
	}, time.Now())
	return len(m.Payload) + len(m.Topic.String()) + 5 + tlsRecord + perSegment
}
