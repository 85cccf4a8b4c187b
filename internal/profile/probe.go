package profile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ReadFunc reads count addresses of a table; the bytes are as in
// Table.ByteCount. Somebody's bus stands behind it.
type ReadFunc func(ctx context.Context, table Table, address, count uint16) ([]byte, error)

// Step is a cheap, safe read that tells whether a device is of this model.
type Step struct {
	Source
	Note    string
	Mask    uint64   // 0: all bits
	Equals  []string // the raw value (or the text) is one of these
	Between []Decimal
}

// IDName is a field of Identity.
type IDName string

const (
	IDManufacturer IDName = "manufacturer"
	IDModel        IDName = "model"
	IDSerial       IDName = "serial"
	IDFirmware     IDName = "firmware"
)

// IDField says where a part of a device's identity stands.
type IDField struct {
	Name IDName
	Source
}

// Identity is what a device says about itself; empty where it says nothing.
type Identity struct{ Manufacturer, Model, Serial, Firmware string }

// ErrNoMatch is what Check gives when a device answers and is another model.
var ErrNoMatch = errors.New("the device is another model")

// Check runs the match steps. It returns ErrNoMatch with the step that failed,
// or the error of a read; nil without steps, as nothing speaks against it.
func (p *Profile) Check(ctx context.Context, read ReadFunc) error {
	for i, s := range p.Match {
		o, raw, err := p.fetch(ctx, s.Source, read)
		if err != nil {
			return fmt.Errorf("check %s, step %d: %w", p.ID, i+1, err)
		}
		if !s.holds(o, raw) {
			return fmt.Errorf("check %s, step %d: %w: %s %d holds % x", p.ID, i+1, ErrNoMatch, s.Table, s.Address, raw)
		}
	}
	return nil
}

// holds reports whether raw fulfils the step.
func (s Step) holds(o operand, raw []byte) bool {
	if o.typ.text() {
		t, err := o.text(raw)
		return err == nil && slices.Contains(s.Equals, strings.TrimSpace(t))
	}
	if len(s.Between) == 2 {
		d, err := o.number(raw)
		return err == nil && d.Rat().Cmp(s.Between[0].Rat()) >= 0 && d.Rat().Cmp(s.Between[1].Rat()) <= 0
	}
	w := o.field(o.word(raw))
	if s.Mask != 0 {
		w &= s.Mask
	}
	for _, e := range s.Equals {
		if v, err := ParseSentinel(e); err == nil && w == v.word&mask(o.width()) {
			return true
		}
	}
	return false
}

// fetch reads the bytes of one source.
func (p *Profile) fetch(ctx context.Context, s Source, read ReadFunc) (operand, []byte, error) {
	o, ranges, bad := s.operand(p.Link.Protocol)
	if bad != nil {
		return o, nil, errors.New(bad.text)
	}
	var raw []byte
	for _, g := range ranges {
		b, err := read(ctx, g.Table, g.Address, g.Count)
		if err != nil {
			return o, nil, fmt.Errorf("read %s: %w", g, err)
		}
		if len(b) != g.Table.ByteCount(int(g.Count)) {
			return o, nil, fmt.Errorf("read %s: %d bytes came back, want %d", g, len(b), g.Table.ByteCount(int(g.Count)))
		}
		raw = append(raw, b...)
	}
	return o, raw, nil
}

// ReadIdentity reads what the device says about itself. What cannot be read
// stays empty and is told in the error; the rest is still returned.
func (p *Profile) ReadIdentity(ctx context.Context, read ReadFunc) (Identity, error) {
	id := p.Found
	var errs []error
	for _, f := range p.Identity {
		o, raw, err := p.fetch(ctx, f.Source, read)
		if err == nil {
			err = id.set(f.Name, o, raw)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", f.Name, err))
		}
	}
	return id, errors.Join(errs...)
}

func (id *Identity) set(name IDName, o operand, raw []byte) error {
	var text string
	var err error
	if o.typ.text() {
		text, err = o.text(raw)
	} else {
		var d Decimal
		d, err = o.number(raw)
		text = d.String()
	}
	if err != nil {
		return err
	}
	text = strings.TrimSpace(text)
	switch name {
	case IDManufacturer:
		id.Manufacturer = text
	case IDModel:
		id.Model = text
	case IDSerial:
		id.Serial = text
	case IDFirmware:
		id.Firmware = text
	default:
		return fmt.Errorf("unknown identity field %q", name)
	}
	return nil
}
