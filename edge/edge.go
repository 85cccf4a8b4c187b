package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"periph.io/x/conn/v3/i2c"

	"yunhe/internal/telemetry"
)

// Deps are what an agent is given instead of reaching for it. The zero value
// is a real gateway.
type Deps struct {
	// Clock gives the time and its state; nil means the machine's clock.
	Clock telemetry.Source
	// OpenI2C opens an I2C bus by its device file; nil means the machine's.
	OpenI2C func(path string) (i2c.BusCloser, error)
	Logger  *slog.Logger // nil discards
	Version string       // of the program, for births and epochs; empty means dev
	Random  io.Reader    // for epoch numbers; nil means crypto/rand
}

var errStub = errors.New("not written yet")

// Run polls, signs, journals and sends until ctx ends, then stops in order:
// polling, journals, session. It returns nil after an orderly stop.
func Run(ctx context.Context, cfg Config, deps Deps) error { return errStub }

// Agent is a gateway agent whose journals are open.
type Agent struct{}

// Open validates cfg, loads the key (creating it at the first start) and opens
// the journals. Close or Run must follow.
func Open(ctx context.Context, cfg Config, deps Deps) (*Agent, error) { return nil, errStub }

// Run is Run for an agent that is open already; it closes the agent.
func (a *Agent) Run(ctx context.Context) error { return errStub }

// Close closes an agent that was never run.
func (a *Agent) Close() error { return errStub }

// Status returns what `yunhe-edge status` shows; safe while Run runs.
func (a *Agent) Status() Status { return Status{} }

// PublicKey returns the enrolment text and the fingerprint of the agent's key.
func (a *Agent) PublicKey() PublicKey { return PublicKey{} }

// History describes a past to make for Agent.Backfill.
type History struct {
	From, To time.Time     // half-open, on the grid of Every
	Every    time.Duration // one poll of each device
	// Buses replace the buses of the config with the same id, so that the past
	// is read from another world than the present.
	Buses   []Bus
	OpenI2C func(path string) (i2c.BusCloser, error)
	// Step brings the simulated devices to t; called before each poll, from one
	// goroutine.
	Step func(t time.Time) error
	// Progress, if set, is told how far it came, after each step.
	Progress func(t time.Time)
}

// Backfill polls the devices of the agent under a clock that steps through
// h, by the same path as live polls, and signs the readings with that clock's
// times into journals of their own: "history", and "history-boundary" for
// the counters on quarter hours. A running agent sends them after its live
// data; one that starts later does so too. It runs beside Run or before it. It
// returns when every reading is durable. A second call continues: whoever calls
// says from where.
func (a *Agent) Backfill(ctx context.Context, h History) error { return errStub }

// PublicKey is what is enrolled at the collector.
type PublicKey struct {
	Text        string `json:"public_key"`  // one line
	Fingerprint string `json:"fingerprint"` // SHA256:…
	KeyID       string `json:"key_id"`
	Created     bool   `json:"created"` // by this call
}

// Key returns the gateway's public key, and makes the key if there is none.
func Key(cfg Config) (PublicKey, error) { return PublicKey{}, errStub }

// QueryStatus asks the agent that runs on cfg's control socket.
func QueryStatus(ctx context.Context, cfg Config) (Status, error) { return Status{}, errStub }
