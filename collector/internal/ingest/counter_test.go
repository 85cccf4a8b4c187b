package ingest

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	firmwareconfig "yunhe/firmware-config"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// counterOf makes a definition of one counter.
func counterOf(registerType, order, scale string, typ telemetry.Type) *definition {
	return newDefinition(evidence.Definition{Device: "meter-1", Points: []evidence.PointDef{{
		Name: "import_total", Class: telemetry.Counter, Type: typ, RegisterType: registerType, WordOrder: order, Scale: scale,
	}}})
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCounterAgrees: the value on the wire is the float64 nearest to the exact
// value of the register bytes; its neighbours are not.
func TestCounterAgrees(t *testing.T) {
	for _, c := range []struct {
		name, typ, order, scale, raw string
		value                        float64
	}{
		{"worked example of the format", "u32", "ABCD", "0.01", "007bf440", 81234.56},
		{"words swapped", "u32", "CDAB", "0.01", "f440 007b", 81234.56},
		{"bytes swapped", "u32", "BADC", "0.01", "7b00 40f4", 81234.56},
		{"little-endian", "u32", "DCBA", "0.01", "40f4 7b00", 81234.56},
		{"negative", "s32", "ABCD", "0.1", "ffffffff", -0.1},
		{"more digits than a float has", "u64", "ABCD", "0.001", "ffffffffffffffff", 18446744073709551.615},
		{"float", "f32", "ABCD", "1", "3dcccccd", float64(float32(0.1))},
		{"float, words swapped", "f32", "CDAB", "1", "cccd 3dcc", float64(float32(0.1))},
		{"float with a scale", "f32", "ABCD", "0.001", "42c80000", 0.1},
		{"minus zero", "f32", "ABCD", "1", "80000000", 0},
		{"double", "f64", "ABCD", "1", "3fb999999999999a", 0.1},
		{"scale factor", "u32 sf", "ABCD", "1", "0000 3039 fffe", 123.45},
		{"scale factor up", "u32 sf", "ABCD", "0.001", "0000 3039 0003", 12345},
		{"decimals", "u16 dec", "ABCD", "1", "3039 0003", 12.345},
		{"two registers", "u16 + u16*1000", "ABCD", "1", "007b 0002", 2123},
		{"times a ratio", "s32 times u16", "ABCD", "0.01", "0000 0064 0003", 3},
		{"digits", "bcd32", "ABCD", "0.01", "0012 3456", 1234.56},
	} {
		t.Run(c.name, func(t *testing.T) {
			def := counterOf(c.typ, c.order, c.scale, telemetry.TypeFloat)
			if err := def.explains(); err != nil {
				t.Fatal(err)
			}
			r := telemetry.Reading{Point: "import_total", Type: telemetry.TypeFloat, Value: telemetry.Float(c.value), Raw: unhex(t, c.raw)}
			if err := def.check([]telemetry.Reading{r}); err != nil {
				t.Error(err)
			}
			for _, off := range []float64{math.Nextafter(c.value, math.Inf(1)), math.Nextafter(c.value, math.Inf(-1)), c.value*1000 + 1} {
				r.Value = telemetry.Float(off)
				if err := def.check([]telemetry.Reading{r}); err == nil {
					t.Errorf("%v passes for %s", off, c.raw)
				}
			}
			r.Value, r.Raw = telemetry.Float(c.value), r.Raw[1:]
			if err := def.check([]telemetry.Reading{r}); err == nil {
				t.Error("a missing byte passes")
			}
		})
	}
}

func TestWholeCounterAgrees(t *testing.T) {
	def := counterOf("u64", "CDAB", "1", telemetry.TypeUint)
	r := telemetry.Reading{Point: "import_total", Type: telemetry.TypeUint, Value: telemetry.Uint(math.MaxUint64 - 1), Raw: unhex(t, "fffe ffff ffff ffff")}
	if err := def.check([]telemetry.Reading{r}); err != nil {
		t.Error(err)
	}
	r.Value = telemetry.Uint(math.MaxUint64)
	if err := def.check([]telemetry.Reading{r}); err == nil {
		t.Error("another number passes")
	}
	r.Value, r.Quality = telemetry.Value{}, telemetry.Bad
	if err := def.check([]telemetry.Reading{r}); err != nil {
		t.Error("a bad reading has no value to compare: ", err)
	}
}

// TestEdgeDecodesWhatAgrees: for every counter of every profile that gateways
// are given, whatever its registers hold: what the edge decodes passes, and the
// same with another bit in the registers does not.
func TestEdgeDecodesWhatAgrees(t *testing.T) {
	files, err := firmwareconfig.Profiles.ReadDir("profiles")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	good := 0
	for _, file := range files {
		text, err := firmwareconfig.Profiles.ReadFile("profiles/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		p, err := profile.Parse(file.Name(), text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Points {
			if pt := &p.Points[i]; pt.Class() == telemetry.Counter {
				good += agreeAtRandom(t, random, p.ID, pt)
			}
		}
	}
	if good < 1000 {
		t.Errorf("only %d readings were good", good)
	}
}

func agreeAtRandom(t *testing.T, random *rand.Rand, id string, pt *profile.Point) (good int) {
	d := pt.Describe()
	f, err := profile.ParseFormula(d.RegisterType, d.WordOrder, d.Scale)
	if err != nil {
		t.Fatalf("%s %s: %v", id, d.Name, err)
	}
	for range 200 {
		raw := make([]byte, f.RawSize())
		for i := range raw {
			if raw[i] = byte(random.Uint32()); random.Uint32()%2 == 0 {
				raw[i] = 0
			}
		}
		v, err := pt.Decode(raw)
		if err != nil {
			continue // it is sent without a value
		}
		good++
		r := &telemetry.Reading{Point: d.Name, Type: d.Type, Value: v, Raw: raw}
		c := counter{formula: f}
		if err := c.agrees(r); err != nil {
			t.Errorf("%s %s: %v", id, d.Name, err)
		}
		r.Raw[random.IntN(len(raw))] ^= 1 << random.IntN(8)
		if w, err := pt.Decode(r.Raw); (err != nil || !w.Equal(v)) && c.agrees(r) == nil && err == nil {
			if x, _ := v.AsFloat(); x != 0 { // 0 and -0 are one value
				t.Errorf("%s %s: %s passes for % x", id, d.Name, v.Text(), r.Raw)
			}
		}
	}
	return good
}

// TestDisagreementIsHeld: a validly signed batch whose counter says something
// else than its register bytes is kept, rejected, and never in the series.
func TestDisagreementIsHeld(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	w.deliver(g.begin()...)
	w.answers()
	rs := readings(start, 3)
	rs[0].Value = telemetry.Float(12.5)
	a := w.deliver(g.send(g.sign(evidence.Content{Kind: evidence.KindBatch, DefHash: g.defhash, Readings: rs, Recorded: start})))
	w.want(a, Held)
	for _, word := range []string{"import_total", hex.EncodeToString(rs[0].Raw), "12.5"} {
		if !strings.Contains(a[0].reason, word) {
			t.Errorf("%q does not name %s", a[0].reason, word)
		}
	}
	w.wantAnswers("", "1001:3", "", "")
	if l := w.kept.List(); len(l) != 1 || l[0].Class != intake.Held || len(w.series.rows) != 0 {
		t.Errorf("quarantine %v, %d rows", l, len(w.series.rows))
	}
	w.want(w.deliver(g.batch(start.Add(1e9))), Stored)
}

// TestInexplicableDefinitionIsHeld: a definition that does not say how to read
// a counter is held with its reason, and so are the batches that cite it.
func TestInexplicableDefinitionIsHeld(t *testing.T) {
	w := newWorld(t)
	g := w.enrolled("gw-1", 1)
	d := g.definition()
	d.Points[0].RegisterType = "u33"
	data, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.deliver(g.epoch())
	g.defhash = evidence.HashOf(data)
	e := g.sign(evidence.Content{Kind: evidence.KindDefinition, Data: data})
	a := w.deliver(g.message(g.session.Attached("meter-1", "definition", e.Bytes, false, w.now)), g.batch(start))
	w.want(a, Held, Held)
	for _, x := range a {
		if !strings.Contains(x.reason, "import_total") || !strings.Contains(x.reason, `"u33"`) {
			t.Errorf("reason %q", x.reason)
		}
	}
}

// FuzzCounter: no formula and no bytes from outside stop the check, and what
// passes is one value, not two.
func FuzzCounter(f *testing.F) {
	f.Add("u32", "ABCD", "0.01", []byte{0, 0x7b, 0xf4, 0x40}, 81234.56)
	f.Add("u32 sf", "CDAB", "1", []byte{0, 0, 0x30, 0x39, 0xff, 0xfe}, 123.45)
	f.Add("f64 times f64", "ABCD", "1e99", make([]byte, 16), 0.0)
	f.Fuzz(func(t *testing.T, typ, order, scale string, raw []byte, v float64) {
		formula, err := profile.ParseFormula(typ, order, scale)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		r := &telemetry.Reading{Point: "p", Type: telemetry.TypeFloat, Value: telemetry.Float(v), Raw: raw}
		if (counter{formula: formula}).agrees(r) != nil {
			return
		}
		r.Value = telemetry.Float(math.Nextafter(v, math.Inf(1)))
		if (counter{formula: formula}).agrees(r) == nil {
			t.Errorf("two values pass for % x", raw)
		}
	})
}

// BenchmarkCounter is what one counter reading adds to a batch.
func BenchmarkCounter(b *testing.B) {
	for name, c := range map[string]struct{ typ, scale, raw string }{
		"u32": {"u32", "0.01", "007bf440"}, "f32": {"f32", "1", "47a1b2c3"}, "sf": {"u32 sf", "1", "00003039fffe"},
	} {
		b.Run(name, func(b *testing.B) {
			formula, err := profile.ParseFormula(c.typ, "ABCD", c.scale)
			if err != nil {
				b.Fatal(err)
			}
			raw := unhex(b, c.raw)
			d, err := formula.Exact(raw)
			if err != nil {
				b.Fatal(err)
			}
			r := &telemetry.Reading{Point: "p", Type: telemetry.TypeFloat, Value: telemetry.Float(d.Float64()), Raw: raw}
			for b.Loop() {
				if err := (counter{formula: formula}).agrees(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
