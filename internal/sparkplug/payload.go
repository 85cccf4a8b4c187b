package sparkplug

import (
	"fmt"
	"time"

	"yunhe/internal/telemetry"
)

// Limits on what is decoded.
const (
	MaxPayload = 1 << 20 // bytes
	MaxMetrics = 5000
	MaxName    = 128  // bytes of a metric name
	MaxString  = 4096 // bytes of a string value; Evidence/… range sets: 64 KiB
	// MaxRanges is the longest value of an Evidence/… metric, which holds a
	// set of ranges.
	MaxRanges = 64 << 10
)

// DataType is the type of a metric on the wire. Yunhe's own metrics use
// Int64 (bdSeq alone), UInt64, Double, Boolean and String.
type DataType uint32

// The datatypes of Sparkplug B 3.0, section 6.4.16.
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

// DataTypeOf returns the datatype in which values of t are sent.
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

// Payload is the content of one message. Decode reuses its memory.
type Payload struct {
	Time    time.Time // when it was sent; zero if the payload has none
	Seq     uint64
	HasSeq  bool
	Metrics []Metric
	// Body holds the evidence: opaque here, ignored by other readers. After
	// Decode it is part of the decoded bytes, not a copy.
	Body []byte
}

// Metric is one metric of a Payload.
type Metric struct {
	Name     string // empty where a foreign node sends aliases only
	Alias    uint64 // of a foreign node; Yunhe sends none
	HasAlias bool
	Time     time.Time // zero if the metric has none
	// Type is the datatype as sent, 0 if a foreign node left it out.
	Type DataType
	// Value is what the metric says, in one of telemetry's four types: signed
	// integers and Float as float; unsigned ones and DateTime (ms since 1970) as
	// uint; Text and UUID as string. No value if Null or Unsupported.
	Value      telemetry.Value
	Null       bool
	Historical bool
	Transient  bool
	Quality    telemetry.Quality
	Unit       string // property engUnit
	// Unsupported says why there is no value although one was sent.
	Unsupported string

	wire wireValue
}

// Unsupported names a metric that is no reading, and why.
type Unsupported struct {
	Name   string
	Type   DataType
	Reason string
}

// String returns the sentence for a log.
func (u Unsupported) String() string {
	return fmt.Sprintf("metric %q, %s: %s", u.Name, u.Type, u.Reason)
}
