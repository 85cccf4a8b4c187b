package profile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// SunSpecBases are the addresses where a SunSpec map may start.
func SunSpecBases() []uint16 { return []uint16{40000, 50000, 0} }

const (
	sunspecMagic = "SunS"
	endModel     = 0xFFFF
	// maxModels bounds a walk. The longest chain seen in the field has about
	// thirty; a device that counts on without end is broken.
	maxModels = 128
)

// ErrNoSunSpec is what Discover gives when a device answers and none of the
// base addresses holds the SunSpec mark.
var ErrNoSunSpec = errors.New("the device has no SunSpec map")

// foundModel is one model of a chain.
type foundModel struct {
	id     uint16
	start  uint16 // register of the ID
	length uint16 // data registers behind ID and length, as the device says
}

// Discover makes a profile of a SunSpec device: it looks for the mark at the
// base addresses, walks the model chain, reads the identity from model 1 and
// gives the points of the models it knows their real addresses. Models it
// does not know are skipped by the length the device states. A second common
// model starts another device and ends the walk. Optional points that the
// device does not implement are in the profile, but not enabled; see leaveOut
// for how that is told from a value that is missing for the night.
func Discover(ctx context.Context, read ReadFunc) (*Profile, error) {
	base, err := findSunSpec(ctx, read)
	if err != nil {
		return nil, fmt.Errorf("discover SunSpec: %w", err)
	}
	chain, err := walk(ctx, read, base)
	if err != nil {
		return nil, fmt.Errorf("discover SunSpec from %d: %w", base, err)
	}
	p, optional, err := assemble(chain)
	if err != nil {
		return nil, fmt.Errorf("discover SunSpec from %d: %w", base, err)
	}
	if p.Found, err = p.ReadIdentity(ctx, read); err != nil {
		return nil, fmt.Errorf("discover SunSpec from %d: %w", base, err)
	}
	p.Vendor, p.Model = cmp.Or(p.Found.Manufacturer, p.Vendor), cmp.Or(p.Found.Model, p.Model)
	if err := p.leaveOut(ctx, read, optional); err != nil {
		return nil, fmt.Errorf("discover SunSpec from %d: %w", base, err)
	}
	p.Hash = p.mapHash()
	return p, nil
}

