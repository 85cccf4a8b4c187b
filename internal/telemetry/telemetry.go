// Package telemetry holds the words all parts of Yunhe share: quantities and
// their units, readings, quality, clock state. It depends on the standard
// library only and performs no I/O.
package telemetry

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// CheckID reports whether s may name a site, a gateway or a device.
func CheckID(s string) error {
	if !isName(s, '-') {
		return fmt.Errorf("%q is not an id: use 1 to 63 of a-z, 0-9 and -, not starting with -", s)
	}
	return nil
}

// CheckPoint reports whether s may name a point.
func CheckPoint(s string) error {
	if !isName(s, '_') || s[0] <= '9' {
		return fmt.Errorf("%q is not a point name: use 1 to 63 of a-z, 0-9 and _, starting with a letter", s)
	}
	return CheckReserved(s)
}

// CheckReserved reports a point name, of whatever form, that stores need for
// themselves: beside its readings a row holds time, site, gateway, device,
// clock_failed and a quality <point>_q.
func CheckReserved(s string) error {
	switch {
	case s == "time", s == "site", s == "gateway", s == "device", s == "clock_failed":
		return fmt.Errorf("point name %q is reserved: name the point otherwise", s)
	case strings.HasSuffix(s, "_q"):
		return fmt.Errorf("point name %q ends in _q, which marks qualities: name the point otherwise", s)
	}
	return nil
}

// isName reports whether s is 1 to 63 of a-z, 0-9 and mark, not starting with
// mark. Every name of every message goes through it, so it is no regexp.
func isName(s string, mark byte) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != mark || i == 0) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 63
}

// Type is the type of a value. There are four, because these four survive
// every Sparkplug decoder and every store unchanged.
type Type uint8

// The zero Type is not a type; a decoder that meets it reports an error.
const (
	TypeFloat  Type = 1 // IEEE 754 binary64
	TypeUint   Type = 2 // unsigned 64 bit
	TypeBool   Type = 3
	TypeString Type = 4
)

// String returns the name used in profiles and documents.
func (t Type) String() string {
	switch t {
	case TypeFloat:
		return "float"
	case TypeUint:
		return "uint"
	case TypeBool:
		return "bool"
	case TypeString:
		return "string"
	default:
		return "invalid type " + strconv.Itoa(int(t))
	}
}

// Valid reports whether t is one of the four types.
func (t Type) Valid() bool { return t >= TypeFloat && t <= TypeString }

// Value is one value of one of the four types. The zero Value is "no value",
// which is what a bad reading carries; it is never 0.
type Value struct {
	typ  Type
	bits uint64
	str  string
}

// Float returns a float value. A NaN or an infinity is no measurement: it
// gives the zero Value.
func Float(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{typ: TypeFloat, bits: math.Float64bits(f)}
}

// Uint returns an unsigned integer value.
func Uint(u uint64) Value { return Value{typ: TypeUint, bits: u} }

// Bool returns a truth value.
func Bool(b bool) Value {
	v := Value{typ: TypeBool}
	if b {
		v.bits = 1
	}
	return v
}

// String returns a text value.
func String(s string) Value { return Value{typ: TypeString, str: s} }

// Type returns the type of v, 0 for no value.
func (v Value) Type() Type { return v.typ }

// IsZero reports whether v is no value.
func (v Value) IsZero() bool { return v.typ == 0 }

// AsFloat returns the float in v; ok is false for any other type.
func (v Value) AsFloat() (f float64, ok bool) {
	return math.Float64frombits(v.bits), v.typ == TypeFloat
}

// AsUint returns the unsigned integer in v; ok is false for any other type.
func (v Value) AsUint() (u uint64, ok bool) { return v.bits, v.typ == TypeUint }

// AsBool returns the truth value in v; ok is false for any other type.
func (v Value) AsBool() (b, ok bool) { return v.bits == 1, v.typ == TypeBool }

// AsString returns the text in v; ok is false for any other type.
func (v Value) AsString() (s string, ok bool) { return v.str, v.typ == TypeString }

// Number returns v as a float64 for charts and for the series store, where
// every number is a float. ok is false for text, truth values and no value.
func (v Value) Number() (f float64, ok bool) {
	switch v.typ {
	case TypeFloat:
		return math.Float64frombits(v.bits), true
	case TypeUint:
		return float64(v.bits), true
	default:
		return 0, false
	}
}

// Text formats v for people; no value is an empty text.
func (v Value) Text() string {
	switch v.typ {
	case TypeFloat:
		return strconv.FormatFloat(math.Float64frombits(v.bits), 'g', -1, 64)
	case TypeUint:
		return strconv.FormatUint(v.bits, 10)
	case TypeBool:
		return strconv.FormatBool(v.bits == 1)
	case TypeString:
		return v.str
	default:
		return ""
	}
}

// Equal makes Value comparable for tests that use go-cmp.
func (v Value) Equal(w Value) bool { return v == w }
