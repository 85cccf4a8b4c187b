// Package records is the contract between a collector, which writes what it
// knows about gateways, devices and points, and the API, which reads it: in
// process for one program, over HTTP (NewHandler, NewClient) for two.
package records

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"yunhe/internal/telemetry"
)

// Reader answers questions about what a collector knows. Every answer holds
// only what the scope allows; a scope that allows nothing gives empty answers.
type Reader interface {
	// Gateways lists gateways, ordered by site and gateway.
	Gateways(ctx context.Context, s Scope) ([]Gateway, error)
	// Devices lists devices from their newest stored definition, ordered by
	// site, gateway and device.
	Devices(ctx context.Context, s Scope) ([]Device, error)
	// Points lists the points of the newest definition of each device,
	// ordered by site, gateway, device and name.
	Points(ctx context.Context, s Scope) ([]Point, error)
	// Stream yields live rows as they are stored, those with a number above
	// after first, and then waits for more until ctx ends (no error then).
	// It resumes from a bounded ring: where rows are no longer there the next
	// item says Gap. After = Live starts with the next row to come.
	Stream(ctx context.Context, s Scope, after uint64) iter.Seq2[StreamItem, error]
}

// Live, as Stream's after, means: nothing from the past.
const Live = math.MaxUint64

// Scope names the sites a reader may see. The zero Scope sees nothing.
type Scope struct {
	All   bool
	Sites []string
}

// Allows reports whether site is in the scope.
func (s Scope) Allows(site string) bool { return s.All || slices.Contains(s.Sites, site) }

// Gateway is the state of one gateway as its collector knows it. Only Keys and
// the fact that data arrived are proven; the rest is what the gateway says.
type Gateway struct {
	Site     string `json:"site"`
	Gateway  string `json:"gateway"`
	Unsigned bool   `json:"unsigned,omitempty"` // another Sparkplug node: signs nothing
	Online   bool   `json:"online"`
	// LastSeen is when its last message arrived; zero if never.
	LastSeen time.Time `json:"last_seen,omitzero"`
	// ClockState is S, U, I or R; empty if it never told.
	ClockState string `json:"clock_state,omitempty"`
	// ClockOffset is the estimated error of its clock in milliseconds, nil if unknown.
	ClockOffset *int64 `json:"clock_offset_ms,omitempty"`
	// Backlog is the number of entries not yet acknowledged.
	Backlog uint64 `json:"backlog"`
	Version string `json:"version,omitempty"` // of the agent
	// LastError is what the gateway reported or the collector last refused, and when.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Keys are the fingerprints of its enrolled keys that are not revoked.
	Keys []string `json:"keys,omitempty"`
}

// Device is one device as its newest definition describes it.
type Device struct {
	Site           string    `json:"site"`
	Gateway        string    `json:"gateway"`
	Device         string    `json:"device"`
	Unsigned       bool      `json:"unsigned,omitempty"`
	Kind           string    `json:"kind"`
	Profile        string    `json:"profile,omitempty"`
	ProfileVersion int       `json:"profile_version,omitempty"`
	Vendor         string    `json:"vendor,omitempty"`
	Model          string    `json:"model,omitempty"`
	Serial         string    `json:"serial,omitempty"`
	Firmware       string    `json:"firmware,omitempty"`
	Definition     string    `json:"definition,omitempty"`  // hex hash of the definition
	LastReading    time.Time `json:"last_reading,omitzero"` // newest stored time; zero if none
}

// Point is one point of a device, as its newest definition describes it.
type Point struct {
	Site         string             `json:"site"`
	Gateway      string             `json:"gateway"`
	Device       string             `json:"device"`
	Name         string             `json:"name"`
	Quantity     telemetry.Quantity `json:"quantity"`
	Unit         telemetry.Unit     `json:"unit"`
	Class        string             `json:"class"` // gauge, counter or status
	Type         string             `json:"type"`  // float, uint, bool or string
	Table        string             `json:"table,omitempty"`
	Address      uint32             `json:"address"`
	RegisterType string             `json:"register_type,omitempty"`
	WordOrder    string             `json:"word_order,omitempty"`
	Scale        string             `json:"scale,omitempty"` // decimal
	CounterBits  uint8              `json:"counter_bits,omitempty"`
}

// StreamItem is one stored row: the readings of one device at one time.
type StreamItem struct {
	// Seq grows from item to item, also over a restart of the collector, and
	// stays below 2^53. Numbers of other sites' rows are left out.
	Seq uint64 `json:"seq"`
	// Gap says that rows before this one were stored but can no longer be
	// streamed: fetch them from the readings.
	Gap         bool      `json:"gap,omitempty"`
	Site        string    `json:"site"`
	Gateway     string    `json:"gateway"`
	Device      string    `json:"device"`
	Kind        string    `json:"kind"`
	Unsigned    bool      `json:"unsigned,omitempty"`
	Time        time.Time `json:"time"`
	ClockFailed bool      `json:"clock_failed,omitempty"`
	Readings    []Reading `json:"readings"`
}

// Reading is one value of a row. A bad one has no value.
type Reading struct {
	Point   string
	Value   telemetry.Value
	Quality telemetry.Quality
}