// findSunSpec returns the base address that holds the mark.
func findSunSpec(ctx context.Context, read ReadFunc) (uint16, error) {
	var errs []error
	for _, base := range SunSpecBases() {
		raw, err := readExactly(ctx, read, base, 2)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err == nil && string(raw) == sunspecMagic {
			return base, nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(SunSpecBases()) {
		return 0, errors.Join(errs...)
	}
	return 0, ErrNoSunSpec
}

func readExactly(ctx context.Context, read ReadFunc, address, count uint16) ([]byte, error) {
	raw, err := read(ctx, Holding, address, count)
	if err == nil && len(raw) != 2*int(count) {
		err = fmt.Errorf("%d bytes came back, want %d", len(raw), 2*count)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", Range{Holding, address, count}, err)
	}
	return raw, nil
}

// walk follows the chain of model headers.
func walk(ctx context.Context, read ReadFunc, base uint16) ([]foundModel, error) {
	var chain []foundModel
	measures := false
	for at := int(base) + 2; ; {
		if at+2 > 65536 {
			return nil, fmt.Errorf("the chain runs past register 65535 without an end model")
		}
		if len(chain) == maxModels {
			return nil, fmt.Errorf("the chain has more than %d models and no end model", maxModels)
		}
		raw, err := readExactly(ctx, read, uint16(at), 2)
		if err != nil && measures && ctx.Err() == nil {
			return chain, nil // some devices have no end model: nothing behind is readable
		}
		if err != nil {
			return nil, fmt.Errorf("read model header: %w", err)
		}
		m := foundModel{uint16(raw[0])<<8 | uint16(raw[1]), uint16(at), uint16(raw[2])<<8 | uint16(raw[3])}
		second := m.id == 1 && len(chain) > 0
		switch {
		case m.id == endModel, second, m.id == 0 && measures:
			return chain, nil
		case len(chain) == 0 && m.id != 1:
			return nil, fmt.Errorf("the chain starts with model %d at %d, not with the common model 1", m.id, at)
		case m.id == 0 || m.length == 0:
			return nil, fmt.Errorf("the chain is broken: model %d at %d has length %d", m.id, at, m.length)
		}
		chain = append(chain, m)
		measures = measures || modelOf(m.id).kind != ""
		at += 2 + int(m.length)
	}
}

// assemble builds the profile of a chain. The names of optional points come
// with it.
func assemble(chain []foundModel) (*Profile, []string, error) {
	p := &Profile{
		Version: sunspecModels.version, Vendor: "SunSpec", Model: "SunSpec device", Confidence: High,
		Sources: []string{"github.com/sunspec/models, information models (Apache-2.0)"},
		Link: Link{Protocol: Modbus, MaxRegisters: 125, MaxBits: 2000, GapFill: 60, Timeout: 2 * time.Second,
			Retries: 2, NightOffline: true},
	}
	var optional []string
	count := map[uint16]int{}
	for _, m := range chain {
		d := modelOf(m.id)
		if m.id != 1 && d.kind == "" {
			continue
		}
		count[m.id]++
		end := min(int(m.start)+1+int(m.length), 65535)
		p.Areas = append(p.Areas, Area{Table: Holding, From: m.start, To: uint16(end)})
		if d.kind != "" && p.Kind == "" {
			p.Kind, p.ID = d.kind, fmt.Sprintf("sunspec-%d", m.id)
		}
		if m.id == 1 {
			p.Identity = d.identityAt(m)
			continue
		}
		optional = append(optional, d.pointsAt(m, count[m.id], p)...)
	}
	if p.Kind == "" {
		return nil, nil, fmt.Errorf("none of the models %v is known to measure anything", ids(chain))
	}
	if bad := p.resolve(); len(bad) > 0 {
		return nil, nil, fmt.Errorf("models %v: %s: %s", ids(chain), bad[0].key, bad[0].text)
	}
	return p, optional, nil
}

func ids(chain []foundModel) []uint16 {
	out := make([]uint16, len(chain))
	for i, m := range chain {
		out[i] = m.id
	}
	return out
}

// identityAt returns where the identity stands, without what the device's
// model is too short for.
func (d *sunspecModel) identityAt(m foundModel) []IDField {
	var out []IDField
	for _, s := range d.points {
		if s.identity != "" && s.inside(m) {
			out = append(out, IDField{s.identity, s.source(m)})
		}
	}
	return out
}

// pointsAt adds the points of a model to p and returns the names of the
// optional ones. The nth model of its kind has _n behind its names.
func (d *sunspecModel) pointsAt(m foundModel, n int, p *Profile) (optional []string) {
	for _, s := range d.points {
		if !s.inside(m) || (len(s.only) > 0 && !slices.Contains(s.only, m.id)) {
			continue
		}
		pt := s.Point
		pt.Source = s.source(m)
		if n > 1 {
			pt.Name = fmt.Sprintf("%s_%d", pt.Name, n)
		}
		if s.sf != 0 {
			pt.Exponent = &Exponent{Address: m.start + s.sf}
		}
		p.Points = append(p.Points, pt)
		if s.optional {
			optional = append(optional, pt.Name)
		}
	}
	return optional
}

// leaveOut switches off optional points that the device does not implement,
// by one read of them all. "Not implemented" in the register of a value is
// also what inverters say at night of values they have by day, so a value is
// given up only where the night is no excuse:
//
//   - it has no scale factor: states and bit fields exist at night;
//   - its scale factor is not implemented either: then it never comes;
//   - a mandatory value with the same scale factor is there: the device
//     measures these now, this one it does not (line-to-line voltages beside
//     phase voltages, further temperatures beside that of the cabinet).
//
// Mandatory points stay, and so do accumulators, which start at 0.
func (p *Profile) leaveOut(ctx context.Context, read ReadFunc, optional []string) error {
	raws, err := p.readOnce(ctx, read)
	if err != nil {
		return err
	}
	awake := map[Range]bool{} // scale factors of mandatory values that are there
	for i := range p.Points {
		pt := &p.Points[i]
		if pt.Exponent == nil || slices.Contains(optional, pt.Name) {
			continue
		}
		if _, err := pt.decode(raws[pt.Name]); err == nil {
			awake[pt.exponentRange()] = true
		}
	}
	for _, name := range optional {
		pt, _ := p.Point(name)
		raw := raws[name]
		if _, err := pt.decode(raw); !errors.Is(err, ErrNotAvailable) {
			continue
		}
		pt.Enabled = pt.Exponent != nil && !awake[pt.exponentRange()] &&
			pt.formula.exponentOperand().word(raw[len(raw)-2:]) != 0x8000
	}
	return nil
}

// readOnce reads every point of a discovered map; raw bytes by name.
func (p *Profile) readOnce(ctx context.Context, read ReadFunc) (map[string][]byte, error) {
	plan, err := p.Plan(Options{})
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, b := range plan.Blocks {
		raw, err := readExactly(ctx, read, b.Address, b.Count)
		if err != nil {
			return nil, err
		}
		results = append(results, Result{Block: b, Raw: raw})
	}
	raws := map[string][]byte{}
	for i := range p.Points {
		pt := &p.Points[i]
		if r := find(results, pt.span); r != nil && r.Err == nil {
			for _, w := range pt.words {
				raws[pt.Name] = append(raws[pt.Name], r.slice(w)...)
			}
		}
	}
	return raws, nil
}

// mapHash identifies a map that was not parsed from a file: by what it says
// of its points. Two devices with the same layout have the same hash.
func (p *Profile) mapHash() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", p.ID, p.Version)
	for i := range p.Points {
		fmt.Fprintf(h, "%+v %v\n", p.Points[i].Describe(), p.Points[i].NA)
	}
	return [32]byte(h.Sum(nil))
}
