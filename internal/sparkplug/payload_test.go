package sparkplug

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"

	"yunhe/internal/telemetry"
)

var at = telemetry.FromMillis(1_790_000_000_123)

var ignoreWire = cmpopts.IgnoreUnexported(Metric{})

// testReadings has every type in every quality, and two times of one point.
func testReadings() []telemetry.Reading {
	read := at.Add(-time.Second)
	return []telemetry.Reading{
		{Point: "active_power", Time: read, Type: telemetry.TypeFloat, Value: telemetry.Float(-1234.5)},
		{Point: "alarm", Time: read, Type: telemetry.TypeUint, Value: telemetry.Uint(math.MaxUint64)},
		{Point: "running", Time: read, Type: telemetry.TypeBool, Value: telemetry.Bool(false)},
		{Point: "firmware", Time: read, Type: telemetry.TypeString, Value: telemetry.String("v1 运河")},
		{Point: "zero", Time: read, Type: telemetry.TypeFloat, Value: telemetry.Float(math.Copysign(0, -1))},
		{Point: "unsure", Time: read, Type: telemetry.TypeUint, Value: telemetry.Uint(0), Quality: telemetry.Uncertain},
		{Point: "bad_float", Time: read, Type: telemetry.TypeFloat, Quality: telemetry.Bad},
		{Point: "bad_uint", Time: read, Type: telemetry.TypeUint, Quality: telemetry.Bad},
		{Point: "bad_bool", Time: read, Type: telemetry.TypeBool, Quality: telemetry.Bad},
		{Point: "bad_text", Time: read, Type: telemetry.TypeString, Quality: telemetry.Bad},
		{Point: "empty_text", Time: read, Type: telemetry.TypeString, Value: telemetry.String("")},
		{Point: "active_power", Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(1)},
	}
}

func TestReadingsSurvive(t *testing.T) {
	want := testReadings()
	for _, historical := range []bool{false, true} {
		m := NewSession("site", "gw", 7).DeviceData("meter", want, []byte("evidence"), historical, at)
		var p Payload
		if err := Decode(m.Payload, &p); err != nil {
			t.Fatal(err)
		}
		got, left := p.Readings(nil)
		if diff := cmp.Diff(want, got); diff != "" || len(left) != 0 {
			t.Errorf("%v %s", left, diff)
		}
		if !p.Time.Equal(at) || !p.HasSeq || string(p.Body) != "evidence" {
			t.Errorf("%+v", p)
		}
		for i := range p.Metrics {
			if p.Metrics[i].Historical != historical {
				t.Errorf("%s: historical is %v", p.Metrics[i].Name, p.Metrics[i].Historical)
			}
		}
		if again := p.Append(nil); !bytes.Equal(again, m.Payload) {
			t.Error("encoding again gives other bytes")
		}
	}
}

// The body comes last: with it removed, the rest is the payload without one.
func TestBodyComesLast(t *testing.T) {
	p := Payload{Time: at, HasSeq: true, Metrics: FromReadings(nil, testReadings(), false)}
	plain := p.Append(nil)
	p.Body = []byte("evidence")
	if b := p.Append(nil); !bytes.HasPrefix(b, plain) {
		t.Error("the body is not at the end")
	}
}

func TestLongMetricsAreLengthPrefixed(t *testing.T) {
	for _, n := range []int{0, 80, 126, 127, 128, 200, 1000, 4000} {
		want := strings.Repeat("x", n)
		p := Payload{Time: at, Metrics: []Metric{textMetric("t", want, at), textMetric("u", "end", at)}}
		var got Payload
		if err := Decode(p.Append(nil), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.Metrics, got.Metrics, ignoreWire); diff != "" {
			t.Error(diff)
		}
	}
}

// foreign is a metric as another vendor may send it.
func foreign(name string, d DataType, fields ...func([]byte) []byte) []byte {
	var m []byte
	m = appendString(m, 1, name)
	m = appendVarint(m, 3, uint64(at.UnixMilli()))
	if d != 0 {
		m = appendVarint(m, 4, uint64(d))
	}
	for _, f := range fields {
		m = f(m)
	}
	b := protowire.AppendTag(nil, 2, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

func varint(field protowire.Number, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { return appendVarint(b, field, v) }
}

func text(field protowire.Number, s string) func([]byte) []byte {
	return func(b []byte) []byte { return appendString(b, field, s) }
}

func float32Field(f float32) func([]byte) []byte {
	return func(b []byte) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(b, fieldFloat, protowire.Fixed32Type), math.Float32bits(f))
	}
}

