package profile

import (
	_ "embed"

	"yunhe/internal/strictyaml"
)

//go:embed sunspec.yaml
var sunspecText []byte

// sunspecModels is read once from the embedded table and never changed.
var sunspecModels = mustModels(sunspecText)

type sunspecTable struct {
	version int
	models  map[uint16]*sunspecModel
}

type sunspecModel struct {
	kind   string
	points []sunspecPoint
}

// sunspecPoint is a point at an offset inside its model.
type sunspecPoint struct {
	Point    // without its place
	identity IDName
	offset   uint16
	count    uint16 // registers
	sf       uint16 // offset of the scale factor; 0: none
	only     []uint16
	optional bool
}

// sunspecType is how a SunSpec type is stored and says "not implemented".
type sunspecType struct {
	typ   RegisterType
	count uint16
	na    string
}

// Types and their "not implemented" values: SunSpec Device Information Model
// Specification, 6.4 and 6.5.
var sunspecTypes = map[string]sunspecType{
	"int16": {S16, 1, "0x8000"}, "uint16": {U16, 1, "0xFFFF"}, "acc16": {U16, 1, "0"},
	"enum16": {U16, 1, "0xFFFF"}, "bitfield16": {U16, 1, "0xFFFF"},
	"int32": {S32, 2, "0x80000000"}, "uint32": {U32, 2, "0xFFFFFFFF"}, "acc32": {U32, 2, "0"},
	"enum32": {U32, 2, "0xFFFFFFFF"}, "bitfield32": {U32, 2, "0xFFFFFFFF"},
	"int64": {S64, 4, "0x8000000000000000"}, "uint64": {U64, 4, "0xFFFFFFFFFFFFFFFF"}, "acc64": {U64, 4, "0"},
	"float32": {F32, 2, "nan"}, "string": {Text, 0, "empty"},
}

func modelOf(id uint16) *sunspecModel {
	if m, ok := sunspecModels.models[id]; ok {
		return m
	}
	return &sunspecModel{}
}

func (s *sunspecPoint) inside(m foundModel) bool {
	last := 2 + int(m.length)
	return int(s.offset+s.count) <= last && int(s.sf) < last && int(m.start)+last <= 65536
}

func (s *sunspecPoint) source(m foundModel) Source {
	src := s.Source
	src.Address = m.start + s.offset
	return src
}

// The table is read like a profile; it has a shape of its own.
var (
	sunspecShape      = shape{"version": integer(1, 1<<30), "models": listOf(1, 0, mapping(sunspecModelShape))}
	sunspecModelShape = shape{"ids": listOf(1, 0, register), "kind": text(""), "points": listOf(1, 0, mapping(sunspecPointShape))}
	sunspecPointShape = shape{
		"name": text(""), "quantity": text(""), "note": text(""), "scale": scaling, "group": words(groupNames),
		"enum": mapOf("", text("")), "offset": integer(2, 65535), "length": integer(1, 125), "sf": integer(2, 65535),
		"only": listOf(1, 0, register), "optional": flagged, "identity": text(""), "type": words(sunspecTypes),
	}
)

// mustModels reads the embedded table; a test reads it as well, so a fault in
// it never leaves the house.
func mustModels(b []byte) sunspecTable {
	file, root := strictyaml.Parse("sunspec.yaml", b, maxText, strictyaml.WithColumns())
	t := sunspecTable{models: map[uint16]*sunspecModel{}}
	o := sunspecShape.read(root)
	whole(o, "version", &t.version)
	for _, n := range o.At("models").List() {
		o := sunspecModelShape.read(n)
		m := &sunspecModel{}
		o.At("kind").Into(&m.kind, "the kind of device")
		for _, n := range o.At("points").List() {
			m.points = append(m.points, readSunspecPoint(n))
		}
		for _, id := range o.At("ids").List() {
			t.models[address(id)] = m
		}
	}
	if err := file.Err(); err != nil {
		panic(err) // embedded at build time, not input
	}
	return t
}

func readSunspecPoint(n strictyaml.Node) sunspecPoint {
	o := sunspecPointShape.read(n)
	var s sunspecPoint
	s.Point = Point{Enabled: true, Group: Fast, Scale: Scale{Num: NewDecimal(1, 0)}, CounterBits: unsetBits}
	o.At("name").Into(&s.Name, "the name of the point")
	quantity(o.At("quantity"), &s.Quantity)
	o.At("note").Into(&s.Note, "a sentence")
	value(o.At("scale"), &s.Scale, ParseScale)
	word(o.At("group"), &s.Group, groupNames)
	s.Enum = enum(o.At("enum"))
	whole(o, "offset", &s.offset)
	whole(o, "sf", &s.sf)
	for _, id := range o.At("only").List() {
		s.only = append(s.only, address(id))
	}
	o.At("optional").Bool(&s.optional)
	o.At("identity").Into((*string)(&s.identity), "a field of the identity")
	var t sunspecType
	word(o.At("type"), &t, sunspecTypes)
	s.Source = Source{Table: Holding, Type: t.typ}
	s.count = t.count
	value(o.At("type"), &s.NA, func(string) ([]Sentinel, error) {
		na, err := ParseSentinel(t.na)
		return []Sentinel{na}, err
	})
	if t.typ == Text {
		whole(o, "length", &s.Length)
		s.count = s.Length
	}
	if s.offset < 2 || s.count == 0 {
		n.Fault("offset and type are needed: %d, %d registers", s.offset, s.count)
	}
	return s
}
