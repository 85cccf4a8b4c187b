package sparkplug

import (
	"fmt"
	"time"
	"unicode/utf8"

	"yunhe/internal/telemetry"
)

// Limits on what is decoded.
const (
	MaxPayload    = 1 << 20 // bytes
	MaxMetrics    = 5000
	MaxName       = 128      // bytes of a metric name
	MaxString     = 4 << 10  // bytes of a text value
	MaxRanges     = 64 << 10 // bytes of the text value of an Evidence/… metric
	maxProperties = 64
	// maxMillis is the end of the year 9999.
	maxMillis = 253402300799999
)

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
	Quality    telemetry.Quality // of the value; Bad if Null
	Unit       string            // property engUnit
	// Unsupported says why there is no value although one was sent.
	Unsupported string

	wire wireValue
}

// Resolve gives a metric without name or datatype what its birth said of it.
// It must be called before the decoded bytes change.
func (m *Metric) Resolve(name string, d DataType) {
	m.Name, m.Type = name, d
	if !m.Null {
		m.Value, m.Unsupported = m.wire.interpret(d, m.maxText())
		m.dropBad()
	}
}

// dropBad takes the value away from a metric that is bad: bad has no value.
func (m *Metric) dropBad() {
	if m.Quality == telemetry.Bad {
		m.Value = telemetry.Value{}
	}
}

// maxText is how long a text value of m may be.
func (m *Metric) maxText() int {
	if len(m.Name) > len(evidencePrefix) && m.Name[:len(evidencePrefix)] == evidencePrefix {
		return MaxRanges
	}
	return MaxString
}

func textValue(b []byte, limit int) (telemetry.Value, string) {
	switch {
	case len(b) > limit:
		return telemetry.Value{}, fmt.Sprintf("a text of %d bytes, at most %d are accepted", len(b), limit)
	case !utf8.Valid(b):
		return telemetry.Value{}, "a text that is not UTF-8"
	default:
		return telemetry.String(string(b)), ""
	}
}

// Find returns the first metric of that name, nil if there is none.
func (p *Payload) Find(name string) *Metric {
	for i := range p.Metrics {
		if p.Metrics[i].Name == name {
			return &p.Metrics[i]
		}
	}
	return nil
}

// BdSeq returns the value of the metric bdSeq, which joins an NDEATH to its
// NBIRTH.
func (p *Payload) BdSeq() (n uint64, ok bool) {
	m := p.Find(NameBdSeq)
	if m == nil {
		return 0, false
	}
	f, ok := m.Value.Number()
	if !ok || f < 0 || f > 255 || f != float64(uint8(f)) {
		return 0, false
	}
	return uint64(f), true
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

// FromReadings appends one metric a reading to dst. Raw is not sent: it is
// part of the evidence.
func FromReadings(dst []Metric, rs []telemetry.Reading, historical bool) []Metric {
	for i := range rs {
		r := &rs[i]
		dst = append(dst, Metric{
			Name: r.Point, Time: r.Time, Type: DataTypeOf(r.Type), Value: r.Value,
			Null: r.Value.IsZero(), Quality: r.Quality, Historical: historical,
		})
	}
	return dst
}

// Readings appends to dst the readings that the metrics are, without Raw, and
// returns what could not become a reading. Point names of foreign nodes are
// as sent.
func (p *Payload) Readings(dst []telemetry.Reading) ([]telemetry.Reading, []Unsupported) {
	var left []Unsupported
	for i := range p.Metrics {
		m := &p.Metrics[i]
		r, reason := m.reading(p.Time)
		if reason != "" {
			left = append(left, Unsupported{m.Name, m.Type, reason})
			continue
		}
		dst = append(dst, r)
	}
	return dst, left
}

func (m *Metric) reading(sent time.Time) (r telemetry.Reading, reason string) {
	r = telemetry.Reading{Point: m.Name, Time: m.Time, Type: m.Type.Telemetry(), Value: m.Value, Quality: m.Quality}
	if r.Time.IsZero() {
		r.Time = sent
	}
	if m.Type == 0 {
		r.Type = m.wire.guessedType()
	}
	switch {
	case m.Unsupported != "":
		return r, m.Unsupported
	case m.Name == "":
		return r, "an alias without a name"
	case r.Time.IsZero():
		return r, "no timestamp"
	case r.Type == 0:
		return r, "values of this datatype are not stored"
	}
	return r, ""
}
