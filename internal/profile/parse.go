package profile

import (
	"crypto/sha256"
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"yunhe/internal/telemetry"
)

// Parse reads a profile. The name is used in messages only. An error is of
// type Faults and holds everything that is wrong at once.
func Parse(name string, text []byte) (*Profile, error) {
	r := &profileReader{reader: reader{file: name, place: placeMap{}}}
	root := r.parseYAML(text)
	if root == nil {
		return nil, r.err()
	}
	p := &Profile{Hash: sha256.Sum256(text)}
	r.profile(root, p)
	for _, f := range p.resolve() {
		if !r.told(f.key) {
			r.faultAt(f.key, f.text)
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// profileReader reads the parts of a profile. Table and orders at the top of
// a file hold for every point that does not say otherwise.
type profileReader struct {
	reader
	table       Table
	lsw, little bool
}

func (r *profileReader) profile(root ast.Node, p *Profile) {
	// What points inherit is read first, wherever it stands.
	defaults := fields{
		"table":      func(n ast.Node, k string) { r.table = parsed(&r.reader, n, k, ParseTable) },
		"word_order": func(n ast.Node, k string) { r.lsw = r.wordOrder(n, k) },
		"byte_order": func(n ast.Node, k string) { r.little = r.byteOrder(n, k) },
	}
	for _, kv := range r.pairs(root, "") {
		if t := nodeToken(kv.Key); t != nil && defaults[t.Value] != nil {
			defaults[t.Value](kv.Value, t.Value)
		}
	}
	skip := func(ast.Node, string) {}
	r.mapping(root, "", fields{
		"table": skip, "word_order": skip, "byte_order": skip,
		"profile": func(n ast.Node, k string) { p.ID = r.text(n, k) },
		"version": func(n ast.Node, k string) { p.Version = int(r.whole(n, k, 1, 1<<30)) },
		"kind":    func(n ast.Node, k string) { p.Kind = r.text(n, k) },
		"vendor":  func(n ast.Node, k string) { p.Vendor = r.text(n, k) },
		"model":   func(n ast.Node, k string) { p.Model = r.text(n, k) },
		"note":    func(n ast.Node, k string) { p.Note = r.text(n, k) },
		"link":    func(n ast.Node, k string) { r.link(n, k, &p.Link) },
		"areas": func(n ast.Node, k string) {
			r.list(n, k, func(n ast.Node, k string) { p.Areas = append(p.Areas, r.area(n, k)) })
		},
		"match": func(n ast.Node, k string) {
			r.list(n, k, func(n ast.Node, k string) { p.Match = append(p.Match, r.step(n, k)) })
		},
		"identity": func(n ast.Node, k string) { p.Identity = r.identity(n, k) },
		"points": func(n ast.Node, k string) {
			r.list(n, k, func(n ast.Node, k string) { p.Points = append(p.Points, r.point(n, k)) })
		},
		"atomic": func(n ast.Node, k string) {
			r.list(n, k, func(n ast.Node, k string) { p.Atomic = append(p.Atomic, r.texts(n, k)) })
		},
		"sources":    func(n ast.Node, k string) { p.Sources = r.texts(n, k) },
		"confidence": func(n ast.Node, k string) { p.Confidence = oneOf(&r.reader, n, k, confidences) },
	})
}

var confidences = map[string]Confidence{"high": High, "medium": Medium, "low": Low}

func (r *profileReader) texts(n ast.Node, key string) (list []string) {
	r.list(n, key, func(n ast.Node, k string) { list = append(list, r.text(n, k)) })
	return list
}

func (r *profileReader) wordOrder(n ast.Node, key string) bool {
	return oneOf(&r.reader, n, key, map[string]bool{"msw": false, "lsw": true})
}

func (r *profileReader) byteOrder(n ast.Node, key string) bool {
	return oneOf(&r.reader, n, key, map[string]bool{"big": false, "little": true})
}

func (r *profileReader) area(n ast.Node, key string) Area {
	a := Area{Table: r.table}
	r.mapping(n, key, fields{
		"table":  func(n ast.Node, k string) { a.Table = parsed(&r.reader, n, k, ParseTable) },
		"from":   func(n ast.Node, k string) { a.From = r.address(n, k) },
		"to":     func(n ast.Node, k string) { a.To = r.address(n, k) },
		"single": func(n ast.Node, k string) { a.Single = r.flag(n, k) },
	})
	return a
}

func (r *profileReader) address(n ast.Node, key string) uint16 {
	return uint16(r.whole(n, key, 0, 65535))
}

// needAddress refuses a source that does not say where it stands: 0 is an
// address like any other.
func (r *profileReader) needAddress(n ast.Node, key string, s Source) {
	if _, ok := r.place[key+".address"]; !ok && len(s.Words) == 0 && !r.told(key) {
		r.fault(n, key+".address", "the address is missing: give address, or words for registers that are not adjacent")
	}
}

// source adds the keys of a Source to known.
func (r *profileReader) source(s *Source, known fields) fields {
	*s = Source{Table: r.table, Order: NewOrder(r.lsw, r.little)}
	rd := &r.reader
	known["table"] = func(n ast.Node, k string) { s.Table = parsed(rd, n, k, ParseTable) }
	known["address"] = func(n ast.Node, k string) { s.Address = r.address(n, k) }
	known["words"] = func(n ast.Node, k string) {
		r.list(n, k, func(n ast.Node, k string) { s.Words = append(s.Words, r.address(n, k)) })
	}
	known["type"] = func(n ast.Node, k string) { s.Type = r.registerType(n, k) }
	known["length"] = func(n ast.Node, k string) { s.Length = uint16(r.whole(n, k, 1, 125)) }
	known["word_order"] = func(n ast.Node, k string) { s.Order = NewOrder(r.wordOrder(n, k), s.Order&BADC != 0) }
	known["byte_order"] = func(n ast.Node, k string) { s.Order = NewOrder(s.Order&CDAB != 0, r.byteOrder(n, k)) }
	known["bits"] = func(n ast.Node, k string) { s.Bits = r.bits(n, k) }
	return known
}

func (r *profileReader) registerType(n ast.Node, key string) RegisterType {
	return parsed(&r.reader, n, key, func(s string) (RegisterType, error) {
		if t := RegisterType(s); t.valid() {
			return t, nil
		}
		return "", fmt.Errorf("unknown register type %q: use u8 to u64, s8 to s64, f32, f64, bcd16 to bcd64, string, hex or bool", clip(s))
	})
}

func (r *profileReader) bits(n ast.Node, key string) *Bits {
	b := &Bits{Count: 1}
	r.mapping(n, key, fields{
		"from":  func(n ast.Node, k string) { b.From = uint8(r.whole(n, k, 0, 63)) },
		"count": func(n ast.Node, k string) { b.Count = uint8(r.whole(n, k, 1, 64)) },
	})
	return b
}

var (
	groupNames = map[string]Groups{"fast": Fast, "slow": Slow}
	resetNames = map[string]Reset{
		"daily": ResetDaily, "monthly": ResetMonthly, "yearly": ResetYearly,
		"manual": ResetManual, "power_off": ResetPower,
	}
)

func (r *profileReader) point(n ast.Node, key string) Point {
	p := Point{Group: Fast, Scale: Scale{Num: NewDecimal(1, 0)}, CounterBits: unsetBits}
	rd := &r.reader
	enabled := -1
	known := r.source(&p.Source, fields{
		"name":     func(n ast.Node, k string) { p.Name = r.text(n, k) },
		"quantity": func(n ast.Node, k string) { p.Quantity = telemetry.Quantity(r.text(n, k)) },
		"note":     func(n ast.Node, k string) { p.Note = r.text(n, k) },
		"parts": func(n ast.Node, k string) {
			r.list(n, k, func(n ast.Node, k string) { p.Parts = append(p.Parts, r.part(n, k)) })
		},
		"scale":        func(n ast.Node, k string) { p.Scale = parsed(rd, n, k, ParseScale) },
		"offset":       func(n ast.Node, k string) { p.Offset = parsed(rd, n, k, ParseDecimal) },
		"scale_factor": func(n ast.Node, k string) { p.Exponent = &Exponent{Address: r.address(n, k)} },
		"decimals":     func(n ast.Node, k string) { p.Exponent = &Exponent{Address: r.address(n, k), Negate: true} },
		"select":       func(n ast.Node, k string) { p.Select = r.selector(n, k) },
		"times":        func(n ast.Node, k string) { p.Times = r.texts(n, k) },
		"na":           func(n ast.Node, k string) { p.NA = r.sentinels(n, k) },
		"counter_bits": func(n ast.Node, k string) { p.CounterBits = uint8(r.whole(n, k, 0, 64)) },
		"reset":        func(n ast.Node, k string) { p.Reset = oneOf(rd, n, k, resetNames) },
		"restart":      func(n ast.Node, k string) { p.Restart = r.text(n, k) },
		"enum":         func(n ast.Node, k string) { p.Enum = r.enum(n, k) },
		"destructive":  func(n ast.Node, k string) { p.Destructive = r.flag(n, k) },
		"enabled":      func(n ast.Node, k string) { enabled = map[bool]int{true: 1}[r.flag(n, k)] },
		"group":        func(n ast.Node, k string) { p.Group = oneOf(rd, n, k, groupNames) },
		"confidence":   func(n ast.Node, k string) { p.Confidence = oneOf(rd, n, k, confidences) },
	})
	r.mapping(n, key, known)
	if len(p.Parts) == 0 {
		r.needAddress(n, key, p.Source)
	}
	p.Enabled = enabled == 1 || (enabled < 0 && !p.Destructive)
	for i := range p.Parts { // parts stand where the point says, in its orders
		part := &p.Parts[i].Source
		part.Table, part.Order = p.Table, p.Order
		if part.Type == "" {
			part.Type = p.Source.Type
		}
	}
	if p.Select != nil {
		p.Select.Table, p.Select.Order = p.Table, p.Order
	}
	return p
}

func (r *profileReader) part(n ast.Node, key string) Part {
	t := Part{Scale: NewDecimal(1, 0)}
	r.mapping(n, key, fields{
		"address": func(n ast.Node, k string) { t.Address = r.address(n, k) },
		"type":    func(n ast.Node, k string) { t.Source.Type = r.registerType(n, k) },
		"scale":   func(n ast.Node, k string) { t.Scale = parsed(&r.reader, n, k, ParseDecimal) },
		"bits":    func(n ast.Node, k string) { t.Bits = r.bits(n, k) },
		"na":      func(n ast.Node, k string) { t.NA = r.sentinels(n, k) },
	})
	r.needAddress(n, key, t.Source)
	return t
}

func (r *profileReader) selector(n ast.Node, key string) *Select {
	s := &Select{Source: Source{Type: U16}, Scales: map[string]Decimal{}}
	r.mapping(n, key, fields{
		"address": func(n ast.Node, k string) { s.Address = r.address(n, k) },
		"type":    func(n ast.Node, k string) { s.Type = r.registerType(n, k) },
		"length":  func(n ast.Node, k string) { s.Length = uint16(r.whole(n, k, 1, 125)) },
		"scales": func(n ast.Node, k string) {
			for _, kv := range r.pairs(n, k) {
				name, _ := r.scalar(kv.Key, k)
				s.Scales[name] = parsed(&r.reader, kv.Value, k+"."+name, ParseDecimal)
			}
		},
	})
	r.needAddress(n, key, s.Source)
	return s
}

func (r *profileReader) sentinels(n ast.Node, key string) (list []Sentinel) {
	r.list(n, key, func(n ast.Node, k string) {
		list = append(list, parsed(&r.reader, n, k, ParseSentinel))
	})
	return list
}

func (r *profileReader) enum(n ast.Node, key string) map[uint64]string {
	m := map[uint64]string{}
	for _, kv := range r.pairs(n, key) {
		m[r.whole(kv.Key, key, 0, 1<<63)] = r.text(kv.Value, key)
	}
	return m
}

func (r *profileReader) step(n ast.Node, key string) Step {
	var s Step
	r.mapping(n, key, r.source(&s.Source, fields{
		"note":   func(n ast.Node, k string) { s.Note = r.text(n, k) },
		"mask":   func(n ast.Node, k string) { s.Mask = r.whole(n, k, 1, 1<<64-1) },
		"equals": func(n ast.Node, k string) { s.Equals = r.texts(n, k) },
		"between": func(n ast.Node, k string) {
			r.list(n, k, func(n ast.Node, k string) {
				s.Between = append(s.Between, parsed(&r.reader, n, k, ParseDecimal))
			})
		},
	}))
	r.needAddress(n, key, s.Source)
	return s
}

func (r *profileReader) identity(n ast.Node, key string) (list []IDField) {
	field := func(name IDName) func(n ast.Node, k string) {
		return func(n ast.Node, k string) {
			f := IDField{Name: name}
			r.mapping(n, k, r.source(&f.Source, fields{}))
			r.needAddress(n, k, f.Source)
			list = append(list, f)
		}
	}
	r.mapping(n, key, fields{
		string(IDManufacturer): field(IDManufacturer), string(IDModel): field(IDModel),
		string(IDSerial): field(IDSerial), string(IDFirmware): field(IDFirmware),
	})
	return list
}
