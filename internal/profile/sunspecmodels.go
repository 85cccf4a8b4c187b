package profile

import (
	_ "embed"

	"github.com/goccy/go-yaml/ast"

	"yunhe/internal/telemetry"
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

// mustModels reads the embedded table; a test reads it as well, so a fault in
// it never leaves the house.
func mustModels(text []byte) sunspecTable {
	r := &profileReader{reader: reader{file: "sunspec.yaml", place: placeMap{}}}
	t := sunspecTable{models: map[uint16]*sunspecModel{}}
	if root := r.parseYAML(text); root != nil {
		r.mapping(root, "", fields{
			"version": func(n ast.Node, k string) { t.version = int(r.whole(n, k, 1, 1<<30)) },
			"models": func(n ast.Node, k string) {
				r.list(n, k, func(n ast.Node, k string) { r.sunspecModel(n, k, &t) })
			},
		})
	}
	if err := r.err(); err != nil {
		panic(err) // embedded at build time, not input
	}
	return t
}

func (r *profileReader) sunspecModel(n ast.Node, key string, t *sunspecTable) {
	m := &sunspecModel{}
	r.mapping(n, key, fields{
		"ids": func(n ast.Node, k string) {
			for _, id := range r.numbers(n, k) {
				t.models[id] = m
			}
		},
		"kind": func(n ast.Node, k string) { m.kind = r.text(n, k) },
		"points": func(n ast.Node, k string) {
			r.list(n, k, func(n ast.Node, k string) { m.points = append(m.points, r.sunspecPoint(n, k)) })
		},
	})
}

func (r *profileReader) numbers(n ast.Node, key string) (list []uint16) {
	r.list(n, key, func(n ast.Node, k string) { list = append(list, r.address(n, k)) })
	return list
}

func (r *profileReader) sunspecPoint(n ast.Node, key string) sunspecPoint {
	var s sunspecPoint
	s.Point = Point{Enabled: true, Group: Fast, Scale: Scale{Num: NewDecimal(1, 0)}, CounterBits: unsetBits}
	var length uint16
	rd := &r.reader
	r.mapping(n, key, fields{
		"name":     func(n ast.Node, k string) { s.Name = r.text(n, k) },
		"quantity": func(n ast.Node, k string) { s.Quantity = telemetry.Quantity(r.text(n, k)) },
		"note":     func(n ast.Node, k string) { s.Note = r.text(n, k) },
		"scale":    func(n ast.Node, k string) { s.Scale = parsed(rd, n, k, ParseScale) },
		"group":    func(n ast.Node, k string) { s.Group = oneOf(rd, n, k, groupNames) },
		"enum":     func(n ast.Node, k string) { s.Enum = r.enum(n, k) },
		"offset":   func(n ast.Node, k string) { s.offset = r.address(n, k) },
		"length":   func(n ast.Node, k string) { length = r.address(n, k) },
		"sf":       func(n ast.Node, k string) { s.sf = r.address(n, k) },
		"only":     func(n ast.Node, k string) { s.only = r.numbers(n, k) },
		"optional": func(n ast.Node, k string) { s.optional = r.flag(n, k) },
		"identity": func(n ast.Node, k string) { s.identity = IDName(r.text(n, k)) },
		"type": func(n ast.Node, k string) {
			t := oneOf(rd, n, k, sunspecTypes)
			s.Source = Source{Table: Holding, Type: t.typ}
			s.count = t.count
			s.NA = []Sentinel{parsed(rd, n, k, func(string) (Sentinel, error) { return ParseSentinel(t.na) })}
		},
	})
	if s.Source.Type == Text {
		s.Length, s.count = length, length
	}
	if s.offset < 2 || s.count == 0 {
		r.fault(n, key, "offset and type are needed: %d, %d registers", s.offset, s.count)
	}
	return s
}
