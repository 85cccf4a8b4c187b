package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/veraison/go-cose"

	"yunhe/internal/telemetry"
)

// oracle encodes c with fxamacker/cbor from plain values.
func oracle(t testing.TB, c Content) []byte {
	t.Helper()
	opts := cbor.CoreDetEncOptions()
	opts.ShortestFloat = cbor.ShortestFloatNone
	mode, err := opts.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	optional := func(b []byte) any {
		if len(b) == 0 {
			return nil
		}
		return b
	}
	var offset, defhash, rows any
	if c.Clock.Offset != nil {
		offset = c.Clock.Offset.Milliseconds()
	}
	if !c.DefHash.IsZero() {
		defhash = c.DefHash[:]
	}
	rows = c.Data
	if c.Kind == KindBatch {
		list := []any{}
		for _, r := range c.Readings {
			var v any
			switch r.Value.Type() {
			case telemetry.TypeFloat:
				v, _ = r.Value.AsFloat()
			case telemetry.TypeUint:
				v, _ = r.Value.AsUint()
			case telemetry.TypeBool:
				v, _ = r.Value.AsBool()
			case telemetry.TypeString:
				v, _ = r.Value.AsString()
			}
			list = append(list, []any{r.Point, r.Time.UnixMilli(), int(r.Type), v, int(r.Quality), optional(r.Raw)})
		}
		rows = list
	}
	b, err := mode.Marshal([]any{
		1, int(c.Kind), c.JID, c.JSeq, c.Prev[:], c.Recorded.UnixMilli(),
		[]any{c.Clock.State.String(), offset, c.Clock.BootID[:], c.Clock.Mono.Milliseconds()},
		defhash, rows,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// randomBatch makes a valid batch; numbers of all encoded lengths occur.
func randomBatch(rng *rand.Rand) Content {
	number := func() uint64 { return 1 + rng.Uint64()>>(11+rng.IntN(53)) }
	c := Content{Kind: KindBatch, JID: min(number(), MaxNumber), JSeq: 1 + min(number(), MaxNumber-1), Prev: Hash{1},
		Recorded: telemetry.FromMillis(int64(rng.Uint64N(maxMillis))), DefHash: Hash{2}}
	c.Clock.State = []telemetry.ClockState{'S', 'U', 'I', 'R'}[rng.IntN(4)]
	c.Clock.Mono = time.Duration(rng.Uint64N(1<<uint(1+rng.IntN(40)))) * time.Millisecond
	if rng.IntN(2) == 0 {
		c.Clock.Offset = ptr(time.Duration(int64(rng.Uint64N(1<<uint(1+rng.IntN(40))))-1000) * time.Millisecond)
	}
	for i := range 1 + rng.IntN(40) {
		r := telemetry.Reading{Point: "p" + strings.Repeat("x", i), Time: c.Recorded, Type: telemetry.Type(1 + rng.IntN(4)), Quality: telemetry.Quality(rng.IntN(3))}
		if rng.IntN(2) == 0 {
			r.Raw = make([]byte, 1+rng.IntN(MaxRaw))
		}
		if r.Quality != telemetry.Bad {
			r.Value = map[telemetry.Type]telemetry.Value{
				telemetry.TypeFloat: telemetry.Float(rng.NormFloat64()), telemetry.TypeUint: telemetry.Uint(rng.Uint64() >> rng.IntN(64)),
				telemetry.TypeBool: telemetry.Bool(rng.IntN(2) == 0), telemetry.TypeString: telemetry.String(strings.Repeat("读", rng.IntN(300))),
			}[r.Type]
		}
		c.Readings = append(c.Readings, r)
	}
	return c
}

func TestContentIsWhatFxamackerEncodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	contents := []Content{testBatch(), testEvent(t)}
	for range 100 {
		contents = append(contents, randomBatch(rng))
	}
	for _, c := range contents {
		got := c.append(nil)
		if want := oracle(t, c); !bytes.Equal(got, want) {
			t.Fatalf("got  %x\nwant %x", got, want)
		}
		back, err := parseContent(got)
		if err != nil {
			t.Fatalf("%v\n%x", err, got)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Fatal(diff)
		}
	}
}

// A stranger's COSE implementation verifies our entries and makes the same.
func TestEntryIsWhatGoCoseMakes(t *testing.T) {
	k := testKey(t, 1)
	for _, c := range []Content{testBatch(), testEvent(t)} {
		e := mustSign(t, k, c)
		var m cose.Sign1Message
		if err := m.UnmarshalCBOR(e.Bytes); err != nil {
			t.Fatal(err)
		}
		if err := m.Verify([]byte("yunhe evidence v1"), k.public.verifier); err != nil {
			t.Error(err)
		}
		if err := m.Verify([]byte("something else"), k.public.verifier); err == nil {
			t.Error("the context is not part of what is signed")
		}
		id := k.Public().ID()
		own := cose.Sign1Message{
			Headers: cose.Headers{Protected: cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmEdDSA, cose.HeaderLabelKeyID: id[:]}},
			Payload: m.Payload,
		}
		if err := own.Sign(nil, []byte("yunhe evidence v1"), k.signer); err != nil {
			t.Fatal(err)
		}
		b, err := own.MarshalCBOR()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, e.Bytes) {
			t.Errorf("go-cose makes\n%x, not\n%x", b, e.Bytes)
		}
	}
}

