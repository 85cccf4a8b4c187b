package profile

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/telemetry"
)

var testTime = time.Date(2026, 7, 1, 12, 0, 0, 123_000_000, time.UTC)

// onePoint parses a profile whose points are the given YAML lines.
func onePoint(t testing.TB, lines string) *Profile {
	t.Helper()
	p, err := Parse("test.yaml", []byte(head+lines))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const head = `profile: test
version: 1
kind: electricity_meter
vendor: v
model: m
confidence: low
sources: [made up]
table: holding
link: {protocol: modbus, max_registers: 125}
points:
`

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEveryTypeInEveryOrder: the same number in the four orders, bytes worked
// out by hand.
func TestEveryTypeInEveryOrder(t *testing.T) {
	for _, c := range []struct{ typ, abcd, cdab, badc, dcba, want string }{
		{"u16", "8001", "8001", "0180", "0180", "32769"},
		{"s16", "8001", "8001", "0180", "0180", "-32767"},
		{"u32", "80000001", "00018000", "00800100", "01000080", "2147483649"},
		{"s32", "80000001", "00018000", "00800100", "01000080", "-2147483647"},
		{"u64", "0102030405060708", "0708050603040102", "0201040306050807", "0807060504030201", "72623859790382856"},
		{"s64", "FFFFFFFFFFFFFFFE", "FFFEFFFFFFFFFFFF", "FFFFFFFFFFFFFEFF", "FEFFFFFFFFFFFFFF", "-2"},
		{"f32", "4212806B", "806B4212", "12426B80", "6B801242", "36.625408172607421875"},
		{"f64", "C05EC00000000000", "00000000C000C05E", "5EC000C000000000", "0000000000C05EC0", "-123"},
		{"bcd16", "1234", "1234", "3412", "3412", "1234"},
		{"bcd32", "12345678", "56781234", "34127856", "78563412", "12345678"},
		{"bcd64", "0012345678901234", "1234789034560012", "1200563490783412", "3412907856341200", "12345678901234"},
		{"u8", "12FE", "12FE", "FE12", "FE12", "254"},
		{"s8", "12FE", "12FE", "FE12", "FE12", "-2"},
	} {
		for i, raw := range []string{c.abcd, c.cdab, c.badc, c.dcba} {
			word, byt := [...]string{"msw", "lsw"}[i&1], [...]string{"big", "little"}[i>>1]
			p := onePoint(t, fmt.Sprintf("  - {name: x, quantity: voltage, address: 0, type: %s, word_order: %s, byte_order: %s}\n", c.typ, word, byt))
			exact, err := p.Points[0].Exact(unhex(t, raw))
			if err != nil || exact.String() != c.want {
				t.Errorf("%s %s %s: %s, %v; want %s", c.typ, Order(i), raw, exact, err, c.want)
			}
			if f, _ := mustDecode(t, &p.Points[0], raw).AsFloat(); f != exact.Float64() {
				t.Errorf("%s %s: float %v beside exact %s", c.typ, Order(i), f, exact)
			}
		}
	}
}

func mustDecode(t testing.TB, p *Point, raw string) telemetry.Value {
	t.Helper()
	v, err := p.Decode(unhex(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDecode(t *testing.T) {
	const na = "not available"
	for _, c := range []struct{ point, raw, want string }{
		{"quantity: active_energy_import, type: u32, scale: 0.001", "000F4241", "1000.001"},
		{"quantity: temperature, type: s16, scale: 0.1, offset: -40", "FFFB", "-40.5"},
		{"quantity: thermal_power, type: u16, scale: 2500000/9", "0009", "2.5e+06"},
		{"quantity: state, type: u16, bits: {from: 4, count: 3}", "FF5F", "5"},
		{"quantity: flag, type: u16, bits: {from: 15}", "8000", "true"},
		{"quantity: flag, type: u16, bits: {from: 15}", "7FFF", "false"},
		{"quantity: text, type: string, length: 3", "414220420000", "AB B"},
		{"quantity: text, type: string, length: 2, byte_order: little", "42414443", "ABCD"},
		{"quantity: text, type: string, length: 1", "FF00", "error: not UTF-8"},
		{"quantity: text, type: string, length: 1", "0741", "error: control character"},
		{"quantity: text, type: string, length: 1, na: [empty]", "0000", na},
		{"quantity: text, type: hex, length: 1", "01AF", "01AF"},
		{"quantity: voltage, type: f32", "7FC00000", "error: is no number"},
		{"quantity: voltage, type: f32", "7F800000", "error: is no number"},
		{"quantity: voltage, type: f32, na: [nan]", "FFC00001", na},
		{"quantity: voltage, type: f32, na: [0xFFFFFFFF]", "FFFFFFFF", na},
		{"quantity: voltage, type: bcd16", "12A4", "error: digit above 9"},
		{"quantity: voltage, type: u16, na: [0x7FFF, 0x8000]", "7FFF", na},
		{"quantity: voltage, type: u16, na: [0x7FFF, 0x8000]", "8000", na},
		{"quantity: voltage, type: u16, na: [0x7FFF, 0x8000]", "7FFE", "32766"},
		{"quantity: temperature, type: s16, na: [-9999]", "D8F1", na},
		{"quantity: temperature, type: s32, na: [-9999999]", "FF676981", na},
		{"quantity: state, type: u8, na: [0xFF]", "12FF", na},
		{"quantity: state, type: u16, bits: {from: 8, count: 8}, na: [0x8000]", "8000", na},
		{"quantity: state, type: u16, bits: {from: 8, count: 8}, na: [0x80]", "8000", na},
		{"quantity: voltage, type: u64", "FFFFFFFFFFFFFFFF", "1.8446744073709552e+19"},
		{"quantity: state, type: u64", "FFFFFFFFFFFFFFFF", "18446744073709551615"},
		{"quantity: voltage, type: s16, scale_factor: 1", "FFFF FFFE", "-0.01"},
		{"quantity: voltage, type: s16, scale_factor: 1", "00E6 8000", na},
		{"quantity: voltage, type: s16, scale_factor: 1", "00E6 000B", "error: between"},
		{"quantity: level, type: s16, decimals: 1, select: {address: 2, scales: {7: 1, 8: 0.001}}", "04D2 0003 0007", "1.234"},
		{"quantity: level, type: s16, decimals: 1, select: {address: 2, scales: {7: 1, 8: 0.001}}", "04D2 0000 0008", "1.234"},
		{"quantity: level, type: s16, decimals: 1, select: {address: 2, scales: {7: 1, 8: 0.001}}", "04D2 0000 0001", "error: no known unit"},
		{"quantity: level, type: s16, decimals: 1, select: {address: 2, scales: {7: 1, 8: 0.001}}", "04D2 FFFF 0007", "error: between"},
		{"quantity: thermal_energy, type: u16, parts: [{address: 0}, {address: 1, scale: 1000}], na: [0x8000]", "03E7 0002", "2999"},
		{"quantity: thermal_energy, type: u16, parts: [{address: 0}, {address: 1, scale: 1000}], na: [0x8000]", "03E7 8000", na},
		{"quantity: volume, type: s32, parts: [{address: 0}, {address: 2, type: f32, na: [nan]}]", "00000064 3E800000", "100.25"},
		{"quantity: volume, type: s32, parts: [{address: 0}, {address: 2, type: f32, na: [nan]}]", "00000064 7FC00000", na},
		{"quantity: voltage, type: u16", "0001 02", "error: 3 raw bytes, want 2"},
	} {
		if !strings.Contains(c.point, "parts") {
			c.point += ", address: 0"
		}
		p := onePoint(t, "  - {name: x, "+c.point+"}\n")
		got := ""
		v, err := p.Points[0].Decode(unhex(t, c.raw))
		switch {
		case errors.Is(err, ErrNotAvailable):
			got = na
		case err != nil:
			got = "error: " + err.Error()
		default:
			got = v.Text()
		}
		if want, isErr := strings.CutPrefix(c.want, "error: "); isErr && strings.HasPrefix(got, "error") && strings.Contains(got, want) {
			continue
		}
		if got != c.want {
			t.Errorf("%s, raw %s: %s, want %s", c.point, c.raw, got, c.want)
		}
		if err != nil && !v.IsZero() {
			t.Errorf("%s: a value (%s) beside the error", c.point, v.Text())
		}
	}
}

// TestQuickPathGivesTheSame: the short way for simple registers rounds as the
// exact way does.
func TestQuickPathGivesTheSame(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, scale := range []string{"1", "0.1", "0.001", "1e-6", "0.2794", "3.6", "1e3", "-0.01", "12345.678"} {
		for _, typ := range []string{"u16", "s16", "u32", "s32", "u64", "s64"} {
			p := onePoint(t, fmt.Sprintf("  - {name: x, quantity: voltage, address: 0, type: %s, scale: %s}\n", typ, scale))
			f := &p.Points[0].formula
			for range 300 {
				raw := binary.BigEndian.AppendUint64(nil, rnd.Uint64()>>rnd.IntN(64))[8-f.RawSize():]
				got, err := f.float(raw)
				d, err2 := f.Exact(raw)
				if err != nil || err2 != nil || got != d.Float64() {
					t.Fatalf("%s × %s, raw % x: %v, exact %s", typ, scale, raw, got, d)
				}
			}
		}
	}
}

// TestFloatIsNearestToExact: Float is the float64 nearest to Exact for every
// kind of formula, at and around the border of the short way too, and has an
// error where Exact has one.
func TestFloatIsNearestToExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, typ := range []string{"u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "bcd32", "u32 sf", "u16 dec", "u16 + u16*1000", "s32 times u16"} {
		for _, scale := range []string{"1", "0.1", "0.001", "1e-10", "0.2794", "3.6", "1e10", "-0.01", "67108863", "67108864", "12345.678"} {
			f, err := ParseFormula(typ, "ABCD", scale)
			if err != nil {
				t.Fatal(err)
			}
			for range 200 {
				u := rnd.Uint64() >> rnd.IntN(64)
				if rnd.IntN(4) == 0 { // next to 2^53 / coefficient, and negative
					u = (1<<53)/max(uint64(rnd.IntN(1<<26)), 1) + uint64(rnd.IntN(3)) - 1
				}
				if rnd.IntN(4) == 0 {
					u = -u
				}
				raw := binary.BigEndian.AppendUint64(nil, u)[8-f.RawSize():]
				got, err := f.Float(raw)
				d, err2 := f.Exact(raw)
				want := (err2 == nil) && !math.IsInf(d.Float64(), 0)
				if (err == nil) != want || want && got != d.Float64() {
					t.Fatalf("%s × %s, raw % x: %v (%v), exact %s (%v)", typ, scale, raw, got, err, d, err2)
				}
			}
		}
	}
	f, err := ParseFormula("u32", "ABCD", "0.01")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Float([]byte{1, 2}); err == nil {
		t.Error("two bytes of four are a value")
	}
	raw := []byte{0x07, 0x7b, 0xf4, 0x40}
	if n := testing.AllocsPerRun(100, func() { _, _ = f.Float(raw) }); n != 0 {
		t.Errorf("the short way allocates %v times", n)
	}
}

func BenchmarkFloat(b *testing.B) {
	f, err := ParseFormula("u32", "ABCD", "0.01")
	if err != nil {
		b.Fatal(err)
	}
	raw := []byte{0x07, 0x7b, 0xf4, 0x40}
	b.Run("float", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = f.Float(raw)
		}
	})
	b.Run("exact", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d, _ := f.Exact(raw)
			_ = d.Float64()
		}
	})
}

