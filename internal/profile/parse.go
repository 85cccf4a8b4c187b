package profile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yunhe/internal/strictyaml"
	"yunhe/internal/telemetry"
)

// maxText bounds a profile: the longest known one has under 64 KiB.
const maxText = 256 << 10

// Parse reads a profile. The name is used in messages only. An error is of
// type strictyaml.Faults and holds everything that is wrong at once.
func Parse(name string, text []byte) (*Profile, error) {
	file, root := strictyaml.Parse(name, text, maxText, strictyaml.WithColumns())
	if err := file.Err(); err != nil {
		return nil, err
	}
	p := &Profile{Hash: sha256.Sum256(text)}
	r := &reader{file: file}
	r.profile(root, p)
	for _, f := range p.resolve() {
		if !file.Faulty(f.key) {
			file.Fault(f.key, "%s", f.text)
		}
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// reader reads the parts of a profile. Table and orders at the top of a file
// hold for every point that does not say otherwise.
type reader struct {
	file        *strictyaml.File
	table       Table
	lsw, little bool
}

func (r *reader) profile(root strictyaml.Node, p *Profile) {
	o := profileShape.read(root)
	value(o.At("table"), &r.table, ParseTable)
	word(o.At("word_order"), &r.lsw, wordOrders)
	word(o.At("byte_order"), &r.little, byteOrders)
	o.At("profile").Into(&p.ID, "the id of the profile")
	whole(o, "version", &p.Version)
	o.At("kind").Into(&p.Kind, "the kind of device")
	o.At("vendor").Into(&p.Vendor, "the vendor")
	o.At("model").Into(&p.Model, "the model")
	o.At("note").Into(&p.Note, "a sentence")
	r.link(o.At("link"), &p.Link)
	for _, n := range o.At("areas").List() {
		p.Areas = append(p.Areas, r.area(n))
	}
	for _, n := range o.At("match").List() {
		p.Match = append(p.Match, r.step(n))
	}
	p.Identity = r.identity(o.At("identity"))
	for _, n := range o.At("points").List() {
		p.Points = append(p.Points, r.point(n))
	}
	for _, n := range o.At("atomic").List() {
		var names []string
		n.Texts(&names, "the name of a point")
		p.Atomic = append(p.Atomic, names)
	}
	o.At("sources").Texts(&p.Sources, "where the map comes from")
	word(o.At("confidence"), &p.Confidence, confidences)
}

func (r *reader) area(n strictyaml.Node) Area {
	a := Area{Table: r.table}
	o := areaShape.read(n)
	value(o.At("table"), &a.Table, ParseTable)
	whole(o, "from", &a.From)
	whole(o, "to", &a.To)
	o.At("single").Bool(&a.Single)
	for _, k := range []string{"from", "to"} {
		if !o.At(k).Present() {
			o.At(k).Fault("is missing: an area has a first and a last address")
		}
	}
	return a
}

// place refuses a source that does not say where it stands, as 0 is an
// address like any other, or says it in two ways.
func (r *reader) place(o object, ways ...string) {
	var said []string
	for _, w := range ways {
		if o.At(w).Present() {
			said = append(said, w)
		}
	}
	switch n := o.At("address"); {
	case len(said) > 1:
		n.Fault("%s exclude one another: keep one", strings.Join(said, " and "))
	case len(said) == 0 && !r.file.Faulty(n.Key()):
		n.Fault("the address is missing: give address, or words for registers that are not adjacent")
	}
}

// source reads the keys of a Source.
func (r *reader) source(o object) Source {
	s := Source{Table: r.table}
	lsw, little := r.lsw, r.little
	value(o.At("table"), &s.Table, ParseTable)
	whole(o, "address", &s.Address)
	for _, n := range o.At("words").List() {
		s.Words = append(s.Words, address(n))
	}
	value(o.At("type"), &s.Type, parseType)
	whole(o, "length", &s.Length)
	word(o.At("word_order"), &lsw, wordOrders)
	word(o.At("byte_order"), &little, byteOrders)
	s.Order = NewOrder(lsw, little)
	s.Bits = r.bits(o.At("bits"))
	return s
}

func address(n strictyaml.Node) uint16 {
	var u uint64
	n.Uint(&u, 0, 65535)
	return uint16(u)
}

func parseType(s string) (RegisterType, error) {
	if t := RegisterType(s); t.valid() {
		return t, nil
	}
	return "", fmt.Errorf("unknown register type %q: use u8 to u64, s8 to s64, f32, f64, bcd16 to bcd64, string, hex or bool", clip(s))
}

func (r *reader) bits(n strictyaml.Node) *Bits {
	if !n.Present() {
		return nil
	}
	b := &Bits{Count: 1}
	o := bitsShape.read(n)
	whole(o, "from", &b.From)
	whole(o, "count", &b.Count)
	return b
}

func (r *reader) step(n strictyaml.Node) Step {
	o := stepShape.read(n)
	s := Step{Source: r.source(o)}
	o.At("note").Into(&s.Note, "a sentence")
	whole(o, "mask", &s.Mask)
	o.At("equals").Texts(&s.Equals, "a raw value")
	for _, n := range o.At("between").List() {
		var d Decimal
		value(n, &d, ParseDecimal)
		s.Between = append(s.Between, d)
	}
	r.place(o, "address", "words")
	return s
}

func (r *reader) identity(n strictyaml.Node) (list []IDField) {
	o := identityShape.read(n)
	for _, k := range o.Keys() {
		f := sourceShape.read(o.At(k))
		list = append(list, IDField{IDName(k), r.source(f)})
		r.place(f, "address", "words")
	}
	return list
}

// value reads a value that may be absent by a parser of text.
func value[T any](n strictyaml.Node, to *T, parse func(string) (T, error)) {
	n.Parse(func(s string) error {
		v, err := parse(s)
		if err == nil {
			*to = v
		}
		return err
	})
}

// word reads one of a few words.
func word[T any](n strictyaml.Node, to *T, words map[string]T) {
	value(n, to, func(s string) (T, error) {
		v, ok := words[s]
		if !ok {
			return v, fmt.Errorf("%q is unknown: use %s", clip(s), strings.Join(sortedKeys(words), ", "))
		}
		return v, nil
	})
}

func duration(n strictyaml.Node, to *time.Duration) {
	value(n, to, func(s string) (time.Duration, error) {
		d, err := strictyaml.ParseDuration(s)
		if err == nil && d > 5*time.Minute {
			err = errors.New("no device needs more than 5m")
		}
		return d, err
	})
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

var (
	confidences = map[string]Confidence{"high": High, "medium": Medium, "low": Low}
	wordOrders  = map[string]bool{"msw": false, "lsw": true}
	byteOrders  = map[string]bool{"big": false, "little": true}
	protocols   = map[string]Protocol{"modbus": Modbus, "i2c": I2C}
	parities    = map[string]string{"none": "none", "even": "even", "odd": "odd"}
	groupNames  = map[string]Groups{"fast": Fast, "slow": Slow}
	resetNames  = map[string]Reset{
		"daily": ResetDaily, "monthly": ResetMonthly, "yearly": ResetYearly,
		"manual": ResetManual, "power_off": ResetPower,
	}
)

// What holds where link says nothing.
const (
	defaultTimeout = time.Second
	defaultMaxBits = 2000 // Modbus application protocol 6.1
)

// quantity reads the name of a quantity; resolve says whether there is one.
func quantity(n strictyaml.Node, to *telemetry.Quantity) {
	n.Into((*string)(to), "a quantity of the vocabulary")
}

func sortedKeys[K ~string, V any](m map[K]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, string(k))
	}
	slices.Sort(keys)
	return keys
}

func join(key, name string) string {
	if key == "" || name == "" {
		return key + name
	}
	return key + "." + name
}
