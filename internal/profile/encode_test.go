package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// pointShapes are points of every type and form of value, with a range and the
// step of their registers.
var pointShapes = []struct {
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
}

// shapedPoint is a profile with the point x of a shape and its factor f.
func shapedPoint(t testing.TB, shape string, o Order) *Profile {
	if !strings.Contains(shape, "parts:") {
		shape += ", address: 0"
	}
	return onePoint(t, fmt.Sprintf("  - {name: x, quantity: voltage, %s, word_order: %s, byte_order: %s}\n"+
		"  - {name: f, quantity: ratio, address: 20, type: u16, scale: 0.1, word_order: %[2]s, byte_order: %[3]s}\n",
		shape, [...]string{"msw", "lsw"}[o&1], [...]string{"big", "little"}[o>>1]))
}

// TestEncodeDecodeRoundTrip: what is encoded comes back within half a step of
// the register, in every type, order and shape.
func TestEncodeDecodeRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, c := range pointShapes {
		for o := ABCD; o <= DCBA; o++ {
			p := shapedPoint(t, c.point, o)
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

// TestEncodeInFloatsIsExact: wherever floats are trusted they give what big
// numbers give, registers and refusals alike. The values are random ones and
// those where rounding turns: halves of steps, borders, neighbours of both.
func TestEncodeInFloatsIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 9))
	quick := 0
	shapes := pointShapes
	for _, s := range []string{"type: f32, scale: 0.001", "type: f32, scale: 3600/7, offset: 0.3", "type: u64, scale: 1e-9", "type: u16, offset: 0.1, scale: 0.3",
		"type: f64, parts: [{address: 0}, {address: 4, scale: 0.001}]", "type: u32, parts: [{address: 0}, {address: 2, scale: 1e6}, {address: 4, scale: 0.01}]"} {
		shapes = append(shapes[:len(shapes):len(shapes)], pointShapes[0])
		shapes[len(shapes)-1].point, shapes[len(shapes)-1].hi = s, 1e5
	}
	for _, c := range shapes {
		p := shapedPoint(t, c.point, ABCD)
		for i := range 240 {
			x := c.lo + rnd.Float64()*(c.hi-c.lo)
			switch i % 6 {
			case 1:
				x = math.Round(x/c.step) * c.step
			case 2:
				x = (math.Round(x/c.step) + 0.5) * c.step
			case 3:
				x = math.Nextafter((math.Round(x/c.step)+0.5)*c.step, c.hi*rnd.Float64())
			case 4:
				x *= math.Pow(10, float64(rnd.IntN(30)-15)) * float64(1-2*rnd.IntN(2))
			case 5:
				x = []float64{0, math.Copysign(0, -1), c.lo, c.hi, -c.hi, c.step / 2, math.SmallestNonzeroFloat64, math.MaxFloat32, math.MaxFloat64}[rnd.IntN(9)]
			}
			values := map[string]telemetry.Value{"x": telemetry.Float(x), "f": telemetry.Float(2.5)}
			fast := encoder{p: p, im: Image{}, values: values, exponents: map[Range]int{}}
			slow := encoder{p: p, im: Image{}, values: values, exponents: map[Range]int{}, exact: true}
			got, want := fast.all(), slow.all()
			if (got == nil) != (want == nil) || (want == nil && !cmp.Equal(slow.im, fast.im)) {
				t.Fatalf("%s: %v became %v, %v; exactly %v, %v", c.point, x, fast.im, got, slow.im, want)
			}
			if fast.quick(&p.Points[0], x, fast.exponents[Range{Holding, 9, 1}]) {
				quick++
			}
		}
	}
	if n := 240 * len(shapes); quick < n/2 {
		t.Errorf("floats served %d of %d values: the quick way is hardly taken", quick, n)
	} else {
		t.Logf("floats served %d of %d values", quick, n)
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