func float64Field(f float64) func([]byte) []byte {
	return func(b []byte) []byte {
		return protowire.AppendFixed64(protowire.AppendTag(b, fieldDouble, protowire.Fixed64Type), math.Float64bits(f))
	}
}

func TestForeignDatatypes(t *testing.T) {
	minus := func(n int64) uint64 { return uint64(-n) }
	for _, tt := range []struct {
		d      DataType
		value  func([]byte) []byte
		want   telemetry.Value
		reason string
	}{
		{Int8, varint(fieldInt, uint64(uint32(minus(12)))), telemetry.Float(-12), ""},
		{Int8, varint(fieldInt, 0xf4), telemetry.Float(-12), ""},
		{Int8, varint(fieldInt, 127), telemetry.Float(127), ""},
		{Int8, varint(fieldInt, 0x1ff), telemetry.Value{}, "out of range"},
		{Int16, varint(fieldInt, 0xfff4), telemetry.Float(-12), ""},
		{Int16, varint(fieldLong, minus(12)), telemetry.Float(-12), ""},
		{Int32, varint(fieldInt, uint64(uint32(minus(12)))), telemetry.Float(-12), ""},
		{Int32, varint(fieldInt, minus(12)), telemetry.Float(-12), ""},
		{Int32, varint(fieldLong, uint64(uint32(minus(12)))), telemetry.Float(-12), ""},
		{Int64, varint(fieldLong, minus(12)), telemetry.Float(-12), ""},
		{Int64, varint(fieldLong, 1<<53), telemetry.Float(1 << 53), ""},
		{Int64, varint(fieldLong, 1<<53+1), telemetry.Value{}, "would be rounded"},
		{Int64, varint(fieldInt, 12), telemetry.Float(12), ""},
		{Int64, varint(fieldInt, 1<<31), telemetry.Value{}, "cannot be told"},
		{UInt8, varint(fieldInt, 255), telemetry.Uint(255), ""},
		{UInt8, varint(fieldInt, 256), telemetry.Value{}, "out of range"},
		{UInt32, varint(fieldInt, 1<<32-1), telemetry.Uint(1<<32 - 1), ""},
		{UInt32, varint(fieldLong, 1<<32-1), telemetry.Uint(1<<32 - 1), ""},
		{UInt64, varint(fieldLong, math.MaxUint64), telemetry.Uint(math.MaxUint64), ""},
		{DateTime, varint(fieldLong, 1_790_000_000_000), telemetry.Uint(1_790_000_000_000), ""},
		{Float, float32Field(1.5), telemetry.Float(1.5), ""},
		{Double, float32Field(1.5), telemetry.Float(1.5), ""},
		{Float, float64Field(math.NaN()), telemetry.Value{}, "no measured value"},
		{Double, float64Field(math.Inf(1)), telemetry.Value{}, "no measured value"},
		{Boolean, varint(fieldBoolean, 1), telemetry.Bool(true), ""},
		{Boolean, varint(fieldInt, 1), telemetry.Value{}, "field 10"},
		{Double, varint(fieldLong, 1), telemetry.Value{}, "field 11"},
		{Int32, float64Field(1), telemetry.Value{}, "field 13"},
		{Text, text(fieldString, "hello"), telemetry.String("hello"), ""},
		{UUID, text(fieldString, "5f0a"), telemetry.String("5f0a"), ""},
		{String, text(fieldString, "\xff"), telemetry.Value{}, "not UTF-8"},
		{String, text(fieldString, strings.Repeat("x", MaxString+1)), telemetry.Value{}, "at most 4096"},
		{Bytes, text(16, "raw"), telemetry.Value{}, "not stored"},
		{DataSet, text(17, ""), telemetry.Value{}, "not stored"},
		{Template, text(18, ""), telemetry.Value{}, "not stored"},
		{30, text(16, "12345678"), telemetry.Value{}, "not stored"},
		{99, varint(fieldInt, 1), telemetry.Value{}, "not stored"},
		{0, float32Field(1.5), telemetry.Float(1.5), ""},
		{0, varint(fieldBoolean, 0), telemetry.Bool(false), ""},
		{0, text(fieldString, "x"), telemetry.String("x"), ""},
		{0, varint(fieldInt, uint64(uint32(minus(12)))), telemetry.Value{}, "only the birth tells"},
		{0, text(17, ""), telemetry.Value{}, "field 17"},
		{Double, func(b []byte) []byte { return b }, telemetry.Value{}, "neither a value nor null"},
	} {
		var p Payload
		if err := Decode(foreign("Plant/Temp 1", tt.d, tt.value), &p); err != nil {
			t.Fatal(err)
		}
		got, left := p.Readings(nil)
		switch {
		case tt.reason != "":
			if len(got) != 0 || len(left) != 1 || left[0].Name != "Plant/Temp 1" || left[0].Type != tt.d || !strings.Contains(left[0].Reason, tt.reason) {
				t.Errorf("%s: %v %v, want …%s…", tt.d, got, left, tt.reason)
			}
		case len(got) != 1 || got[0].Value != tt.want || got[0].Type != tt.want.Type() || got[0].Quality != telemetry.Good || !got[0].Time.Equal(at):
			t.Errorf("%s: %v %v, want %v", tt.d, got, left, tt.want)
		}
	}
}

