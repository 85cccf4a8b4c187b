package evidence

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"yunhe/internal/telemetry"
)

// Definition says what the readings of one device mean. Batches cite its
// hash, which does not depend on jid or jseq.
type Definition struct {
	Site, Gateway, Device           string
	Kind                            string // of device: the measurement in the series store
	Profile                         string
	ProfileVersion                  int
	ProfileHash                     Hash
	Vendor, Model, Serial, Firmware string // as read; empty if the device does not say
	Points                          []PointDef
}

// PointDef says what one point of a Definition means.
type PointDef struct {
	Name         string
	Quantity     telemetry.Quantity
	Unit         telemetry.Unit
	Class        telemetry.Class
	Type         telemetry.Type
	Table        string // register table
	Address      uint32 // zero-based
	RegisterType string
	WordOrder    string
	// Scale turns the register into Unit: an exact decimal, required for
	// counters; for others also a fraction (2500000/9), or empty where there is
	// none (texts, flags, states).
	Scale       string
	CounterBits uint8 // width at which a counter wraps; 0 if it does not or is none
}

// definitionForm and pointForm are the encoded forms.
type definitionForm struct {
	Version        int         `cbor:"v"`
	Site           string      `cbor:"site"`
	Gateway        string      `cbor:"gateway"`
	Device         string      `cbor:"device"`
	Kind           string      `cbor:"kind"`
	Profile        string      `cbor:"profile"`
	ProfileVersion int         `cbor:"profile_version"`
	ProfileHash    Hash        `cbor:"profile_hash"`
	Vendor         string      `cbor:"vendor"`
	Model          string      `cbor:"model"`
	Serial         string      `cbor:"serial"`
	Firmware       string      `cbor:"firmware"`
	Points         []pointForm `cbor:"points"`
}

type pointForm struct {
	Name         string `cbor:"name"`
	Quantity     string `cbor:"quantity"`
	Unit         string `cbor:"unit"`
	Class        string `cbor:"class"`
	Type         string `cbor:"type"`
	Table        string `cbor:"table"`
	Address      uint32 `cbor:"address"`
	RegisterType string `cbor:"register_type"`
	WordOrder    string `cbor:"word_order"`
	Scale        string `cbor:"scale"`
	CounterBits  uint8  `cbor:"counter_bits"`
}

// Encode returns the one deterministic encoding of a valid definition; its
// points are sorted by name.
func (d Definition) Encode() ([]byte, error) {
	d.Points = slices.Clone(d.Points)
	slices.SortFunc(d.Points, func(a, b PointDef) int { return cmp.Compare(a.Name, b.Name) })
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("encode definition of %s: %w", d.Device, err)
	}
	form := definitionForm{
		Version: contentVersion, Site: d.Site, Gateway: d.Gateway, Device: d.Device, Kind: d.Kind,
		Profile: d.Profile, ProfileVersion: d.ProfileVersion, ProfileHash: d.ProfileHash,
		Vendor: d.Vendor, Model: d.Model, Serial: d.Serial, Firmware: d.Firmware,
		Points: make([]pointForm, len(d.Points)),
	}
	for i, p := range d.Points {
		form.Points[i] = pointForm{
			Name: p.Name, Quantity: string(p.Quantity), Unit: string(p.Unit),
			Class: p.Class.String(), Type: p.Type.String(), Table: p.Table, Address: p.Address,
			RegisterType: p.RegisterType, WordOrder: p.WordOrder, Scale: p.Scale, CounterBits: p.CounterBits,
		}
	}
	b, err := encodeData(form)
	if err != nil {
		return nil, fmt.Errorf("encode definition of %s: %w", d.Device, err)
	}
	return b, nil
}

// DecodeDefinition is the strict inverse of Encode.
func DecodeDefinition(data []byte) (Definition, error) {
	var form definitionForm
	if err := decodeData(data, &form); err != nil {
		return Definition{}, fmt.Errorf("decode definition: %w", err)
	}
	if form.Version != contentVersion {
		return Definition{}, fmt.Errorf("decode definition: version %d, this program knows version %d: update it", form.Version, contentVersion)
	}
	d := Definition{
		Site: form.Site, Gateway: form.Gateway, Device: form.Device, Kind: form.Kind,
		Profile: form.Profile, ProfileVersion: form.ProfileVersion, ProfileHash: form.ProfileHash,
		Vendor: form.Vendor, Model: form.Model, Serial: form.Serial, Firmware: form.Firmware,
		Points: make([]PointDef, len(form.Points)),
	}
	for i, p := range form.Points {
		d.Points[i] = PointDef{
			Name: p.Name, Quantity: telemetry.Quantity(p.Quantity), Unit: telemetry.Unit(p.Unit),
			Class: parseClass(p.Class), Type: parseType(p.Type), Table: p.Table, Address: p.Address,
			RegisterType: p.RegisterType, WordOrder: p.WordOrder, Scale: p.Scale, CounterBits: p.CounterBits,
		}
	}
	if err := d.Check(); err != nil {
		return Definition{}, fmt.Errorf("decode definition: %w", err)
	}
	return d, nil
}

