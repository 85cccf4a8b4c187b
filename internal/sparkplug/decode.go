package sparkplug

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"yunhe/internal/telemetry"
)

// maxNames bounds the names that a Decoder keeps; a full table starts anew.
const maxNames = 1 << 16

// Decoder decodes many payloads and keeps the metric names it has seen, so
// that a name is allocated once. Its zero value is ready. Not for concurrent use.
type Decoder struct{ names map[string]string }

// Decode decodes b into p, whose memory it reuses. p.Body becomes a part of b.
func Decode(b []byte, p *Payload) error {
	var d Decoder
	return d.Decode(b, p)
}

// Decode decodes b into p, whose memory it reuses. p.Body becomes a part of
// b; names and values do not. After an error p holds nothing of use.
func (d *Decoder) Decode(b []byte, p *Payload) error {
	*p = Payload{Metrics: p.Metrics[:0]}
	if len(b) > MaxPayload {
		return fmt.Errorf("decode payload: %d bytes, at most %d are accepted", len(b), MaxPayload)
	}
	if err := d.payload(b, p); err != nil {
		return fmt.Errorf("decode payload: %w", err)
	}
	return nil
}

func (d *Decoder) payload(b []byte, p *Payload) error {
	return eachField(b, func(f field) (err error) {
		switch f.number {
		case 1:
			p.Time, err = f.time()
		case 2:
			if len(p.Metrics) == MaxMetrics {
				return fmt.Errorf("more than %d metrics", MaxMetrics)
			}
			var body []byte
			if body, err = f.bytes(); err == nil {
				p.Metrics = append(p.Metrics, Metric{})
				err = d.metric(body, &p.Metrics[len(p.Metrics)-1])
			}
		case 3:
			p.Seq, err = f.varint()
			p.HasSeq = true
		case 5:
			p.Body, err = f.bytes()
		}
		return err
	})
}

func (d *Decoder) metric(b []byte, m *Metric) error {
	err := eachField(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Name, err = d.name(f)
		case 2:
			m.Alias, err = f.varint()
			m.HasAlias = true
		case 3:
			m.Time, err = f.time()
		case 4:
			var n uint64
			n, err = f.varint()
			m.Type = DataType(min(n, 1<<31))
		case 5:
			m.Historical, err = f.bool()
		case 6:
			m.Transient, err = f.bool()
		case 7:
			m.Null, err = f.bool()
		case 9:
			var set []byte
			if set, err = f.bytes(); err == nil {
				err = d.properties(set, m)
			}
		default:
			if f.number >= fieldInt && f.number <= lastValue {
				m.wire, err = f.value()
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("metric %q: %w", m.Name, err)
	}
	if m.Null {
		m.Quality = telemetry.Bad
	} else {
		m.Value, m.Unsupported = m.wire.interpret(m.Type, m.maxText())
		m.dropBad()
	}
	return nil
}

// properties reads the three properties that mean something here.
func (d *Decoder) properties(b []byte, m *Metric) error {
	var keys, values [maxProperties][]byte
	var nk, nv int
	err := eachField(b, func(f field) (err error) {
		if f.number > 2 {
			return nil
		}
		list, n := &keys, &nk
		if f.number == 2 {
			list, n = &values, &nv
		}
		if *n == maxProperties {
			return fmt.Errorf("more than %d properties", maxProperties)
		}
		list[*n], err = f.bytes()
		*n++
		return err
	})
	if err != nil {
		return err
	}
	if nk != nv {
		return fmt.Errorf("%d property keys and %d values", nk, nv)
	}
	for i := range nk {
		if err := d.property(string(keys[i]), values[i], m); err != nil {
			return fmt.Errorf("property %.40q: %w", keys[i], err)
		}
	}
	return nil
}

func (d *Decoder) property(key string, value []byte, m *Metric) error {
	if key != keyQuality && key != keyUncertain && key != keyUnit {
		return nil
	}
	return eachField(value, func(f field) (err error) {
		var n uint64
		switch {
		case key == keyQuality && (f.number == 3 || f.number == 4):
			n, err = f.varint()
			switch n {
			case qualityGood:
			case qualityBad:
				m.Quality = telemetry.Bad
			default: // 500 is STALE, others are not defined
				m.Quality = max(m.Quality, telemetry.Uncertain)
			}
		case key == keyUncertain && f.number == 7:
			if n, err = f.varint(); n != 0 {
				m.Quality = max(m.Quality, telemetry.Uncertain)
			}
		case key == keyUnit && f.number == 8:
			m.Unit, err = d.name(f)
		}
		return err
	})
}

// name reads a name and returns the one copy that is kept of it.
func (d *Decoder) name(f field) (string, error) {
	b, err := f.bytes()
	if err != nil {
		return "", err
	}
	if s, ok := d.names[string(b)]; ok {
		return s, nil
	}
	if len(b) > MaxName {
		return "", fmt.Errorf("a name of %d bytes, at most %d are accepted", len(b), MaxName)
	}
	if !utf8.Valid(b) {
		return "", errors.New("a name that is not UTF-8")
	}
	if d.names == nil || len(d.names) >= maxNames {
		d.names = make(map[string]string)
	}
	s := string(b)
	d.names[s] = s
	return s, nil
}

// field is one field of a message: for a varint or fixed one num, else data.
type field struct {
	number protowire.Number
	typ    protowire.Type
	num    uint64
	data   []byte
}

// eachField calls f for each field of the message b, in order.
func eachField(b []byte, f func(field) error) error {
	for len(b) > 0 {
		var fl field
		var n int
		if fl.number, fl.typ, n = protowire.ConsumeTag(b); n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		switch fl.typ {
		case protowire.VarintType:
			fl.num, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			fl.num, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			fl.num = uint64(v)
		case protowire.BytesType:
			fl.data, n = protowire.ConsumeBytes(b)
		default: // groups: not in this schema
			return fmt.Errorf("field %d: wire type %d", fl.number, fl.typ)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(fl); err != nil {
			return err
		}
	}
	return nil
}

func (f field) want(t protowire.Type) error {
	if f.typ != t {
		return fmt.Errorf("field %d: wire type %d instead of %d", f.number, f.typ, t)
	}
	return nil
}

func (f field) varint() (uint64, error) { return f.num, f.want(protowire.VarintType) }

func (f field) bool() (bool, error) { return f.num != 0, f.want(protowire.VarintType) }

func (f field) bytes() ([]byte, error) { return f.data, f.want(protowire.BytesType) }

func (f field) time() (time.Time, error) {
	if err := f.want(protowire.VarintType); err != nil {
		return time.Time{}, err
	}
	if f.num > maxMillis {
		return time.Time{}, fmt.Errorf("timestamp %d ms is after the year 9999", f.num)
	}
	return telemetry.FromMillis(int64(f.num)), nil
}

// value reads one of the fields of the value of a metric.
func (f field) value() (wireValue, error) {
	want := protowire.BytesType
	switch f.number {
	case fieldInt, fieldLong, fieldBoolean:
		want = protowire.VarintType
	case fieldFloat:
		want = protowire.Fixed32Type
	case fieldDouble:
		want = protowire.Fixed64Type
	}
	num := f.num
	if f.number == fieldInt {
		num = uint64(uint32(num)) // as every protobuf decoder reads a uint32
	}
	return wireValue{int(f.number), num, f.data}, f.want(want)
}
