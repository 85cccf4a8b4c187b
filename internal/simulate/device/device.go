// Package device makes register-level devices out of profiles: a function of
// time gives physical values, the profile's own encoding turns them into
// registers, and what a master reads is answered from those. The servers that
// put a device on a socket, a serial line or an I2C bus are beside this
// package; they only carry questions and answers.
package device

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// Source gives the values of a device at a time, by point name. A point it
// leaves out has no registers; the zero Value reads as "not available".
type Source func(at time.Time) map[string]telemetry.Value

// Options describe a device.
type Options struct {
	Name    string
	Profile *profile.Profile
	Source  Source
	Now     func() time.Time
	// Grid is how long values stay the same; within it registers are not
	// computed again. 0 means they never stay.
	Grid time.Duration
	// Fixed holds registers that are always there, under those of the points.
	Fixed profile.Image
	// OnReply, when set, is told of each good answer just before it is sent.
	OnReply func(Reply)
}

// Query is what a master asks of a device.
type Query struct {
	Table          profile.Table
	Address, Count uint16
	At             time.Time
}

// Answer is what the device does about it.
type Answer struct {
	Raw       []byte // in the form of a Modbus answer
	Exception uint8  // not 0: refused with this code
	Silent    bool   // nothing is sent at all
	Delay     time.Duration
}

// Reply is one good answer, for tests that follow a reading to the store.
type Reply struct {
	Device  string
	Table   profile.Table
	Address uint16
	Raw     []byte
	At      time.Time
	// Values are those of the whole device at that time; not to be changed.
	Values map[string]telemetry.Value
}

// illegalAddress is what a device says about registers it does not have.
const illegalAddress = 2

// Device is one simulated device. It is safe for concurrent use.
type Device struct {
	o Options

	mu     sync.Mutex
	faults []Fault
	at     time.Time // of image and values
	image  profile.Image
	values map[string]telemetry.Value
}

// New returns a device. It encodes the present values once, so a source that
// does not fit the profile is told here and not as a dead device later.
func New(o Options) (*Device, error) {
	d := &Device{o: o}
	if _, _, err := d.registers(o.Now()); err != nil {
		return nil, fmt.Errorf("simulate %s: %w", o.Name, err)
	}
	return d, nil
}

// Name returns the name of the device.
func (d *Device) Name() string { return d.o.Name }

// Profile returns the profile of the device.
func (d *Device) Profile() *profile.Profile { return d.o.Profile }

// Answer answers a read of the present registers, as the faults that are set
// would have it.
func (d *Device) Answer(table profile.Table, address, count uint16) Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := Query{Table: table, Address: address, Count: count, At: d.o.Now()}
	a := d.honest(q)
	for _, f := range d.faults {
		a = f(q, a)
	}
	if d.o.OnReply != nil && a.Exception == 0 && !a.Silent {
		d.o.OnReply(Reply{Device: d.o.Name, Table: table, Address: address, Raw: a.Raw, At: q.At, Values: d.values})
	}
	return a
}

// Misbehave sets the faults of the device, in the order in which they act;
// none makes it well again.
func (d *Device) Misbehave(faults ...Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = faults
}

// honest answers without faults.
func (d *Device) honest(q Query) Answer {
	image, _, err := d.registers(q.At)
	if err != nil {
		return Answer{Exception: 4} // device failure; New has seen the source work
	}
	raw, ok := image.Read(q.Table, q.Address, q.Count)
	if !ok || q.Count == 0 {
		return Answer{Exception: illegalAddress}
	}
	return Answer{Raw: raw}
}

// registers returns image and values of a time. d.mu is held, or d is new.
func (d *Device) registers(at time.Time) (profile.Image, map[string]telemetry.Value, error) {
	if d.o.Grid > 0 {
		at = at.Truncate(d.o.Grid)
	}
	if d.image != nil && at.Equal(d.at) {
		return d.image, d.values, nil
	}
	values := d.o.Source(at)
	image, err := d.o.Profile.Encode(values)
	if err != nil {
		return nil, nil, err
	}
	for table, words := range d.o.Fixed {
		all := maps.Clone(words)
		maps.Copy(all, image[table])
		image[table] = all
	}
	d.at, d.image, d.values = at, image, values
	return image, values, nil
}

// Refused is what Read gives for an answer that is an exception.
type Refused struct{ Code uint8 }

// Error names the code.
func (r Refused) Error() string { return fmt.Sprintf("refused with exception %d", r.Code) }

// ErrSilent is what Read gives when the device does not answer.
var ErrSilent = errors.New("no answer")

// Read reads the device past all lines, in no time: for history made under a
// virtual clock. It has the shape of a bus's own Read.
func (d *Device) Read(ctx context.Context, table profile.Table, address, count uint16) (raw []byte, at time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	at = d.o.Now()
	switch a := d.Answer(table, address, count); {
	case a.Silent:
		return nil, at, ErrSilent
	case a.Exception != 0:
		return nil, at, Refused{a.Exception}
	default:
		return a.Raw, at, nil
	}
}
