package profile

import (
	"fmt"
	"slices"
	"time"

	"yunhe/internal/telemetry"
)

// Decode makes one reading of every point of the plan. It is pure. A point
// whose block is missing or failed, whose register the device refuses, or
// whose bytes mean "not available" or nothing at all is bad; nothing is ever
// decoded as 0 for want of a value. Raw is kept for every counter that was
// read and for every reading that could not be decoded.
//
// The time of a reading is when its block was read; now stands in where there
// is no such block. Results may also be parts of a split block.
func (pl *Plan) Decode(now time.Time, results []Result) []telemetry.Reading {
	out := make([]telemetry.Reading, 0, len(pl.entries))
	for _, e := range pl.entries {
		out = append(out, pl.reading(e, now, results))
	}
	return out
}

func (pl *Plan) reading(e entry, now time.Time, results []Result) telemetry.Reading {
	p := e.point
	rd := telemetry.Reading{Point: p.Name, Time: wholeMillis(now), Type: p.Type(), Quality: telemetry.Bad}
	r := find(results, e.unit)
	if r == nil || e.refused {
		return rd
	}
	rd.Time = wholeMillis(r.At)
	if r.Err != nil {
		return rd
	}
	raw, ok := pl.gather(e, r, results)
	if !ok {
		return rd
	}
	v, err := p.decode(raw)
	if err == nil {
		rd.Value, rd.Quality = v, telemetry.Good
	}
	if err != nil || p.Class() == telemetry.Counter {
		rd.Raw = raw
	}
	return rd
}

func wholeMillis(t time.Time) time.Time { return telemetry.FromMillis(telemetry.Millis(t)) }

// find returns the result that covers a range; one that succeeded if there is.
func find(results []Result, r Range) *Result {
	var failed *Result
	for i := range results {
		x := &results[i]
		switch {
		case !x.Block.Contains(r):
		case x.Err == nil && len(x.Raw) == x.Block.Table.ByteCount(int(x.Block.Count)):
			return x
		case failed == nil:
			failed = x
		}
	}
	if failed != nil && failed.Err == nil {
		short := *failed
		short.Err = fmt.Errorf("read %s: %d bytes came back", failed.Block, len(failed.Raw))
		return &short
	}
	return failed
}

// gather puts together the raw bytes of a point: its own operands from one
// response, factors from wherever they were read in this poll.
func (pl *Plan) gather(e entry, own *Result, results []Result) ([]byte, bool) {
	raw := make([]byte, 0, e.point.formula.RawSize())
	for _, w := range e.point.words {
		raw = append(raw, own.slice(w)...)
	}
	for _, name := range e.point.Times {
		q, _ := pl.profile.Point(name) // resolve has checked the name
		r := find(results, q.span)
		if r == nil || r.Err != nil {
			return nil, false
		}
		for _, w := range q.words {
			raw = append(raw, r.slice(w)...)
		}
	}
	return raw, true
}

// slice returns the bytes of a range that the block contains.
func (r *Result) slice(w Range) []byte {
	off := int(w.Address) - int(r.Block.Address)
	switch {
	case w.Table.IsBits():
		return []byte{r.Raw[off/8] >> (off % 8) & 1}
	case w.Table == Bytes:
		return r.Raw[off : off+int(w.Count)]
	default:
		return r.Raw[2*off : 2*(off+int(w.Count))]
	}
}

// decode returns the value that raw bytes stand for. The error is
// ErrNotAvailable for a sentinel.
func (p *Point) decode(raw []byte) (telemetry.Value, error) {
	f := &p.formula
	if len(raw) != f.RawSize() {
		return telemetry.Value{}, fmt.Errorf("decode %s: %d raw bytes, want %d", p.Name, len(raw), f.RawSize())
	}
	if p.notAvailable(raw) {
		return telemetry.Value{}, fmt.Errorf("decode %s: %w", p.Name, ErrNotAvailable)
	}
	v, err := p.value(raw)
	if err != nil {
		return telemetry.Value{}, fmt.Errorf("decode %s: %w", p.Name, err)
	}
	return v, nil
}

// Decode returns the value that the raw bytes of one reading stand for; the
// error is ErrNotAvailable when they are a sentinel.
func (p *Point) Decode(raw []byte) (telemetry.Value, error) { return p.decode(raw) }

// Exact returns the exact value of a counter with these raw bytes, before it
// becomes a float64.
func (p *Point) Exact(raw []byte) (Decimal, error) {
	if len(raw) == p.formula.RawSize() && p.notAvailable(raw) {
		return Decimal{}, fmt.Errorf("decode %s: %w", p.Name, ErrNotAvailable)
	}
	return p.formula.Exact(raw)
}

func (p *Point) value(raw []byte) (telemetry.Value, error) {
	f := &p.formula
	switch t := p.Type(); t {
	case telemetry.TypeFloat:
		v, err := f.float(raw)
		return telemetry.Float(v), err
	case telemetry.TypeUint:
		d, err := f.numerator(raw)
		if err != nil {
			return telemetry.Value{}, err
		}
		x := d.Rat()
		if !x.IsInt() || !x.Num().IsUint64() {
			return telemetry.Value{}, fmt.Errorf("%s is no whole number from 0 up", d)
		}
		return telemetry.Uint(x.Num().Uint64()), nil
	case telemetry.TypeBool:
		d, err := f.numerator(raw)
		return telemetry.Bool(d.Sign() != 0), err
	case telemetry.TypeString:
		s, err := f.parts[0].text(raw)
		return telemetry.String(s), err
	default:
		return telemetry.Value{}, fmt.Errorf("unknown type %s", t)
	}
}

// notAvailable tests the sentinels on the raw bytes, before any scaling.
func (p *Point) notAvailable(raw []byte) bool {
	for i, t := range p.formula.parts {
		own := raw[:t.size]
		hit := func(s Sentinel) bool { return s.hits(t.operand, own) }
		if slices.ContainsFunc(p.NA, hit) || (i < len(p.Parts) && slices.ContainsFunc(p.Parts[i].NA, hit)) {
			return true
		}
		raw = raw[t.size:]
	}
	return p.formula.exponent > 0 && p.formula.exponentOperand().word(raw[:2]) == 0x8000 // SunSpec: scale factor not implemented
}

// formulaSource returns the source of the first operand.
func (p *Point) formulaSource() Source {
	if len(p.Parts) > 0 {
		return p.Parts[0].Source
	}
	return p.Source
}

// valueStart returns the address of the first raw byte.
func (p *Point) valueStart() uint16 { return p.words[0].Address }
