package evidence

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"yunhe/internal/telemetry"
)

const (
	contentVersion = 1
	// maxMillis is the end of the year 9999, the last time that every language
	// can print.
	maxMillis = 253402300799999
	// maxSpanMillis bounds clock offset and monotonic time to what a
	// time.Duration holds.
	maxSpanMillis = 9_000_000_000_000
)

// canonical returns c as it will be signed: times in whole milliseconds UTC,
// readings sorted, "no raw bytes" nil. Its readings are a copy.
func (c Content) canonical() Content {
	c.Recorded = wholeMillis(c.Recorded)
	c.Clock.Mono = c.Clock.Mono.Truncate(time.Millisecond)
	if c.Clock.Offset != nil {
		offset := c.Clock.Offset.Truncate(time.Millisecond)
		c.Clock.Offset = &offset
	}
	if len(c.Readings) == 0 {
		c.Readings = nil
		return c
	}
	rs := make([]telemetry.Reading, len(c.Readings))
	sorted := true
	for i, r := range c.Readings {
		r.Time = wholeMillis(r.Time)
		if len(r.Raw) == 0 {
			r.Raw = nil
		}
		rs[i] = r
		sorted = sorted && (i == 0 || before(&rs[i-1], &rs[i]))
	}
	if !sorted {
		telemetry.SortReadings(rs)
	}
	c.Readings = rs
	return c
}

func wholeMillis(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return telemetry.FromMillis(telemetry.Millis(t))
}

// before reports whether a is signed before b.
func before(a, b *telemetry.Reading) bool {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c < 0
	}
	return a.Point < b.Point
}

// check reports what makes c, which is canonical in form, no content.
func (c *Content) check() error {
	switch {
	case !c.Kind.Valid():
		return errors.New(c.Kind.String())
	case c.JID == 0 || c.JID > MaxNumber || c.JSeq == 0 || c.JSeq > MaxNumber:
		return fmt.Errorf("entry %d:%d: jid and jseq are 1 to 2^53-1", c.JID, c.JSeq)
	case (c.JSeq == 1) != c.Prev.IsZero():
		return fmt.Errorf("entry %d:%d: the first entry of an epoch has no predecessor, every other has one", c.JID, c.JSeq)
	case !signable(c.Recorded):
		return errors.New("the time of recording is missing or not between 1970 and 9999")
	case !c.Clock.State.Valid():
		return errors.New(c.Clock.State.String())
	case c.Clock.Mono < 0 || c.Clock.Mono.Milliseconds() > maxSpanMillis:
		return errors.New("the monotonic time is negative or too large")
	case c.Clock.Offset != nil && c.Clock.Offset.Abs().Milliseconds() > maxSpanMillis:
		return errors.New("the clock offset is too large")
	case (c.Kind == KindBatch) == c.DefHash.IsZero():
		return errors.New("a batch cites a definition, other entries do not")
	}
	if c.Kind == KindBatch {
		return c.checkReadings()
	}
	if len(c.Readings) != 0 || len(c.Data) == 0 {
		return fmt.Errorf("a %s has data and no readings", c.Kind)
	}
	return nil
}

func (c *Content) checkReadings() error {
	if n := len(c.Readings); n == 0 || n > MaxRows || len(c.Data) != 0 {
		return fmt.Errorf("a batch has 1 to %d readings and no data; this one has %d", MaxRows, n)
	}
	for i := range c.Readings {
		r := &c.Readings[i]
		if err := r.Check(); err != nil {
			return err
		}
		if i > 0 && !before(&c.Readings[i-1], r) {
			return fmt.Errorf("point %s: two readings of one time, or out of order", r.Point)
		}
		if !signable(r.Time) {
			return fmt.Errorf("point %s: the time is not between 1970 and 9999", r.Point)
		}
		if len(r.Raw) > MaxRaw {
			return fmt.Errorf("point %s: %d raw bytes, at most %d are signed", r.Point, len(r.Raw), MaxRaw)
		}
		if s, ok := r.Value.AsString(); ok && (len(s) > MaxText || !utf8.ValidString(s)) {
			return fmt.Errorf("point %s: the text is not UTF-8 or longer than %d bytes", r.Point, MaxText)
		}
	}
	return nil
}

func signable(t time.Time) bool {
	ms := telemetry.Millis(t)
	return !t.IsZero() && ms >= 0 && ms <= maxMillis
}

// append appends the CBOR array that is signed.
func (c *Content) append(b []byte) []byte {
	b = appendHead(b, majorArray, 9)
	b = appendHead(b, majorUint, contentVersion)
	b = appendHead(b, majorUint, uint64(c.Kind))
	b = c.appendMiddle(b)
	if c.Kind != KindBatch {
		return appendBytes(b, c.Data)
	}
	b = appendHead(b, majorArray, uint64(len(c.Readings)))
	for i := range c.Readings {
		b = appendRow(b, &c.Readings[i])
	}
	return b
}

