package profile

// Image is the content of a device's registers: one number an address, a bit
// of the bit tables, a byte of Bytes, a 16-bit word of the others. What is not
// in it does not exist on the device.
type Image map[Table]map[uint16]uint16

// Read returns count addresses as a device answers them (see
// Table.ByteCount). ok is false when one of them does not exist.
func (im Image) Read(t Table, address, count uint16) (raw []byte, ok bool) {
	raw = make([]byte, t.ByteCount(int(count)))
	for i := range int(count) {
		w, ok := im[t][address+uint16(i)]
		if !ok || int(address)+i > 65535 {
			return nil, false
		}
		switch {
		case t.IsBits():
			raw[i/8] |= byte(w&1) << (i % 8)
		case t == Bytes:
			raw[i] = byte(w)
		default:
			raw[2*i], raw[2*i+1] = byte(w>>8), byte(w)
		}
	}
	return raw, true
}

// Fill adds every address of r that is missing, with content 0, as devices do
// that answer 0 between their values.
func (im Image) Fill(r Range) {
	for a := int(r.Address); a < r.End(); a++ {
		if _, ok := im[r.Table][uint16(a)]; !ok {
			im.set(r.Table, uint16(a), 0)
		}
	}
}

func (im Image) set(t Table, address, word uint16) {
	if im[t] == nil {
		im[t] = map[uint16]uint16{}
	}
	im[t][address] = word
}

// write puts the bytes of an operand into its registers.
func (im Image) write(ranges []Range, raw []byte) {
	for _, r := range ranges {
		words := im[r.Table]
		if words == nil {
			words = make(map[uint16]uint16, 64)
			im[r.Table] = words
		}
		for i := range r.Count {
			if r.Table.IsBits() || r.Table == Bytes {
				words[r.Address+i] = uint16(raw[0])
				raw = raw[1:]
				continue
			}
			words[r.Address+i] = uint16(raw[0])<<8 | uint16(raw[1])
			raw = raw[2:]
		}
	}
}

// bytes returns the bytes of an operand as they stand; missing ones are 0.
func (im Image) bytes(ranges []Range) []byte {
	var raw []byte
	for _, r := range ranges {
		for i := range int(r.Count) {
			w := im[r.Table][r.Address+uint16(i)]
			if !r.Table.IsBits() && r.Table != Bytes {
				raw = append(raw, byte(w>>8))
			}
			raw = append(raw, byte(w))
		}
	}
	return raw
}