func TestForeignQuality(t *testing.T) {
	quality := func(n uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			return appendNested(b, 9, func(b []byte) []byte {
				return appendNested(appendString(b, 1, "Quality"), 2, func(b []byte) []byte {
					return appendVarint(appendVarint(b, 1, 3), 3, n)
				})
			})
		}
	}
	for n, want := range map[uint64]telemetry.Quality{192: telemetry.Good, 0: telemetry.Bad, 500: telemetry.Uncertain, 7: telemetry.Uncertain} {
		var p Payload
		if err := Decode(foreign("t", Double, float64Field(20), quality(n)), &p); err != nil {
			t.Fatal(err)
		}
		got, left := p.Readings(nil)
		if len(left) != 0 || got[0].Quality != want || got[0].Value.IsZero() != (want == telemetry.Bad) {
			t.Errorf("Quality %d: %v %v", n, got, left)
		}
	}
	var p Payload
	if err := Decode(foreign("t", Int16, varint(7, 1)), &p); err != nil {
		t.Fatal(err)
	}
	if got, left := p.Readings(nil); len(left) != 0 || got[0].Quality != telemetry.Bad || got[0].Type != telemetry.TypeFloat {
		t.Errorf("a null: %v %v", got, left)
	}
}

// A node that uses aliases leaves out name and datatype; its birth has them.
func TestResolve(t *testing.T) {
	m := appendVarint(nil, 2, 5)
	m = appendVarint(m, fieldInt, 0xfffffff4)
	b := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), m)
	b = appendVarint(b, 1, uint64(at.UnixMilli()))
	var p Payload
	if err := Decode(b, &p); err != nil {
		t.Fatal(err)
	}
	if got, left := p.Readings(nil); len(got) != 0 || len(left) != 1 {
		t.Fatalf("%v %v", got, left)
	}
	if !p.Metrics[0].HasAlias || p.Metrics[0].Alias != 5 {
		t.Errorf("%+v", p.Metrics[0])
	}
	p.Metrics[0].Resolve("outdoor", Int32)
	got, left := p.Readings(nil)
	want := []telemetry.Reading{{Point: "outdoor", Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(-12)}}
	if diff := cmp.Diff(want, got); diff != "" || len(left) != 0 {
		t.Errorf("%v %s", left, diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for want, b := range map[string][]byte{
		"at most 1048576":        make([]byte, MaxPayload+1),
		"more than 5000 metrics": bytes.Repeat([]byte{2<<3 | 2, 0}, MaxMetrics+1),
		"at most 128":            foreign(strings.Repeat("n", MaxName+1), Double),
		"name that is not UTF-8": foreign("\xff", Double),
		"after the year 9999":    appendVarint(nil, 1, math.MaxUint64),
		"wire type 2 instead":    appendString(nil, 1, "now"),
		"wire type 0 instead":    appendVarint(nil, 2, 1),
		"wire type 3":            {1<<3 | 3},
		"unexpected EOF":         {2<<3 | 2, 9, 1},
		"1 property keys and 0":  foreign("t", Double, func(b []byte) []byte { return appendNested(b, 9, text(1, "Quality")) }),
		"more than 64 properties": foreign("t", Double, func(b []byte) []byte {
			return appendNested(b, 9, func(b []byte) []byte {
				for i := range maxProperties + 1 {
					b = appendString(b, 1, fmt.Sprint(i))
				}
				return b
			})
		}),
	} {
		var p Payload
		if err := Decode(b, &p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}

func TestMetricWithoutTime(t *testing.T) {
	m := appendString(nil, 1, "t")
	m = float64Field(1)(appendVarint(m, 4, uint64(Double)))
	metric := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), m)
	var p Payload
	if err := Decode(metric, &p); err != nil {
		t.Fatal(err)
	}
	if _, left := p.Readings(nil); len(left) != 1 || left[0].Reason != "no timestamp" {
		t.Errorf("%v", left)
	}
	if err := Decode(appendVarint(metric, 1, uint64(at.UnixMilli())), &p); err != nil {
		t.Fatal(err)
	}
	if got, _ := p.Readings(nil); len(got) != 1 || !got[0].Time.Equal(at) {
		t.Errorf("%v", got)
	}
}

func TestDecoderKeepsNames(t *testing.T) {
	b := NewSession("site", "gw", 0).DeviceData("meter", testReadings(), nil, false, at).Payload
	var d Decoder
	var p Payload
	var rs []telemetry.Reading
	decode := func() {
		if err := d.Decode(b, &p); err != nil {
			t.Fatal(err)
		}
		rs, _ = p.Readings(rs[:0])
	}
	decode()
	// Two values are texts and so allocate; uncertain and bad ones have properties.
	if n := testing.AllocsPerRun(100, decode); n > 8 {
		t.Errorf("%v allocations to decode %d metrics", n, len(p.Metrics))
	}
}

func FuzzDecodePayload(f *testing.F) {
	s := NewSession("site", "gw", 3)
	f.Add(s.DeviceData("meter", testReadings(), []byte("evidence"), true, at).Payload)
	f.Add(s.NodeBirth(Status{ClockState: telemetry.Synchronised}, at).Payload)
	f.Add(s.Will(at).Payload)
	f.Add(foreign("t", Int8, varint(fieldInt, 0xf4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Payload
		if Decode(b, &p) != nil {
			return
		}
		rs, left := p.Readings(nil)
		if len(rs)+len(left) != len(p.Metrics) {
			t.Fatalf("%d metrics became %d readings and %d others", len(p.Metrics), len(rs), len(left))
		}
		for _, r := range rs {
			if r.Quality == telemetry.Bad != r.Value.IsZero() || !r.Type.Valid() || !r.Value.IsZero() && r.Value.Type() != r.Type {
				t.Errorf("%+v", r)
			}
		}
		// What was decoded as a reading survives our own encoding.
		ours := Payload{Metrics: FromReadings(nil, rs, false)}
		var back Payload
		if err := Decode(ours.Append(nil), &back); err != nil {
			t.Fatal(err)
		}
		again, left := back.Readings(nil)
		if diff := cmp.Diff(rs, again, cmpopts.EquateEmpty()); diff != "" || len(left) != 0 {
			t.Error(left, diff)
		}
		ParseStatus(&p)
		ParseCommand(&p)
		p.BdSeq()
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{20, 200} {
		rs := make([]telemetry.Reading, n)
		for i := range rs {
			rs[i] = telemetry.Reading{Point: fmt.Sprintf("quantity_%03d_l1", i), Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(float64(i))}
		}
		msg := NewSession("site", "gw", 0).DeviceData("meter", rs, make([]byte, 200), false, at).Payload
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var d Decoder
			var p Payload
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(msg, &p); err != nil {
					b.Fatal(err)
				}
				rs, _ = p.Readings(rs[:0])
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	rs := make([]telemetry.Reading, 20)
	for i := range rs {
		rs[i] = telemetry.Reading{Point: fmt.Sprintf("quantity_%03d_l1", i), Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(float64(i))}
	}
	s := NewSession("site", "gw", 0)
	b.ReportAllocs()
	for b.Loop() {
		s.DeviceData("meter", rs, nil, false, at)
	}
}

// TestNamesAreBounded: a node that invents names for ever does not fill the
// memory.
func TestNamesAreBounded(t *testing.T) {
	var d Decoder
	var p Payload
	for i := 0; i <= maxNames; i += 1000 {
		var ms []Metric
		for k := range 1000 {
			ms = append(ms, Metric{Name: fmt.Sprint(i + k), Type: Double, Value: telemetry.Float(1)})
		}
		if err := d.Decode((&Payload{Metrics: ms}).Append(nil), &p); err != nil {
			t.Fatal(err)
		}
		if p.Metrics[999].Name != fmt.Sprint(i+999) {
			t.Fatalf("name %q, want %d", p.Metrics[999].Name, i+999)
		}
	}
	if len(d.names) > maxNames {
		t.Errorf("%d names are kept, at most %d should be", len(d.names), maxNames)
	}
}
