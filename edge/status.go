package edge

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"yunhe/edge/internal/journal"
	"yunhe/edge/internal/poll"
	"yunhe/edge/internal/publish"
	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
)

// Status is the state of a running agent, for `yunhe-edge status` and for
// tests.
type Status struct {
	Gateway   string          `json:"gateway"`
	Site      string          `json:"site"`
	Version   string          `json:"version"`
	Started   time.Time       `json:"started"`
	Key       string          `json:"key"` // fingerprint
	Clock     ClockStatus     `json:"clock"`
	Session   SessionStatus   `json:"session"`
	Journals  []JournalStatus `json:"journals"`
	Devices   []DeviceStatus  `json:"devices"`
	LastError string          `json:"last_error,omitempty"`
	ErrorAt   *time.Time      `json:"error_at,omitempty"`
}

// ClockStatus says how far the gateway's clock may be trusted.
type ClockStatus struct {
	Time     time.Time `json:"time"`
	State    string    `json:"state"` // S, I, U or R
	OffsetMs *int64    `json:"offset_ms,omitempty"`
}

// SessionStatus is the state of the way to the collector.
type SessionStatus struct {
	Connected bool       `json:"connected"` // births are sent
	Since     *time.Time `json:"since,omitempty"`
	LastAck   *time.Time `json:"last_ack,omitempty"`
	Silent    bool       `json:"silent"` // nobody acknowledges: probing once a minute
	InFlight  int        `json:"in_flight"`
	Window    int        `json:"window"`
	Sent      uint64     `json:"sent"`
	Resent    uint64     `json:"resent"`
	Acked     uint64     `json:"acked"`
}

// JournalStatus is the state of one journal.
type JournalStatus struct {
	Name    string `json:"name"`
	Backlog uint64 `json:"backlog"` // entries not acknowledged
	Held    uint64 `json:"held"`    // entries the collector refused and keeps
	Bytes   int64  `json:"bytes"`
	Dropped uint64 `json:"dropped"` // entries deleted before they were acknowledged, or never written
}

// DeviceStatus is the state of one device.
type DeviceStatus struct {
	ID        string     `json:"id"`
	Profile   string     `json:"profile"`
	Serial    string     `json:"serial,omitempty"`
	State     string     `json:"state"` // starting, good, partly bad, dead
	LastGood  *time.Time `json:"last_good,omitempty"`
	Points    int        `json:"points"`
	Bad       int        `json:"bad"`     // points without a value in the newest poll
	Refused   int        `json:"refused"` // register ranges the device refuses
	Polls     uint64     `json:"polls"`
	Skipped   uint64     `json:"skipped"` // polls left out because the one before was not over
	LastError string     `json:"last_error,omitempty"`
}

// PublicKey is what is enrolled at the collector.
type PublicKey struct {
	Text        string `json:"public_key"`  // one line
	Fingerprint string `json:"fingerprint"` // SHA256:…
	KeyID       string `json:"key_id"`
	Created     bool   `json:"created"` // by this call
}

func publicKey(k *evidence.PrivateKey, created bool) PublicKey {
	p := k.Public()
	return PublicKey{Text: p.String(), Fingerprint: p.Fingerprint(), KeyID: p.ID().String(), Created: created}
}

// Key returns the gateway's public key, and makes the key if there is none.
func Key(cfg Config) (PublicKey, error) {
	cfg = cfg.WithDefaults()
	if err := os.MkdirAll(filepath.Dir(cfg.KeyFile), 0o700); err != nil {
		return PublicKey{}, fmt.Errorf("make key directory: %w", err)
	}
	k, created, err := evidence.LoadOrCreateKey(cfg.KeyFile)
	if err != nil {
		return PublicKey{}, fmt.Errorf("load key: %w", err)
	}
	return publicKey(k, created), nil
}

// PublicKey returns the enrolment text and the fingerprint of the agent's key.
func (a *Agent) PublicKey() PublicKey { return publicKey(a.key, a.created) }

