package profile

import "fmt"

// operand returns how to decode a source and where its bytes stand.
func (s Source) operand(protocol Protocol) (operand, []Range, *finding) {
	fail := func(key, format string, args ...any) (operand, []Range, *finding) {
		return operand{}, nil, &finding{key, fmt.Sprintf(format, args...)}
	}
	o := operand{typ: s.Type, size: typeSizes[s.Type], order: s.Order, bits: s.Bits}
	switch {
	case s.Table < Coil || s.Table > Bytes:
		return fail("table", "the table is missing: say coil, discrete, holding, input or i2c here or at the top of the file")
	case (s.Table == Bytes) != (protocol == I2C):
		return fail("table", "table %s does not go with protocol %q", s.Table, protocol)
	case !s.Type.valid():
		return fail("type", "the register type is missing: say for example u16 or f32")
	case s.Table.IsBits() != (s.Type == Binary):
		return fail("type", "type bool and the tables coil and discrete go together; a flag in a register is u16 with bits")
	case s.Type.text() != (s.Length > 0):
		return fail("length", "length belongs to string and hex, and to no other type")
	case s.Bits != nil && !s.Type.integer():
		return fail("bits", "bits can be picked out of integers only")
	}
	count := 1
	switch {
	case s.Type.text() && s.Table == Bytes:
		o.size, count = int(s.Length), int(s.Length)
		if s.Type == Text {
			o.order = ABCD
		}
	case s.Type.text():
		o.size, count = 2*int(s.Length), int(s.Length)
	case s.Table == Bytes:
		count = o.size
	case s.Table.IsBits():
		o.order = ABCD
	case o.size == 1: // an 8-bit value is the low byte of its register
		o.typ, o.size = map[RegisterType]RegisterType{U8: U16, S8: S16}[s.Type], 2
		if s.Bits == nil {
			o.bits = &Bits{0, 8}
		}
	default:
		count = o.size / 2
	}
	if b := o.bits; b != nil && int(b.From)+int(b.Count) > 8*o.size {
		return fail("bits", "bits %d to %d lie outside a %s", b.From, int(b.From)+int(b.Count)-1, s.Type)
	}
	ranges, f := s.ranges(count)
	return o, ranges, f
}

// ranges returns the registers of a source.
func (s Source) ranges(count int) ([]Range, *finding) {
	limit := 65536
	if s.Table == Bytes {
		limit = 256
	}
	if len(s.Words) == 0 {
		if int(s.Address)+count > limit {
			return nil, &finding{"address", fmt.Sprintf("%d addresses from %d on end behind %d, the last there is", count, s.Address, limit-1)}
		}
		return []Range{{s.Table, s.Address, uint16(count)}}, nil
	}
	if len(s.Words) != count || s.Table == Bytes || s.Table.IsBits() {
		return nil, &finding{"words", fmt.Sprintf("a %s has %d words, not %d", s.Type, count, len(s.Words))}
	}
	ranges := make([]Range, count)
	for i, w := range s.Words {
		ranges[i] = Range{s.Table, w, 1}
	}
	return ranges, nil
}
