package publish

import (
	"context"
	"fmt"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
)

const (
	lookAhead     = 64 // entries a lane knows in advance
	statusEvery   = time.Minute
	meteredStatus = time.Hour
	tickEvery     = time.Second            // re-sends are looked for
	lookEvery     = 200 * time.Millisecond // and meanwhile, when there is much to send
	// rebirthPause bounds what a host that asks for rebirths can cost.
	rebirthPause = time.Second
	// fresh is how old the newest reading of a live message may be.
	fresh = time.Minute
)

// session is one MQTT session after CONNECT. One goroutine owns it: the order
// of its calls is the order of sequence numbers on the wire.
type session struct {
	*Publisher
	wire  *sparkplug.Session
	link  *link
	rtt   time.Duration
	feeds []*feed
	// sent keeps what is in flight readable.
	sent map[number]sentEntry
	// born is the newest time that was told as current, by device and metric:
	// what is older goes out as history (operational-behavior-data-publish-dbirth-order).
	born     map[string]map[string]time.Time
	bornAt   time.Time
	rebirth  bool
	statusAt time.Time
	looked   time.Time // for what must be sent again
}

type sentEntry struct {
	feed  *feed
	entry Entry
}

// open sets the lanes at the start of a session.
func (s *session) open() {
	s.sent = map[number]sentEntry{}
	place, jid, next := s.cfg.Live.Mark()
	s.feeds = []*feed{
		{lane: boundary, journal: s.cfg.Boundary},
		{lane: live, journal: s.cfg.Live, place: place},
		{lane: backlog, journal: s.cfg.Live, jid: jid, until: next},
	}
	for _, j := range s.cfg.Past {
		s.feeds = append(s.feeds, &feed{lane: past, journal: j})
	}
}

// run sends births, then data until the connection breaks or ctx ends.
func (s *session) run(ctx context.Context) error {
	if err := s.births(ctx); err != nil {
		return err
	}
	s.update(func(st *State) { st.Connected, st.Since, st.LastError = true, s.cfg.Now(), "" })
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		if err := s.work(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.link.lost:
			return s.link.broken()
		case b := <-s.link.commands:
			s.command(ctx, b)
		case <-s.wake:
			for _, f := range s.feeds {
				f.dry = false
			}
		case <-s.changed:
			s.rebirth = true
		case <-tick.C:
		}
	}
}

// work sends everything that may be sent now.
func (s *session) work(ctx context.Context) error {
	for ctx.Err() == nil {
		now := s.cfg.Now()
		if err := s.duties(ctx, now); err != nil {
			return err
		}
		var again []number
		if now.Sub(s.looked).Abs() >= lookEvery { // it looks at the whole window
			if again = s.window.due(now, lookAhead); len(again) < lookAhead {
				s.looked = now
			}
		}
		for _, n := range again {
			if err := s.sendAgain(ctx, n); err != nil {
				return err
			}
		}
		more, err := s.sendNext(ctx, now)
		if err != nil {
			return err
		}
		s.report()
		select {
		case b := <-s.link.commands:
			s.command(ctx, b)
			continue
		default:
		}
		if !more && len(again) < lookAhead {
			return nil
		}
	}
	return ctx.Err()
}

// duties sends births that are wanted and the status when it is time.
func (s *session) duties(ctx context.Context, now time.Time) error {
	if s.rebirth && now.Sub(s.bornAt).Abs() >= rebirthPause {
		if err := s.births(ctx); err != nil {
			return err
		}
	}
	every := statusEvery
	if s.cfg.Metered {
		every = meteredStatus
	}
	if now.Sub(s.statusAt).Abs() < every {
		return nil
	}
	s.statusAt = now
	return s.link.send(ctx, s.wire.NodeData(s.cfg.Status(), now))
}

func (s *session) report() {
	silent := s.window.silent(s.cfg.Now())
	s.update(func(st *State) {
		st.InFlight, st.Window, st.Silent = len(s.window.flights), s.window.limit, silent
		st.Ignored = s.link.dropped.Load()
	})
}

// sendNext sends the most urgent entry that may be sent; more says that there
// may be another.
func (s *session) sendNext(ctx context.Context, now time.Time) (more bool, err error) {
	if s.window.silent(now) {
		return false, nil
	}
	for _, f := range s.feeds {
		e, ok, err := f.peek(s.window)
		if err != nil {
			s.fail(err)
			f.dry = true
			continue
		}
		if !ok || !s.window.room(f.lane, e.Bytes) {
			continue
		}
		f.ahead = f.ahead[1:]
		return true, s.send(ctx, f, e, false)
	}
	return false, nil
}

// sendAgain sends an entry of the window once more.
func (s *session) sendAgain(ctx context.Context, n number) error {
	if e, ok := s.sent[n]; ok {
		return s.send(ctx, e.feed, e.entry, true)
	}
	return nil
}

// send reads one entry and sends it. An entry that cannot be read is no
// reason to end the session.
func (s *session) send(ctx context.Context, f *feed, e Entry, again bool) error {
	n := number{e.JID, e.JSeq}
	entry, err := f.journal.Read(e)
	if err != nil {
		s.fail(fmt.Errorf("read entry %d:%d: %w", e.JID, e.JSeq, err))
		s.forget(n)
		return nil
	}
	if err := s.bear(ctx, e.Device, entry.Content.Readings); err != nil {
		return err
	}
	now := s.cfg.Now()
	m, err := s.message(e, entry, again, now)
	if err != nil {
		s.fail(err)
		s.forget(n)
		return nil
	}
	if err := s.link.send(ctx, m); err != nil {
		return err
	}
	s.update(func(st *State) {
		st.Sent++
		if again {
			st.Resent++
		}
	})
	if !again {
		s.sent[n] = sentEntry{f, e}
		s.window.add(n, f.lane, len(m.Payload), now)
	}
	return nil
}

// forget takes an entry out of the window that can no longer be sent.
func (s *session) forget(n number) {
	delete(s.sent, n)
	if f := s.window.flights[n]; f != nil {
		s.window.remove(f)
	}
}

func (s *session) message(e Entry, entry evidence.Entry, again bool, now time.Time) (sparkplug.Message, error) {
	c := entry.Content
	historical := again || s.past(e.Device, c, now)
	if c.Kind != evidence.KindBatch {
		return s.wire.Attached(e.Device, c.Kind.String(), entry.Bytes, historical, now), nil
	}
	body, err := entry.Detached()
	if err != nil {
		return sparkplug.Message{}, fmt.Errorf("detach entry %d:%d: %w", e.JID, e.JSeq, err)
	}
	if !historical {
		for _, r := range c.Readings {
			s.born[e.Device][r.Point] = r.Time
		}
	}
	return s.wire.DeviceData(e.Device, c.Readings, body, historical, now), nil
}

// past reports whether an entry tells nothing current: its newest reading is
// older than a minute, or a newer one of the same metric was told already.
func (s *session) past(device string, c evidence.Content, now time.Time) bool {
	newest := c.Recorded
	for _, r := range c.Readings {
		newest = r.Time // sorted by time
		if r.Time.Before(s.born[device][r.Point]) {
			return true
		}
	}
	return now.Sub(newest) > fresh
}