func TestParseReturnsWhatWasSigned(t *testing.T) {
	k := testKey(t, 1)
	for _, c := range []Content{testBatch(), testEvent(t)} {
		e := mustSign(t, k, c)
		back, err := Parse(e.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Error(diff)
		}
		if err := back.Verify(k.Public()); err != nil {
			t.Error(err)
		}
		if err := back.Verify(testKey(t, 2).Public()); err == nil || errors.Is(err, ErrSignature) {
			t.Errorf("another key: %v", err)
		}
		if err := back.Verify(PublicKey{id: e.KeyID, alg: e.Alg}); !errors.Is(err, ErrSignature) {
			t.Errorf("a key without content: %v", err)
		}
	}
}

func TestFlippedBitsAreFound(t *testing.T) {
	k := testKey(t, 1)
	e := mustSign(t, k, testBatch())
	for i := range e.Bytes {
		b := bytes.Clone(e.Bytes)
		b[i] ^= 1 << (i % 8)
		got, err := Parse(b)
		if err == nil {
			err = got.Verify(k.Public())
		}
		if err == nil {
			t.Fatalf("byte %d: accepted", i)
		}
	}
}

func TestSignNormalises(t *testing.T) {
	k := testKey(t, 1)
	want := mustSign(t, k, testBatch())
	c := testBatch()
	c.Readings = slices.Clone(c.Readings)
	slices.Reverse(c.Readings)
	c.Recorded = c.Recorded.Add(999 * time.Microsecond).In(time.FixedZone("CST", 8*3600))
	c.Clock.Mono += 999 * time.Microsecond
	for i := range c.Readings {
		c.Readings[i].Time = c.Readings[i].Time.Add(400 * time.Microsecond).Local()
	}
	c.Readings[0].Raw = []byte{}
	given := slices.Clone(c.Readings)
	got := mustSign(t, k, c)
	if !bytes.Equal(got.Bytes, want.Bytes) {
		t.Error("order, zone or fractions of a millisecond changed what was signed")
	}
	if diff := cmp.Diff(given, c.Readings); diff != "" {
		t.Errorf("Sign changed what it was given: %s", diff)
	}
}

