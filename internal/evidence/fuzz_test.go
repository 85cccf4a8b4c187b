package evidence

import (
	"bytes"
	"encoding/json"
	"testing"

	"yunhe/internal/telemetry"
)

func FuzzParse(f *testing.F) {
	k := testKey(f, 1)
	f.Add(mustSign(f, k, testBatch()).Bytes)
	f.Add(mustSign(f, k, testEvent(f)).Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		// The encoding is the one we make: signing the content again gives the
		// same bytes but for key and signature.
		if again := e.Content.append(nil); !bytes.Contains(b, again) {
			t.Errorf("accepted another encoding of\n%x", again)
		}
		if _, err := k.Sign(e.Content); err != nil {
			t.Errorf("accepted what cannot be signed: %v", err)
		}
		if e.Content.Kind == KindBatch {
			body, err := e.Detached()
			if err != nil {
				t.Fatal(err)
			}
			back, err := Rebuild(body, asMetrics(e.Content.Readings))
			if err != nil || !bytes.Equal(back.Bytes, b) {
				t.Errorf("rebuilt as %x, %v", back.Bytes, err)
			}
		}
		e.Verify(k.Public())
	})
}

func FuzzRebuild(f *testing.F) {
	e := mustSign(f, testKey(f, 1), testBatch())
	body, err := e.Detached()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body, uint8(8))
	f.Add(body, uint8(3))
	f.Fuzz(func(t *testing.T, body []byte, n uint8) {
		rs := make([]telemetry.Reading, n)
		for i := range rs {
			rs[i] = e.Content.Readings[i%len(e.Content.Readings)]
			rs[i].Time = rs[i].Time.AddDate(0, 0, i/len(e.Content.Readings))
		}
		got, err := Rebuild(body, rs)
		if err != nil {
			return
		}
		again, err := got.Detached()
		if err != nil || !bytes.Equal(again, body) {
			t.Errorf("accepted another encoding of\n%x", again)
		}
		if _, err := Parse(got.Bytes); err != nil {
			t.Errorf("rebuilt what cannot be parsed: %v", err)
		}
	})
}

func FuzzDecodeDefinition(f *testing.F) {
	b, err := testDefinition().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDefinition(b)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("accepted another encoding of\n%x, %v", again, err)
		}
	})
}

func FuzzDecodeData(f *testing.F) {
	for _, d := range allData() {
		if b, err := d.enc.Encode(); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range []Kind{KindEvent, KindRecord} {
			v, err := decodeAny(k, b)
			if err != nil {
				continue
			}
			again, err := v.(interface{ Encode() ([]byte, error) }).Encode()
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("accepted another encoding of\n%x, %v", again, err)
			}
			if _, err := json.Marshal(v); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzRanges(f *testing.F) {
	f.Add("7:1-3,5;9:4")
	f.Add("9007199254740991:9007199254740991")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRanges(s)
		if err != nil {
			return
		}
		again, err := ParseRanges(r.String())
		if err != nil || again.String() != r.String() || again.Len() != r.Len() {
			t.Errorf("%q became %q, then %q, %v", s, r, again, err)
		}
		var built Ranges
		r.Each(func(jid, lo, hi uint64) bool {
			built.AddSpan(Span{jid, lo, hi})
			return r.Contains(jid, lo) && r.Contains(jid, hi)
		})
		if built.String() != r.String() {
			t.Errorf("%q was rebuilt as %q", r, built)
		}
	})
}