// births returns what DBIRTHs announce: every device whose points are known.
func (a *Agent) births() []publish.Birth {
	var out []publish.Birth
	for _, d := range a.devices {
		m := d.Meaning()
		if m == nil {
			continue
		}
		last := d.Last()
		b := publish.Birth{Device: m.Device}
		for _, p := range m.Points {
			point := sparkplug.BirthPoint{Name: p.Name, Type: p.Type, Unit: p.Unit}
			if r, ok := last[p.Name]; ok {
				point.Last = &r
			}
			b.Points = append(b.Points, point)
		}
		out = append(out, b)
	}
	return out
}

// nodeStatus returns what NBIRTH and the status NDATA say.
func (a *Agent) nodeStatus() sparkplug.Status {
	var next, oldest evidence.Ranges
	var backlog uint64
	for _, s := range a.stats() {
		next.Add(s.Next.JID, s.Next.JSeq)
		for _, n := range s.Oldest {
			oldest.Add(n.JID, n.JSeq)
		}
		backlog += s.Pending
	}
	c := a.deps.Clock.Clock()
	text, _ := a.lastError()
	return sparkplug.Status{
		NextSeq: next.String(), OldestUnacked: oldest.String(), KeyID: a.key.Public().ID().String(),
		Version: a.deps.Version, ClockState: c.State, ClockOffset: c.Offset, Backlog: backlog, LastError: text,
	}
}

// stats returns the state of each open journal, by name.
func (a *Agent) stats() map[string]journal.Stats {
	out := map[string]journal.Stats{}
	for _, f := range a.feeds.all() {
		if j := f.journal.Load(); j != nil {
			out[j.Name()] = j.Stats()
		}
	}
	return out
}

// lastError returns the newest thing that went wrong with recording or
// sending; devices have their own.
func (a *Agent) lastError() (string, time.Time) {
	p := a.publish.State()
	text, at := p.LastError, p.ErrorAt
	if text == "" {
		at = time.Time{} // over: the session is up again
	}
	if err, when, lost := a.recorder.state(); err != nil && when.After(at) {
		text, at = err.Error(), when
		if lost > 0 {
			text = fmt.Sprintf("%d entries could not be journalled: %s", lost, text)
		}
	}
	return text, at
}

// Status returns what `yunhe-edge status` shows; safe while Run runs.
func (a *Agent) Status() Status {
	c := a.deps.Clock.Clock()
	s := Status{
		Gateway: a.cfg.Gateway, Site: a.cfg.Site, Version: a.deps.Version, Started: a.started,
		Key:   a.key.Public().Fingerprint(),
		Clock: ClockStatus{Time: a.deps.Clock.Now(), State: c.State.String()},
	}
	if c.Offset != nil {
		ms := c.Offset.Milliseconds()
		s.Clock.OffsetMs = &ms
	}
	p := a.publish.State()
	s.Session = SessionStatus{
		Connected: p.Connected, Since: timeOrNil(p.Since), LastAck: timeOrNil(p.LastAck), Silent: p.Silent,
		InFlight: p.InFlight, Window: p.Window, Sent: p.Sent, Resent: p.Resent, Acked: p.Acked,
	}
	journals := a.stats()
	for _, name := range slices.Sorted(maps.Keys(journals)) {
		j := journals[name]
		s.Journals = append(s.Journals, JournalStatus{Name: name, Backlog: j.Pending, Held: j.Held, Bytes: j.Bytes, Dropped: j.Dropped + a.recorder.lostOf(name)})
	}
	for i, d := range a.devices {
		s.Devices = append(s.Devices, deviceStatus(a.cfg.Devices[i], d.Status()))
	}
	text, at := a.lastError()
	s.LastError, s.ErrorAt = text, timeOrNil(at)
	return s
}

func deviceStatus(d Device, s poll.Status) DeviceStatus {
	profile := s.Profile
	if profile == "" {
		profile = d.Profile
	}
	return DeviceStatus{
		ID: d.ID, Profile: profile, Serial: s.Serial, State: string(s.State), LastGood: timeOrNil(s.LastGood),
		Points: s.Points, Bad: s.Bad, Refused: s.Refused, Polls: s.Polls, Skipped: s.Skipped, LastError: s.LastError,
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