func TestUnknownTypeIsAnErrorNeverZero(t *testing.T) {
	for _, o := range []operand{{typ: "u24", size: 3}, {size: 2}, {typ: Text, size: 2}} {
		if d, err := o.number(make([]byte, o.size)); err == nil {
			t.Errorf("%+v decodes as %s", o, d)
		}
	}
	if s, err := (operand{typ: U16, size: 2}).text([]byte{65, 66}); err == nil {
		t.Errorf("a number decodes as text %q", s)
	}
	p := Point{Quantity: "voltage"}
	p.formula = Formula{parts: []term{{operand{typ: U16, size: 2}, NewDecimal(1, 0)}}, scale: Scale{Num: NewDecimal(1, 0)}}
	if v, err := p.Decode([]byte{0, 0}); err == nil {
		t.Errorf("a point without a type decodes as %s", v.Text())
	}
}

func TestWordsThatAreNotAdjacent(t *testing.T) {
	p := onePoint(t, "  - {name: gen_power, quantity: active_power, words: [671, 667], type: s32}\n")
	pl, _ := p.Plan(Options{})
	if len(pl.Blocks) != 1 || pl.Blocks[0] != (Block{Holding, 667, 5}) {
		t.Fatal(pl.Blocks)
	}
	raw := unhex(t, "FFFE 1111 2222 3333 FFFF") // low word first, strangers between
	rs := pl.Decode(testTime, []Result{{Block: pl.Blocks[0], Raw: raw, At: testTime}})
	if rs[0].Value.Text() != "-2" {
		t.Errorf("%+v", rs[0])
	}
}

