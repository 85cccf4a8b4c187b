package poll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/profile"
)

// identifyEvery spaces the attempts to learn who a silent device is.
const identifyEvery = time.Minute

// identify learns once a start who the device is: the model chain of a
// SunSpec device, whether it is of the profile's model, serial and firmware.
func (d *Device) identify(ctx context.Context, tick time.Time) {
	if d.identified || tick.Sub(d.tried).Abs() < identifyEvery {
		return
	}
	d.tried = tick
	read := func(ctx context.Context, t profile.Table, address, count uint16) ([]byte, error) {
		raw, _, err := d.cfg.Reader.Read(ctx, t, address, count)
		return raw, err
	}
	p := d.profile
	if p == nil {
		found, err := profile.Discover(ctx, read)
		if err != nil {
			d.fail(fmt.Errorf("discover models: %w", err))
			return
		}
		p = found
	}
	err := p.Check(ctx, read)
	d.stranger = errors.Is(err, profile.ErrNoMatch)
	if d.stranger || err != nil && !refusal(err) {
		d.fail(err)
		return
	}
	id, err := p.ReadIdentity(ctx, read)
	if err != nil && !refusal(err) {
		d.fail(err)
		return
	}
	if err := d.adopt(p, id); err != nil {
		d.fail(err)
		return
	}
	d.identified = true
	d.cfg.Logger.Info("device identified", "device", d.cfg.Device, "profile", p.ID, "model", id.Model, "serial", id.Serial, "firmware", id.Firmware)
}

// adopt makes p and id the meaning of the readings from now on.
func (d *Device) adopt(p *profile.Profile, id profile.Identity) error {
	def := evidence.Definition{
		Site: d.cfg.Site, Gateway: d.cfg.Gateway, Device: d.cfg.Device, Kind: p.Kind,
		Profile: p.ID, ProfileVersion: p.Version, ProfileHash: p.Hash,
		Vendor: cmp.Or(id.Manufacturer, p.Vendor), Model: cmp.Or(id.Model, p.Model),
		Serial: id.Serial, Firmware: id.Firmware,
	}
	pl, err := p.Plan(Selection(p, d.cfg.Points))
	if err != nil {
		return err
	}
	for _, pt := range pl.Points() {
		point := evidence.PointDef(pt.Describe())
		if strings.Contains(point.Scale, "/") {
			point.Scale = "" // a gauge's fraction: no exact decimal exists, the signed value stands alone
		}
		def.Points = append(def.Points, point)
	}
	slices.SortFunc(def.Points, func(a, b evidence.PointDef) int { return cmp.Compare(a.Name, b.Name) })
	m, err := NewMeaning(def)
	if err != nil {
		return fmt.Errorf("define %s: %w", d.cfg.Device, err)
	}
	d.profile = p
	clear(d.plans)
	d.mu.Lock()
	changed := d.meaning == nil || d.meaning.Hash != m.Hash
	d.meaning = m
	d.mu.Unlock()
	if changed && d.cfg.Changed != nil {
		d.cfg.Changed()
	}
	return nil
}

// Selection turns the names of a config into what is added to and left out of
// what the profile enables.
func Selection(p *profile.Profile, points []string) profile.Options {
	if len(points) == 0 {
		return profile.Options{}
	}
	o := profile.Options{Enable: points}
	for _, pt := range p.Points {
		if pt.Enabled && !slices.Contains(points, pt.Name) {
			o.Disable = append(o.Disable, pt.Name)
		}
	}
	return o
}

// refusal reports whether the device answered that it will not: everything
// else is no answer.
func refusal(err error) bool {
	var r interface {
		error
		Illegal() bool
	}
	return errors.As(err, &r) && r.Illegal()
}