// parseClass returns 0 for an unknown name, which Check refuses.
func parseClass(s string) telemetry.Class {
	for c := telemetry.Gauge; c <= telemetry.Status; c++ {
		if s == c.String() {
			return c
		}
	}
	return 0
}

func parseType(s string) telemetry.Type {
	for t := telemetry.TypeFloat; t.Valid(); t++ {
		if s == t.String() {
			return t
		}
	}
	return 0
}

// kindPattern is the form of device kinds: they become measurements.
var kindPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// scalePattern is the form of scales: exact decimals, and fractions of one and
// a whole number.
var scalePattern = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?(/[1-9][0-9]{0,9})?$`)

// Check reports what makes d no definition. Its points are sorted by name.
func (d Definition) Check() error {
	if err := cmp.Or(telemetry.CheckID(d.Site), telemetry.CheckID(d.Gateway), telemetry.CheckID(d.Device)); err != nil {
		return err
	}
	if !kindPattern.MatchString(d.Kind) {
		return fmt.Errorf("kind: %q is not 1 to 63 of a-z, 0-9, _ and -, starting with a letter", d.Kind)
	}
	for _, t := range [][2]string{
		{"profile", d.Profile}, {"vendor", d.Vendor}, {"model", d.Model}, {"serial", d.Serial}, {"firmware", d.Firmware},
	} {
		if err := checkText(t[0], t[1], maxShortText); err != nil {
			return err
		}
	}
	if d.Profile == "" || d.ProfileVersion < 0 || d.ProfileHash.IsZero() {
		return errors.New("profile: name, version and hash are needed")
	}
	if n := len(d.Points); n == 0 || n > MaxPoints {
		return fmt.Errorf("points: %d, a definition has 1 to %d", n, MaxPoints)
	}
	for i, p := range d.Points {
		if err := p.check(); err != nil {
			return fmt.Errorf("point %s: %w", p.Name, err)
		}
		if i > 0 && d.Points[i-1].Name >= p.Name {
			return fmt.Errorf("point %s: named twice or out of order", p.Name)
		}
	}
	return nil
}

func (p PointDef) check() error {
	if err := telemetry.CheckPoint(p.Name); err != nil {
		return err
	}
	info, ok := telemetry.LookupQuantity(p.Quantity)
	if !ok {
		return fmt.Errorf("quantity %.60q is not in the vocabulary", p.Quantity)
	}
	if p.Unit != info.Unit || p.Class != info.Class || p.Type != info.Type {
		return fmt.Errorf("%s is a %s of type %s in %s, not a %s of type %s in %s",
			p.Quantity, info.Class, info.Type, info.Unit, p.Class, p.Type, p.Unit)
	}
	if err := cmp.Or(checkNeeded("table", p.Table, maxShortText), checkNeeded("register type", p.RegisterType, MaxText),
		checkText("word order", p.WordOrder, maxShortText)); err != nil {
		return err
	}
	switch {
	case p.Scale == "" && p.Class == telemetry.Counter:
		return errors.New("a counter needs a scale, 1 if its register is in the unit")
	case p.Scale != "" && !scalePattern.MatchString(p.Scale):
		return fmt.Errorf("scale %.60q is not a decimal like 0.01", p.Scale)
	case p.Class == telemetry.Counter && strings.Contains(p.Scale, "/"):
		return fmt.Errorf("scale %.60q: a counter needs an exact decimal", p.Scale)
	case p.CounterBits > 64 || p.CounterBits > 0 && p.Class != telemetry.Counter:
		return fmt.Errorf("%d counter bits for a %s", p.CounterBits, p.Class)
	}
	return nil
}

// CheckReadings reports the first reading that d does not explain: a point it
// does not name, another type, a counter with a value and no raw bytes.
func (d Definition) CheckReadings(rs []telemetry.Reading) error {
	for i := range rs {
		r := &rs[i]
		at, ok := slices.BinarySearchFunc(d.Points, r.Point, func(p PointDef, name string) int { return cmp.Compare(p.Name, name) })
		if !ok {
			return fmt.Errorf("point %s: not in the definition of %s", r.Point, d.Device)
		}
		p := &d.Points[at]
		if r.Type != p.Type {
			return fmt.Errorf("point %s: the definition says %s, the reading is %s", r.Point, p.Type, r.Type)
		}
		if p.Class == telemetry.Counter && r.Quality != telemetry.Bad && len(r.Raw) == 0 {
			return fmt.Errorf("point %s: a counter without the register bytes it was read from", r.Point)
		}
	}
	return nil
}