func TestSignRefuses(t *testing.T) {
	k := testKey(t, 1)
	for name, tt := range map[string]struct {
		change func(*Content)
		want   string
	}{
		"kind":           {func(c *Content) { c.Kind = 0 }, "invalid kind 0"},
		"jid":            {func(c *Content) { c.JID = 0 }, "jid and jseq"},
		"large jid":      {func(c *Content) { c.JID = MaxNumber + 1 }, "jid and jseq"},
		"jseq":           {func(c *Content) { c.JSeq = 0 }, "jid and jseq"},
		"no prev":        {func(c *Content) { c.Prev = Hash{} }, "predecessor"},
		"prev of first":  {func(c *Content) { c.JSeq = 1 }, "predecessor"},
		"no time":        {func(c *Content) { c.Recorded = time.Time{} }, "time of recording"},
		"before 1970":    {func(c *Content) { c.Recorded = time.UnixMilli(-1) }, "time of recording"},
		"clock state":    {func(c *Content) { c.Clock.State = 0 }, "clock state"},
		"mono":           {func(c *Content) { c.Clock.Mono = -time.Second }, "monotonic"},
		"no definition":  {func(c *Content) { c.DefHash = Hash{} }, "definition"},
		"no readings":    {func(c *Content) { c.Readings = nil }, "1 to 5000 readings"},
		"twice":          {func(c *Content) { c.Readings[1] = c.Readings[0] }, "two readings of one time"},
		"bad name":       {func(c *Content) { c.Readings[0].Point = "Active Power" }, "not a point name"},
		"NaN":            {func(c *Content) { c.Readings[0].Value = telemetry.Value{} }, "declared float"},
		"type":           {func(c *Content) { c.Readings[0].Type = 5 }, "invalid type 5"},
		"quality":        {func(c *Content) { c.Readings[0].Quality = 3 }, "invalid quality 3"},
		"bad with value": {func(c *Content) { c.Readings[0].Quality = telemetry.Bad }, "quality is bad"},
		"long raw":       {func(c *Content) { c.Readings[0].Raw = make([]byte, MaxRaw+1) }, "257 raw bytes"},
		"not UTF-8":      {func(c *Content) { c.Readings[6].Value = telemetry.String("\xff") }, "not UTF-8"},
		"old reading":    {func(c *Content) { c.Readings[0].Time = time.UnixMilli(-1) }, "between 1970 and 9999"},
		"data":           {func(c *Content) { c.Data = []byte{1} }, "no data"},
		"event":          {func(c *Content) { c.Kind, c.DefHash = KindEvent, Hash{} }, "data and no readings"},
		"event with definition": {func(c *Content) {
			*c = testEvent(t)
			c.DefHash = Hash{1}
		}, "cites a definition"},
		"too many": {func(c *Content) {
			c.Readings = make([]telemetry.Reading, MaxRows+1)
		}, "this one has 5001"},
		"too large": {func(c *Content) {
			r := c.Readings[6]
			c.Readings = nil
			for i := range 300 {
				r.Time = testTime.Add(time.Duration(i) * time.Second)
				r.Value = telemetry.String(strings.Repeat("x", MaxText))
				c.Readings = append(c.Readings, r)
			}
		}, "an entry has at most 262144"},
	} {
		t.Run(name, func(t *testing.T) {
			c := testBatch()
			c.Readings = slices.Clone(c.Readings)
			tt.change(&c)
			if _, err := k.Sign(c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func TestLargestBatch(t *testing.T) {
	k := testKey(t, 1)
	c := testBatch()
	c.Readings = nil
	for i := range MaxRows {
		c.Readings = append(c.Readings, telemetry.Reading{Point: "p", Time: testTime.Add(time.Duration(i) * time.Second), Type: telemetry.TypeUint, Value: telemetry.Uint(1 << 63)})
	}
	e := mustSign(t, k, c)
	if _, err := Parse(e.Bytes); err != nil {
		t.Error(err)
	}
}

func TestRebuildGivesTheSameBytes(t *testing.T) {
	k := testKey(t, 1)
	rng := rand.New(rand.NewPCG(3, 4))
	contents := []Content{testBatch()}
	for range 30 {
		contents = append(contents, randomBatch(rng))
	}
	for _, c := range contents {
		e := mustSign(t, k, c)
		body, err := e.Detached()
		if err != nil {
			t.Fatal(err)
		}
		if !IsDetached(body) || IsDetached(e.Bytes) {
			t.Fatal("detached and attached forms are not told apart")
		}
		got, err := Rebuild(body, asMetrics(e.Content.Readings))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatal(diff)
		}
		if err := got.Verify(k.Public()); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever a middleman does to the metrics, the entry no longer verifies.
func TestRebuildOfChangedMetricsDoesNotVerify(t *testing.T) {
	k := testKey(t, 1)
	e := mustSign(t, k, testBatch())
	body, err := e.Detached()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(rs []telemetry.Reading) []telemetry.Reading{
		"value": func(rs []telemetry.Reading) []telemetry.Reading { rs[0].Value = telemetry.Float(-1234.6); return rs },
		"minus zero": func(rs []telemetry.Reading) []telemetry.Reading {
			rs[5].Value = telemetry.Float(negativeZero())
			return rs
		},
		"time": func(rs []telemetry.Reading) []telemetry.Reading {
			rs[0].Time = rs[0].Time.Add(time.Millisecond)
			return rs
		},
		"name":         func(rs []telemetry.Reading) []telemetry.Reading { rs[0].Point = "active_powes"; return rs },
		"quality":      func(rs []telemetry.Reading) []telemetry.Reading { rs[0].Quality = telemetry.Uncertain; return rs },
		"quality good": func(rs []telemetry.Reading) []telemetry.Reading { rs[3].Quality = telemetry.Good; return rs },
		"bad": func(rs []telemetry.Reading) []telemetry.Reading {
			rs[0].Value, rs[0].Quality = telemetry.Value{}, telemetry.Bad
			return rs
		},
		"type": func(rs []telemetry.Reading) []telemetry.Reading {
			rs[5].Type, rs[5].Value = telemetry.TypeUint, telemetry.Uint(0)
			return rs
		},
		"type of bad": func(rs []telemetry.Reading) []telemetry.Reading { rs[7].Type = telemetry.TypeUint; return rs },
		"exchanged": func(rs []telemetry.Reading) []telemetry.Reading {
			rs[0].Value, rs[5].Value = rs[5].Value, rs[0].Value
			return rs
		},
		"missing": func(rs []telemetry.Reading) []telemetry.Reading { return rs[1:] },
		"extra": func(rs []telemetry.Reading) []telemetry.Reading {
			r := rs[0]
			r.Point = "zzz"
			return append(rs, r)
		},
		"doubled": func(rs []telemetry.Reading) []telemetry.Reading { rs[1] = rs[0]; return rs },
	} {
		t.Run(name, func(t *testing.T) {
			rs := change(slices.Clone(e.Content.Readings))
			got, err := Rebuild(body, rs)
			if err == nil {
				if bytes.Equal(got.Bytes, e.Bytes) || got.Hash == e.Hash {
					t.Fatal("the change changed nothing")
				}
				err = got.Verify(k.Public())
				if !errors.Is(err, ErrSignature) {
					t.Fatalf("got %v", err)
				}
			}
			t.Log(err)
		})
	}
}

func negativeZero() float64 { z := 0.0; return -z }

// The body is part of what is signed as well: every byte of it.
func TestRebuildOfChangedBodyDoesNotVerify(t *testing.T) {
	k := testKey(t, 1)
	e := mustSign(t, k, testBatch())
	body, err := e.Detached()
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		b := bytes.Clone(body)
		b[i] ^= 1 << (i % 8)
		got, err := Rebuild(b, e.Content.Readings)
		if err == nil {
			err = got.Verify(k.Public())
		}
		if err == nil {
			t.Fatalf("byte %d: accepted", i)
		}
	}
}

// mutate returns Bytes with old replaced by new inside the content, the
// lengths around it mended, so that only the fault itself can be the reason.
func mutate(t *testing.T, e Entry, old, replacement []byte) []byte {
	t.Helper()
	p, err := split(e.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(p.content, old) < 1 {
		t.Fatalf("%x is not in the content", old)
	}
	content := bytes.Replace(p.content, old, replacement, 1)
	b := appendProtected([]byte{tagSign1, 0x84}, p.alg, p.kid)
	b = appendBytes(append(b, 0xa0), content)
	return appendBytes(b, p.sig)
}

func TestParseRefusesOtherEncodings(t *testing.T) {
	e := mustSign(t, testKey(t, 1), testBatch())
	zero := appendFloat(nil, 0)
	ts := binary.BigEndian.AppendUint64([]byte{0x1b}, uint64(testTime.UnixMilli()))
	for name, tt := range map[string]struct {
		old, new []byte
		want     string
	}{
		"half float":       {zero, []byte{0xf9, 0, 0}, "0xf9 instead of 0xfb"},
		"long integer":     {[]byte{0x89, 0x01, 0x01}, []byte{0x89, 0x18, 0x01, 0x01}, "shortest form"},
		"tagged time":      {ts, append([]byte{0xc1}, ts...), "major type 6"},
		"negative time":    {ts, append([]byte{0x3b}, ts[1:]...), "major type 1"},
		"indefinite array": {[]byte{0x88, 0x86}, []byte{0x9f, 0x86}, "not definite"},
		"more rows":        {[]byte{0x88, 0x86}, []byte{0x89, 0x86}, "instead of 4"},
		"fewer rows":       {[]byte{0x88, 0x86}, []byte{0x87, 0x86}, "too many"},
		"version":          {[]byte{0x89, 0x01, 0x01}, []byte{0x89, 0x02, 0x01}, "version 2"},
		"empty raw":        {[]byte{0x42, 0x80, 0x00}, []byte{0x40}, "null, not an empty string"},
		"NaN":              {zero, []byte{0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0}, "no number"},
		"undefined":        {[]byte("elevel"), []byte("elevem"), ""},
		"unsorted":         {[]byte("lactive_power"), []byte("lzctive_power"), "out of order"},
		"bad name":         {[]byte("lactive_power"), []byte("lActive_power"), "not a point name"},
		"not UTF-8":        {[]byte("运"), []byte{0xff, 0xff, 0xff}, "not UTF-8"},
		"clock state":      {[]byte{0x61, 'S'}, []byte{0x61, 'X'}, "clock state"},
		"empty state":      {[]byte{0x61, 'S'}, []byte{0x60}, "empty clock state"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(mutate(t, e, tt.old, tt.new))
			if tt.want == "" {
				if err != nil {
					t.Fatal("the helper itself breaks entries:", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func TestParseRefusesUnknownAlgorithms(t *testing.T) {
	e := mustSign(t, testKey(t, 1), testBatch())
	p, _ := split(e.Bytes)
	b := appendProtected([]byte{tagSign1, 0x84}, -7, p.kid)
	b = appendBytes(appendBytes(append(b, 0xa0), p.content), p.sig)
	want := "COSE algorithm -7"
	if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want …%s…", err, want)
	}
	body, _ := e.Detached()
	if body[2] != 0x27 {
		t.Fatalf("alg is not where it is expected: %x", body[:4])
	}
	body[2] = 0x26
	if _, err := Rebuild(body, e.Content.Readings); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want …%s…", err, want)
	}
}

func TestSizeLimits(t *testing.T) {
	if _, err := Parse(make([]byte, MaxEntry+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
	if _, err := Rebuild(make([]byte, MaxEntry+1), nil); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
	event := mustSign(t, testKey(t, 1), testEvent(t))
	if _, err := event.Detached(); err == nil || !strings.Contains(err.Error(), "only a batch") {
		t.Error(err)
	}
}
