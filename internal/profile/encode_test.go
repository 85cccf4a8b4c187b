package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"yunhe/internal/telemetry"
)

// fromImage reads the blocks of a plan out of an image and decodes them.
func fromImage(t testing.TB, pl *Plan, im Image) map[string]telemetry.Reading {
	t.Helper()
	var results []Result
	for _, b := range pl.Blocks {
		im.Fill(b)
		raw, ok := im.Read(b.Table, b.Address, b.Count)
		if !ok {
			t.Fatalf("block %v is not in the image", b)
		}
		results = append(results, Result{Block: b, Raw: raw, At: testTime})
	}
	out := map[string]telemetry.Reading{}
	for _, r := range pl.Decode(testTime, results) {
		out[r.Point] = r
	}
	return out
}

// TestEncodeDecodeRoundTrip: what is encoded comes back within half a step of
// the register, in every type, order and shape.
func TestEncodeDecodeRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, c := range []struct {
		point  string
		lo, hi float64
		step   float64
	}{
		{"type: u8, scale: 0.5", 0, 127, 0.5},
		{"type: s8", -128, 127, 1},
		{"type: u16, scale: 0.1", 0, 6553, 0.1},
		{"type: s16, scale: 0.1, offset: -40", -3000, 3000, 0.1},
		{"type: s16, scale: -0.1", -3000, 3000, 0.1},
		{"type: u32, scale: 0.001", 0, 4e6, 0.001},
		{"type: s32, scale: 2500000/9", -1e9, 1e9, 2500000.0 / 9},
		{"type: u64", 0, 1e15, 1},
		{"type: s64, scale: 1e-6", -1e6, 1e6, 1e-6},
		{"type: f32", -1000, 1000, 1e-4},
		{"type: f64, scale: 0.001", -1000, 1000, 1e-9},
		{"type: bcd16", 0, 9999, 1},
		{"type: bcd32, scale: 0.01", 0, 999999, 0.01},
		{"type: bcd64", 0, 1e14, 1},
		{"type: u32, bits: {from: 5, count: 12}", 0, 4095, 1},
		{"type: s16, bits: {from: 4, count: 10}", -512, 511, 1},
		{"type: s16, scale_factor: 9", -9e5, 9e5, 100},
		{"type: s16, decimals: 9, select: {address: 10, scales: {7: 1, 8: 0.001}}", -32, 32, 0.001},
		{"type: u16, times: [f]", 0, 1e5, 2.5},
		{"type: u16, parts: [{address: 0}, {address: 1, scale: 1000}]", 0, 6e7, 1},
		{"type: s32, parts: [{address: 0}, {address: 2, type: f32}]", 0, 1e6, 1e-6},
	} {
		for o := ABCD; o <= DCBA; o++ {
			p := onePoint(t, fmt.Sprintf("  - {name: x, quantity: voltage, %s, address: 0, word_order: %s, byte_order: %s}\n"+
				"  - {name: f, quantity: ratio, address: 20, type: u16, scale: 0.1, word_order: %[2]s, byte_order: %[3]s}\n",
				c.point, [...]string{"msw", "lsw"}[o&1], [...]string{"big", "little"}[o>>1]))
			pl, err := p.Plan(Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				want := c.lo + rnd.Float64()*(c.hi-c.lo)
				im, err := p.Encode(map[string]telemetry.Value{"x": telemetry.Float(want), "f": telemetry.Float(2.5)})
				if err != nil {
					t.Fatalf("%s: %v", c.point, err)
				}
				r := fromImage(t, pl, im)["x"]
				got, ok := r.Value.AsFloat()
				if !ok || math.Abs(got-want) > c.step*0.5001 {
					t.Fatalf("%s %s: %v became %v (raw % x)", c.point, o, want, got, r.Raw)
				}
			}
		}
	}
}

