package sparkplug

import (
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"yunhe/internal/telemetry"
)

// Field numbers in sparkplug_b.proto, written out where they are used:
// Payload 1 timestamp, 2 metrics, 3 seq, 5 body; Metric 1 name, 2 alias,
// 3 timestamp, 4 datatype, 5 is_historical, 6 is_transient, 7 is_null,
// 9 properties, 10 to 19 the value; PropertySet 1 keys, 2 values;
// PropertyValue 1 type, 2 is_null, 3 int, 7 boolean, 8 string.

// Property keys, and the values of Quality (Sparkplug B 3.0, 6.4.19).
const (
	keyQuality   = "Quality"
	keyUncertain = "uncertain"
	keyUnit      = "engUnit"

	qualityBad  = 0
	qualityGood = 192
)

// Append appends the encoded payload to b; Body comes last.
func (p *Payload) Append(b []byte) []byte {
	if !p.Time.IsZero() {
		b = appendVarint(b, 1, uint64(telemetry.Millis(p.Time)))
	}
	for i := range p.Metrics {
		m := &p.Metrics[i]
		b = appendNested(b, 2, m.append)
	}
	if p.HasSeq {
		b = appendVarint(b, 3, p.Seq)
	}
	if len(p.Body) > 0 {
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendBytes(b, p.Body)
	}
	return b
}

func (m *Metric) append(b []byte) []byte {
	b = appendString(b, 1, m.Name)
	if !m.Time.IsZero() {
		b = appendVarint(b, 3, uint64(telemetry.Millis(m.Time)))
	}
	b = appendVarint(b, 4, uint64(m.Type))
	if m.Historical {
		b = appendVarint(b, 5, 1)
	}
	if m.Null || m.Value.IsZero() {
		b = appendVarint(b, 7, 1)
	}
	if m.Quality != telemetry.Good || m.Unit != "" {
		b = appendNested(b, 9, m.appendProperties)
	}
	if m.Null {
		return b
	}
	return appendValue(b, m.Value)
}

func appendValue(b []byte, v telemetry.Value) []byte {
	switch v.Type() {
	case telemetry.TypeFloat:
		f, _ := v.AsFloat()
		b = protowire.AppendTag(b, fieldDouble, protowire.Fixed64Type)
		return protowire.AppendFixed64(b, math.Float64bits(f))
	case telemetry.TypeUint:
		u, _ := v.AsUint()
		return appendVarint(b, fieldLong, u)
	case telemetry.TypeBool:
		t, _ := v.AsBool()
		return appendVarint(b, fieldBoolean, protowire.EncodeBool(t))
	case telemetry.TypeString:
		s, _ := v.AsString()
		return appendString(b, fieldString, s)
	default:
		return b
	}
}

func (m *Metric) appendProperties(b []byte) []byte {
	switch m.Quality {
	case telemetry.Bad:
		b = appendString(b, 1, keyQuality)
	case telemetry.Uncertain:
		b = appendString(b, 1, keyUncertain)
	}
	if m.Unit != "" {
		b = appendString(b, 1, keyUnit)
	}
	switch m.Quality {
	case telemetry.Bad:
		b = appendNested(b, 2, func(b []byte) []byte {
			return appendVarint(appendVarint(b, 1, uint64(Int32)), 3, qualityBad)
		})
	case telemetry.Uncertain:
		b = appendNested(b, 2, func(b []byte) []byte {
			return appendVarint(appendVarint(b, 1, uint64(Boolean)), 7, 1)
		})
	}
	if m.Unit != "" {
		b = appendNested(b, 2, func(b []byte) []byte {
			return appendString(appendVarint(b, 1, uint64(String)), 8, m.Unit)
		})
	}
	return b
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// appendNested appends a message whose length is known only afterwards: one
// byte is kept for it, which nearly always is enough.
func appendNested(b []byte, field protowire.Number, inner func([]byte) []byte) []byte {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0)
	start := len(b)
	b = inner(b)
	n := len(b) - start
	if n < 0x80 {
		b[start-1] = byte(n)
		return b
	}
	var size [10]byte
	return slices.Replace(b, start-1, start, protowire.AppendVarint(size[:0], uint64(n))...)
}