// appendMiddle appends what content and detached body have in common:
// jid, jseq, prev, trec, clock, defhash.
func (c *Content) appendMiddle(b []byte) []byte {
	b = appendHead(b, majorUint, c.JID)
	b = appendHead(b, majorUint, c.JSeq)
	b = appendBytes(b, c.Prev[:])
	b = appendInt(b, telemetry.Millis(c.Recorded))
	b = append(b, majorArray<<5|4, majorText<<5|1, byte(c.Clock.State))
	if c.Clock.Offset == nil {
		b = append(b, simpleNull)
	} else {
		b = appendInt(b, c.Clock.Offset.Milliseconds())
	}
	b = appendBytes(b, c.Clock.BootID[:])
	b = appendInt(b, c.Clock.Mono.Milliseconds())
	if c.DefHash.IsZero() {
		return append(b, simpleNull)
	}
	return appendBytes(b, c.DefHash[:])
}

// appendRow appends [name, ts, type, value, quality, raw].
func appendRow(b []byte, r *telemetry.Reading) []byte {
	b = append(b, majorArray<<5|6)
	b = appendText(b, r.Point)
	b = appendInt(b, telemetry.Millis(r.Time))
	b = appendHead(b, majorUint, uint64(r.Type))
	switch v := r.Value; v.Type() {
	case telemetry.TypeFloat:
		f, _ := v.AsFloat()
		b = appendFloat(b, f)
	case telemetry.TypeUint:
		u, _ := v.AsUint()
		b = appendHead(b, majorUint, u)
	case telemetry.TypeBool:
		if t, _ := v.AsBool(); t {
			b = append(b, simpleTrue)
		} else {
			b = append(b, simpleFalse)
		}
	case telemetry.TypeString:
		s, _ := v.AsString()
		b = appendText(b, s)
	default:
		b = append(b, simpleNull)
	}
	b = appendHead(b, majorUint, uint64(r.Quality))
	return appendOptional(b, r.Raw)
}

// sizeHint is a little more than the encoded size of c.
func (c *Content) sizeHint() int {
	n := 192 + len(c.Data)
	for i := range c.Readings {
		n += 32 + len(c.Readings[i].Point) + len(c.Readings[i].Raw)
	}
	return n
}

// parseContent is the strict inverse of append. Data and Raw are parts of b.
func parseContent(b []byte) (Content, error) {
	var c Content
	r := reader{b: b}
	r.array(9, 9)
	if v := r.uint(MaxNumber); r.err == nil && v != contentVersion {
		return c, fmt.Errorf("content of version %d, this program knows version %d: update it", v, contentVersion)
	}
	c.Kind = Kind(r.uint(255))
	c.parseMiddle(&r)
	if c.Kind == KindBatch {
		c.Readings = make([]telemetry.Reading, r.rows())
		for i := range c.Readings {
			parseRow(&r, &c.Readings[i])
		}
	} else {
		c.Data = r.bytes(MaxEntry)
	}
	if err := r.end(); err != nil {
		return c, err
	}
	return c, c.check()
}

// rows takes the head of an array of rows. A row has at least one byte, so a
// short input cannot ask for much memory.
func (r *reader) rows() int {
	n := r.array(1, MaxRows)
	if n > len(r.b)-r.pos {
		r.fail(errShort)
		return 0
	}
	return n
}

func (c *Content) parseMiddle(r *reader) {
	c.JID = r.uint(MaxNumber)
	c.JSeq = r.uint(MaxNumber)
	r.fixed(c.Prev[:])
	c.Recorded = telemetry.FromMillis(int64(r.uint(maxMillis)))
	r.array(4, 4)
	if s := r.text(1); r.err == nil {
		if len(s) != 1 {
			r.fail(errors.New("an empty clock state"))
		} else {
			c.Clock.State = telemetry.ClockState(s[0])
		}
	}
	if !r.null() {
		offset := time.Duration(r.int(maxSpanMillis)) * time.Millisecond
		c.Clock.Offset = &offset
	}
	r.fixed(c.Clock.BootID[:])
	c.Clock.Mono = time.Duration(r.uint(maxSpanMillis)) * time.Millisecond
	if !r.null() {
		r.fixed(c.DefHash[:])
		if r.err == nil && c.DefHash.IsZero() {
			r.fail(errors.New("a definition hash of zeros"))
		}
	}
}

func parseRow(r *reader, row *telemetry.Reading) {
	r.array(6, 6)
	row.Point = r.text(63)
	row.Time = telemetry.FromMillis(int64(r.uint(maxMillis)))
	row.Type = telemetry.Type(r.uint(255))
	if !r.null() {
		switch row.Type {
		case telemetry.TypeFloat:
			row.Value = telemetry.Float(r.float())
		case telemetry.TypeUint:
			row.Value = telemetry.Uint(r.head(majorUint))
		case telemetry.TypeBool:
			row.Value = telemetry.Bool(r.bool())
		case telemetry.TypeString:
			row.Value = telemetry.String(r.text(MaxText))
		default:
			r.fail(errors.New(row.Type.String()))
		}
		if r.err == nil && row.Value.IsZero() {
			r.fail(errors.New("a value that is no number"))
		}
	}
	row.Quality = telemetry.Quality(r.uint(255))
	row.Raw = r.optional()
}

// optional takes null or a byte string of 1 to MaxRaw bytes.
func (r *reader) optional() []byte {
	if r.null() {
		return nil
	}
	raw := r.bytes(MaxRaw)
	if r.err == nil && len(raw) == 0 {
		r.fail(errors.New("no raw bytes are null, not an empty string"))
	}
	return raw
}
