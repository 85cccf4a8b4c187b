package sqlite

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// A fields blob is a run of readings ordered by point name: the point's id as
// a uvarint, one byte (quality in the low four bits, kind of value in the high
// four), then the value: 8 bytes little-endian for a number, a uvarint length
// and bytes for a text, nothing for the rest.
const (
	valueNone   = 0x00
	valueNumber = 0x10
	valueFalse  = 0x20
	valueTrue   = 0x30
	valueText   = 0x40
)

var errFields = errors.New("a stored row is damaged")

// packed is one reading with the id of its point.
type packed struct {
	id    int64
	field series.Field
}

func appendFields(b []byte, ps []packed) []byte {
	for i := range ps {
		p := &ps[i]
		b = binary.AppendUvarint(b, uint64(p.id))
		q := byte(p.field.Quality)
		v := p.field.Value
		switch v.Type() {
		case telemetry.TypeFloat, telemetry.TypeUint:
			n, _ := v.Number()
			b = append(b, q|valueNumber)
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n))
		case telemetry.TypeBool:
			if on, _ := v.AsBool(); on {
				b = append(b, q|valueTrue)
			} else {
				b = append(b, q|valueFalse)
			}
		case telemetry.TypeString:
			s, _ := v.AsString()
			b = append(b, q|valueText)
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		default:
			b = append(b, q|valueNone)
		}
	}
	return b
}

// nextField decodes the first reading of b and returns the rest; the point's
// name is left empty.
func nextField(b []byte) (p packed, rest []byte, err error) {
	id, n := binary.Uvarint(b)
	if n <= 0 || len(b) == n || id > math.MaxInt64 {
		return p, nil, errFields
	}
	p.id = int64(id)
	p.field.Quality = telemetry.Quality(b[n] & 0x0f)
	kind := b[n] & 0xf0
	b = b[n+1:]
	switch kind {
	case valueNumber:
		if len(b) < 8 {
			return p, nil, errFields
		}
		p.field.Value = telemetry.Float(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		b = b[8:]
	case valueFalse, valueTrue:
		p.field.Value = telemetry.Bool(kind == valueTrue)
	case valueText:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return p, nil, errFields
		}
		p.field.Value = telemetry.String(string(b[n : n+int(size)]))
		b = b[n+int(size):]
	case valueNone:
	default:
		return p, nil, errFields
	}
	if p.field.Quality > telemetry.Bad || (p.field.Quality == telemetry.Bad) != p.field.Value.IsZero() {
		return p, nil, errFields
	}
	return p, b, nil
}

// merge puts the readings of next over those stored in old; name gives the
// name of a point id.
func merge(old []byte, next []packed, name func(int64) string) ([]byte, error) {
	byID := make(map[int64]struct{}, len(next))
	for i := range next {
		byID[next[i].id] = struct{}{}
	}
	all := slices.Clone(next)
	for len(old) > 0 {
		p, rest, err := nextField(old)
		if err != nil {
			return nil, err
		}
		old = rest
		if _, replaced := byID[p.id]; !replaced {
			p.field.Point = name(p.id)
			all = append(all, p)
		}
	}
	sortPacked(all)
	return appendFields(nil, all), nil
}

func sortPacked(ps []packed) {
	slices.SortFunc(ps, func(a, b packed) int { return strings.Compare(a.field.Point, b.field.Point) })
}
