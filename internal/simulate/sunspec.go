package simulate

import (
	"context"
	"encoding/binary"
	"fmt"

	"yunhe/internal/profile"
)

// SunSpec's own layout (SunSpec Device Information Model Specification): the
// mark, model 1 (who the device is), model 103 (three-phase inverter with
// scale factors) and the end model.
const (
	sunspecBase    = 40000
	commonLength   = 66
	inverterLength = 50
	inverterModel  = 103
	endModel       = 0xFFFF
)

// identity is what a SunSpec device says about itself in model 1.
type identity struct {
	manufacturer, model, version, serial string
}

// sunspecImage returns the registers of an inverter that has measured nothing
// yet: every value "not implemented", every scale factor there.
func sunspecImage(id identity) profile.Image {
	words := map[uint16]uint16{}
	at := uint16(sunspecBase)
	put := func(values ...uint16) {
		for _, v := range values {
			words[at] = v
			at++
		}
	}
	text := func(s string, registers int) {
		b := make([]byte, 2*registers)
		copy(b, s)
		for i := range registers {
			put(binary.BigEndian.Uint16(b[2*i:]))
		}
	}
	text("SunS", 2)
	put(1, commonLength)
	text(id.manufacturer, 16)
	text(id.model, 16)
	text("", 8)
	text(id.version, 8)
	text(id.serial, 16)
	put(1, 0x8000) // unit id, pad
	model := at
	put(inverterModel, inverterLength)
	for range inverterLength {
		put(0xFFFF)
	}
	// int16 and scale factors say 0x8000; the scale factors that are there
	// start at 0 and are chosen with the values; acc32 says 0.
	for _, offset := range []uint16{14, 18, 20, 22, 31, 33, 34, 35, 36} {
		words[model+offset] = 0x8000
	}
	for _, offset := range []uint16{6, 13, 15, 17, 19, 21, 23, 24, 25, 26, 28, 30, 32, 37} {
		words[model+offset] = 0
	}
	put(endModel, 0)
	return profile.Image{profile.Holding: words}
}

// discover gives the profile that a reader of the image would find.
func discover(image profile.Image) (*profile.Profile, error) {
	return profile.Discover(context.Background(), func(_ context.Context, t profile.Table, address, count uint16) ([]byte, error) {
		raw, ok := image.Read(t, address, count)
		if !ok {
			return nil, fmt.Errorf("no register %s %d+%d", t, address, count)
		}
		return raw, nil
	})
}
