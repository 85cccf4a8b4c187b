package publish

import (
	"context"
	"fmt"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
)

// command does what an NCMD asks. One that makes no sense is noted and has no
// effect: whoever can write to the topic can make the gateway send again, and
// keep an entry from being sent, but never delete one before the floor.
func (s *session) command(ctx context.Context, b []byte) {
	var p sparkplug.Payload
	c, err := sparkplug.Command{}, sparkplug.Decode(b, &p)
	if err == nil {
		c, err = sparkplug.ParseCommand(&p)
	}
	if err != nil {
		s.fail(fmt.Errorf("read command: %w", err))
		return
	}
	for _, do := range []struct {
		text string
		fn   func(evidence.Ranges)
	}{{c.Ack, s.ack}, {c.Reject, s.reject}, {c.Replay, s.replay}} {
		if do.text == "" {
			continue
		}
		r, err := evidence.ParseRanges(do.text)
		if err != nil {
			s.fail(fmt.Errorf("obey command: %w", err))
			continue
		}
		do.fn(r)
	}
	if c.Define != "" {
		s.define(ctx, c.Define)
	}
	if c.Rebirth {
		s.rebirth = true
		s.window.nudge()
	}
}

// ack lets the journals forget what arrived. Numbers that are not ours are
// ignored by them.
func (s *session) ack(r evidence.Ranges) {
	s.cfg.Answers.Ack(r)
	now := s.cfg.Now()
	n := s.window.ack(r, now)
	s.sweep()
	if n > 0 {
		s.update(func(st *State) { st.Acked += uint64(n); st.LastAck = now })
	}
}

// reject stops sending what the collector holds in quarantine.
func (s *session) reject(r evidence.Ranges) {
	s.cfg.Answers.Hold(r)
	s.window.drop(r, s.cfg.Now())
	s.sweep()
}

// replay sends again what the collector lacks: as backlog, from the start of
// the journals.
func (s *session) replay(r evidence.Ranges) {
	s.cfg.Answers.Replay(r)
	s.window.drop(r, s.cfg.Now())
	s.sweep()
	for _, f := range s.feeds {
		if f.lane == live {
			continue
		}
		if f.lane == backlog {
			_, f.jid, f.until = f.journal.Mark()
		}
		f.place, f.ahead, f.dry, f.done = nil, nil, false, false
	}
}

// sweep forgets what left the window.
func (s *session) sweep() {
	for n := range s.sent {
		if !s.window.has(n) {
			delete(s.sent, n)
		}
	}
}

// define journals a definition anew.
func (s *session) define(ctx context.Context, text string) {
	h, err := evidence.ParseHash(text)
	if err == nil {
		err = s.cfg.Answers.Define(ctx, h)
	}
	if err != nil {
		s.fail(fmt.Errorf("obey command: define: %w", err))
	}
}
