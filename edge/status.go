package edge

import "time"

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
	Bytes   int64  `json:"bytes"`
	Dropped uint64 `json:"dropped"` // entries deleted before they were acknowledged
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