func TestTimesRegister(t *testing.T) {
	p := onePoint(t, `  - {name: energy, quantity: active_energy_import, address: 10, type: u32, times: [factor]}
  - {name: factor, quantity: ratio, address: 500, type: u16, scale: 0.1, enabled: false}
`)
	pl, _ := p.Plan(Options{})
	if len(pl.Blocks) != 2 || len(pl.Points()) != 1 {
		t.Fatalf("%v %v", pl.Blocks, pl.Points())
	}
	rs := pl.Decode(testTime, []Result{
		{Block: Block{Holding, 10, 2}, Raw: unhex(t, "000003E9"), At: testTime},
		{Block: Block{Holding, 500, 1}, Raw: unhex(t, "0019"), At: testTime},
	})
	if rs[0].Value.Text() != "2502.5" || !cmp.Equal(rs[0].Raw, unhex(t, "000003E9 0019")) {
		t.Errorf("%+v", rs[0])
	}
	rs = pl.Decode(testTime, []Result{{Block: Block{Holding, 10, 2}, Raw: unhex(t, "000003E9"), At: testTime}})
	if rs[0].Quality != telemetry.Bad || !rs[0].Value.IsZero() {
		t.Errorf("without its factor: %+v", rs[0])
	}
}

func TestBitsOfCoils(t *testing.T) {
	p := onePoint(t, `  - {name: a, quantity: flag, table: coil, address: 9, type: bool}
  - {name: b, quantity: flag, table: coil, address: 17, type: bool}
`)
	p.Link.GapFill = 1
	pl, _ := p.Plan(Options{})
	if len(pl.Blocks) != 1 || pl.Blocks[0] != (Block{Coil, 9, 9}) {
		t.Fatal(pl.Blocks)
	}
	rs := pl.Decode(testTime, []Result{{Block: pl.Blocks[0], Raw: []byte{0x01, 0x00}, At: testTime}})
	if rs[0].Value.Text() != "true" || rs[1].Value.Text() != "false" {
		t.Errorf("%+v", rs)
	}
}

