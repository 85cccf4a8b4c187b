package sparkplug

import (
	"fmt"
	"math"

	"yunhe/internal/telemetry"
)

// DataType is the type of a metric on the wire. Yunhe's own metrics use
// Int64 (bdSeq alone), UInt64, Double, Boolean and String.
type DataType uint32

// The datatypes of Sparkplug B 3.0, section 6.4.16; 22 to 34 are arrays.
const (
	Int8 DataType = iota + 1
	Int16
	Int32
	Int64
	UInt8
	UInt16
	UInt32
	UInt64
	Float
	Double
	Boolean
	String
	DateTime
	Text
	UUID
	DataSet
	Bytes
	File
	Template
	PropertySet
	PropertySetList
)

var dataTypeNames = [...]string{
	"no datatype", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64",
	"Float", "Double", "Boolean", "String", "DateTime", "Text", "UUID", "DataSet", "Bytes", "File",
	"Template", "PropertySet", "PropertySetList",
	"Int8Array", "Int16Array", "Int32Array", "Int64Array", "UInt8Array", "UInt16Array", "UInt32Array", "UInt64Array",
	"FloatArray", "DoubleArray", "BooleanArray", "StringArray", "DateTimeArray",
}

// String returns the name in the specification.
func (d DataType) String() string {
	if int(d) < len(dataTypeNames) {
		return dataTypeNames[d]
	}
	return fmt.Sprintf("unknown datatype %d", uint32(d))
}

// DataTypeOf returns the datatype in which values of t are sent, 0 for no type.
func DataTypeOf(t telemetry.Type) DataType {
	switch t {
	case telemetry.TypeFloat:
		return Double
	case telemetry.TypeUint:
		return UInt64
	case telemetry.TypeBool:
		return Boolean
	case telemetry.TypeString:
		return String
	default:
		return 0
	}
}

// Telemetry returns the type in which values of d are read, 0 if they cannot
// be. It depends on d alone, so that a metric does not change its type with
// its value.
func (d DataType) Telemetry() telemetry.Type {
	switch d {
	case Int8, Int16, Int32, Int64, Float, Double:
		return telemetry.TypeFloat
	case UInt8, UInt16, UInt32, UInt64, DateTime:
		return telemetry.TypeUint
	case Boolean:
		return telemetry.TypeBool
	case String, Text, UUID:
		return telemetry.TypeString
	default:
		return 0
	}
}

// bits returns the width of an integer datatype.
func (d DataType) bits() uint {
	switch d {
	case Int8, UInt8:
		return 8
	case Int16, UInt16:
		return 16
	case Int32, UInt32:
		return 32
	default:
		return 64
	}
}

// Field numbers of the value of a metric in sparkplug_b.proto.
const (
	fieldInt     = 10
	fieldLong    = 11
	fieldFloat   = 12
	fieldDouble  = 13
	fieldBoolean = 14
	fieldString  = 15
	lastValue    = 19
)

// wireValue is a value as it came: which of the fields, and what was in it.
type wireValue struct {
	field int
	num   uint64
	text  []byte
}

// interpret gives w its meaning under d, or says why it has none here.
func (w wireValue) interpret(d DataType, maxText int) (telemetry.Value, string) {
	if w.field == 0 {
		return telemetry.Value{}, "neither a value nor null"
	}
	switch {
	case d == 0:
		return w.guess(maxText)
	case d.Telemetry() == 0:
		return telemetry.Value{}, "values of this datatype are not stored"
	case d.Telemetry() == telemetry.TypeString && w.field == fieldString:
		return textValue(w.text, maxText)
	case d == Boolean && w.field == fieldBoolean:
		return telemetry.Bool(w.num != 0), ""
	case (d == Float || d == Double) && (w.field == fieldFloat || w.field == fieldDouble):
		return w.float()
	case w.field != fieldInt && w.field != fieldLong || d == Boolean || d >= Float && d != DateTime:
		return telemetry.Value{}, fmt.Sprintf("the value is in field %d, where this datatype is not", w.field)
	case d == Int64 && w.field == fieldInt && w.num >= 1<<31:
		return telemetry.Value{}, "an Int64 in the 32 bits of int_value: whether it is negative cannot be told"
	case d <= Int64:
		return w.signed(d.bits())
	case d.bits() < 64 && w.num>>d.bits() != 0:
		return telemetry.Value{}, fmt.Sprintf("%d is out of range", w.num)
	default:
		return telemetry.Uint(w.num), ""
	}
}

// guess reads a value without a datatype, as far as the field alone tells.
func (w wireValue) guess(maxText int) (telemetry.Value, string) {
	switch w.field {
	case fieldFloat, fieldDouble:
		return w.float()
	case fieldBoolean:
		return telemetry.Bool(w.num != 0), ""
	case fieldString:
		return textValue(w.text, maxText)
	case fieldInt, fieldLong:
		return telemetry.Value{}, "an integer without a datatype: whether it is negative, only the birth tells"
	default:
		return telemetry.Value{}, fmt.Sprintf("values of field %d are not stored", w.field)
	}
}

// guessedType is the type that guess finds.
func (w wireValue) guessedType() telemetry.Type {
	switch w.field {
	case fieldFloat, fieldDouble:
		return telemetry.TypeFloat
	case fieldBoolean:
		return telemetry.TypeBool
	case fieldString:
		return telemetry.TypeString
	default:
		return 0
	}
}

func (w wireValue) float() (telemetry.Value, string) {
	f := math.Float64frombits(w.num)
	if w.field == fieldFloat {
		f = float64(math.Float32frombits(uint32(w.num)))
	}
	v := telemetry.Float(f)
	if v.IsZero() {
		return v, fmt.Sprintf("%g is no measured value", f)
	}
	return v, ""
}

// signed reads two's complement. Senders differ: a negative Int8 may come
// with 8, 32 or 64 bits.
func (w wireValue) signed(width uint) (telemetry.Value, string) {
	n := int64(w.num)
	if w.field == fieldInt && width <= 32 {
		n = int64(int32(uint32(w.num)))
	}
	lowest := int64(-1) << (width - 1)
	switch {
	case n >= lowest && n <= ^lowest:
	case w.num>>width == 0:
		n = int64(w.num<<(64-width)) >> (64 - width)
	default:
		return telemetry.Value{}, fmt.Sprintf("%d is out of range", n)
	}
	if n > 1<<53 || n < -1<<53 {
		return telemetry.Value{}, fmt.Sprintf("%d is beyond 2^53 and would be rounded", n)
	}
	return telemetry.Float(float64(n)), ""
}