func TestEncodeOtherTypes(t *testing.T) {
	p := onePoint(t, `  - {name: a, quantity: flag, table: coil, address: 3, type: bool}
  - {name: b, quantity: flag, address: 7, type: u16, bits: {from: 4}}
  - {name: c, quantity: flag, address: 7, type: u16, bits: {from: 5}}
  - {name: d, quantity: text, address: 10, type: string, length: 4, byte_order: little}
  - {name: e, quantity: text, address: 20, type: hex, length: 2}
  - {name: g, quantity: state, address: 30, type: u64}
`)
	in := map[string]telemetry.Value{
		"a": telemetry.Bool(true), "b": telemetry.Bool(true), "c": telemetry.Bool(false),
		"d": telemetry.String("SN 12"), "e": telemetry.String("01AF0203"), "g": telemetry.Uint(math.MaxUint64),
	}
	im, err := p.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	pl, _ := p.Plan(Options{})
	for name, r := range fromImage(t, pl, im) {
		if r.Value != in[name] {
			t.Errorf("%s: %s became %s", name, in[name].Text(), r.Value.Text())
		}
	}
}

func TestEncodeOfNoValue(t *testing.T) {
	p := onePoint(t, `  - {name: a, quantity: voltage, address: 0, type: f32, na: [nan]}
  - {name: b, quantity: temperature, address: 2, type: s16, na: [-9999]}
  - {name: c, quantity: text, address: 3, type: string, length: 2, na: [empty]}
  - {name: d, quantity: thermal_energy, type: u16, na: [0x8000], parts: [{address: 5}, {address: 6, scale: 1000}]}
  - {name: e, quantity: flag, address: 7, type: u16, bits: {from: 3}, na: [0x8000]}
  - {name: g, quantity: voltage, address: 8, type: f64, na: [nan]}
  - {name: h, quantity: voltage, address: 12, type: u16}
`)
	none := map[string]telemetry.Value{"a": {}, "b": {}, "c": {}, "d": {}, "e": {}, "g": {}}
	im, err := p.Encode(none)
	if err != nil {
		t.Fatal(err)
	}
	pl, _ := p.Plan(Options{Disable: []string{"h"}})
	for name, r := range fromImage(t, pl, im) {
		if r.Quality != telemetry.Bad || !r.Value.IsZero() || len(r.Raw) == 0 {
			t.Errorf("%s: %+v, want bad with its raw bytes", name, r)
		}
	}
	if _, err := p.Encode(map[string]telemetry.Value{"h": {}}); err == nil {
		t.Error("a register without \"not available\" took no value")
	}
}

func TestEncodeRefuses(t *testing.T) {
	p := onePoint(t, `  - {name: a, quantity: voltage, address: 0, type: u16, scale: 0.1}
  - {name: b, quantity: voltage, address: 1, type: u16, times: [f]}
  - {name: f, quantity: ratio, address: 20, type: u16}
  - {name: g, quantity: voltage, address: 2, type: bcd16}
  - {name: h, quantity: text, address: 4, type: string, length: 1}
`)
	for name, v := range map[string]telemetry.Value{
		"nobody": telemetry.Float(1), "a": telemetry.Float(6554), "b": telemetry.Float(1),
		"f": telemetry.Float(-1), "g": telemetry.Float(10000), "h": telemetry.String("ABC"),
	} {
		if _, err := p.Encode(map[string]telemetry.Value{name: v}); err == nil {
			t.Errorf("%s took %s", name, v.Text())
		}
	}
	if _, err := p.Encode(map[string]telemetry.Value{"a": telemetry.Uint(1)}); err == nil {
		t.Error("a float point took an integer")
	}
}

func BenchmarkDecode(b *testing.B) {
	p := onePoint(b, `  - {name: a, quantity: voltage, address: 0, type: f32}
  - {name: b, quantity: active_energy_import, address: 2, type: u32, scale: 0.001}
  - {name: c, quantity: temperature, address: 4, type: s16, scale: 0.1, na: [0x8000]}
`)
	pl, _ := p.Plan(Options{})
	rs := []Result{{Block: pl.Blocks[0], Raw: []byte{0x43, 0x66, 0x33, 0x33, 0, 15, 66, 65, 0, 231}, At: testTime}}
	b.ReportAllocs()
	for b.Loop() {
		pl.Decode(testTime, rs)
	}
}