func TestReadingsOfBlocksThatFailed(t *testing.T) {
	p := onePoint(t, `  - {name: a, quantity: active_energy_import, address: 0, type: u16}
  - {name: b, quantity: voltage, address: 50, type: u16}
  - {name: c, quantity: voltage, address: 100, type: u16, na: [0xFFFF]}
  - {name: d, quantity: voltage, address: 101, type: u16, na: [0xFFFF]}
`)
	pl, _ := p.Plan(Options{})
	later := testTime.Add(time.Second + 400*time.Microsecond)
	rs := pl.Decode(testTime, []Result{
		{Block: Block{Holding, 0, 1}, Raw: []byte{0, 0}, At: later},
		{Block: Block{Holding, 50, 1}, Err: errors.New("timeout"), At: later},
		{Block: Block{Holding, 100, 2}, Raw: []byte{0xFF, 0xFF, 0, 230}, At: later},
	})
	ms := later.Truncate(time.Millisecond)
	want := []telemetry.Reading{
		{Point: "a", Time: ms, Type: telemetry.TypeFloat, Value: telemetry.Float(0), Raw: []byte{0, 0}}, // a counter keeps its raw bytes
		{Point: "b", Time: ms, Type: telemetry.TypeFloat, Quality: telemetry.Bad},
		{Point: "c", Time: ms, Type: telemetry.TypeFloat, Quality: telemetry.Bad, Raw: []byte{0xFF, 0xFF}},
		{Point: "d", Time: ms, Type: telemetry.TypeFloat, Value: telemetry.Float(230)},
	}
	if diff := cmp.Diff(want, rs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, r := range pl.Decode(testTime, []Result{{Block: Block{Holding, 0, 1}, Raw: []byte{0}, At: later}}) {
		if r.Quality != telemetry.Bad || r.Check() != nil {
			t.Errorf("a short answer or none gave %+v", r)
		}
	}
}

// TestFormulaTextBringsTheValueBack: definition and raw bytes are enough.
func TestFormulaTextBringsTheValueBack(t *testing.T) {
	for _, c := range []struct{ point, raw, text, want string }{
		{"quantity: active_energy_import, type: u32, scale: 0.001, word_order: lsw, address: 7", "4241000F", "u32", "1000.001"},
		{"quantity: active_energy_import, type: f32, address: 7", "461C4001", "f32", "10000.0009765625"},
		{"quantity: active_energy_import, type: u32, scale: 0.001, scale_factor: 9, address: 7", "000F4241 FFFF", "u32 sf", "100.0001"},
		{"quantity: thermal_energy, type: u16, parts: [{address: 0}, {address: 1, scale: 1000}]", "03E7 0002", "u16 + u16*1000", "2999"},
		{"quantity: thermal_energy, type: s32, address: 0, times: [f], select: {address: 3, type: string, length: 2, scales: {kWh: 1, MWh: 1000}}",
			"000004D2 4D576800 000A", "s32 select string/4{MWh:1000,kWh:1} times u16", "12340000"},
		{"quantity: bucket_tips, type: u8, address: 0", "00FE", "u16[0:8]", "254"},
	} {
		p := onePoint(t, "  - {name: x, "+c.point+"}\n  - {name: f, quantity: ratio, address: 2, type: u16}\n")
		d := p.Points[0].Describe()
		if d.RegisterType != c.text {
			t.Errorf("%s: register type %q, want %q", c.point, d.RegisterType, c.text)
		}
		f, err := ParseFormula(d.RegisterType, d.WordOrder, d.Scale)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := f.Exact(unhex(t, c.raw))
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %s, %v; want %s", c.point, got, err, c.want)
		}
		if again := f.text(); again != c.text {
			t.Errorf("%q became %q", c.text, again)
		}
	}
	for _, bad := range []string{"", "u24", "u16 +", "u16 sf sf", "u16 u16", "string", "u16[9:8]", "u16*x", "times u16", "u16 select u16", "u16 select u16{a}", "u16/4", "string/0"} {
		if _, err := ParseFormula(bad, "ABCD", "1"); err == nil {
			t.Errorf("formula %q went through", bad)
		}
	}
}

// FuzzDecode: any bytes in any register give a reading that is either good
// with a value or bad without one.
func FuzzDecode(f *testing.F) {
	p := onePoint(f, `  - {name: a, quantity: voltage, address: 0, type: f32, word_order: lsw}
  - {name: b, quantity: active_energy_import, address: 0, type: u64, scale: 0.001}
  - {name: c, quantity: thermal_power, address: 0, type: f64, scale: 2500000/9}
  - {name: d, quantity: state, address: 1, type: u8, na: [0xFF]}
  - {name: e, quantity: text, address: 0, type: string, length: 5, byte_order: little}
  - {name: g, quantity: voltage, address: 2, type: s16, scale_factor: 3, na: [0x8000]}
  - {name: h, quantity: level, address: 4, type: s16, decimals: 3, select: {address: 2, scales: {7: 1, 8: 0.001}}}
  - {name: i, quantity: volume, type: s32, parts: [{address: 0}, {address: 2, type: f32}], times: [f]}
  - {name: f, quantity: ratio, address: 5, type: bcd16, scale: 1e-3}
  - {name: j, quantity: flag, address: 0, type: s64, bits: {from: 63}}
  - {name: k, quantity: temperature, words: [5, 0], type: f32, scale: 1e9}
  - {name: l, quantity: text, address: 0, type: hex, length: 2}
`)
	pl, err := p.Plan(Options{})
	if err != nil || len(pl.Blocks) != 1 {
		f.Fatal(pl.Blocks, err)
	}
	f.Add([]byte{0x42, 0x12, 0x80, 0x6B, 0, 0, 0xFF, 0xFE, 1, 2, 0x12, 0x34})
	f.Add([]byte{0x7F, 0xC0, 0, 0, 0x7F, 0xEF, 0xFF, 0xFF, 0xFF, 0xFF, 0xAA, 0xAA})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		rs := pl.Decode(testTime, []Result{{Block: pl.Blocks[0], Raw: raw, At: testTime}})
		if len(rs) != len(p.Points) {
			t.Fatalf("%d readings of %d points", len(rs), len(p.Points))
		}
		for _, r := range rs {
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			pt, _ := p.Point(r.Point)
			counted := len(raw) == 12 && pt.Class() == telemetry.Counter
			if (counted || (r.Quality == telemetry.Bad && len(raw) == 12)) != (r.Raw != nil) {
				t.Fatalf("%+v: raw belongs to counters and to what could not be decoded", r)
			}
			if v, ok := r.Value.AsFloat(); ok && counted {
				if d, err := pt.Exact(r.Raw); err != nil || d.Float64() != v {
					t.Fatalf("%+v: exact value %s, %v", r, d, err)
				}
			}
		}
	})
}

func TestCounterWidth(t *testing.T) {
	for point, want := range map[string]uint8{
		"type: u16, address: 0":                               16,
		"type: u32, address: 0":                               32,
		"type: u64, address: 0, counter_bits: 48":             48,
		"type: f32, address: 0":                               0,
		"type: bcd32, address: 0":                             0,
		"type: u16, parts: [{address: 0}, {address: 1}]":      0,
		"type: u32, address: 0, bits: {from: 0, count: 24}":   24,
		"type: u8, address: 0":                                8,
		"type: s32, address: 0, scale: 0.1, reset: power_off": 32,
	} {
		p := onePoint(t, "  - {name: x, quantity: active_energy_import, "+point+"}\n")
		if got := p.Points[0].Describe().CounterBits; got != want {
			t.Errorf("%s: %d bits, want %d", point, got, want)
		}
	}
}
