package evidence

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"yunhe/internal/telemetry"
)

// benchBatch is a meter's poll of n values, a fifth of them counters.
func benchBatch(n int) Content {
	c := testBatch()
	c.Readings = nil
	for i := range n {
		r := telemetry.Reading{Point: fmt.Sprintf("quantity_%03d_l1", i), Time: testTime, Type: telemetry.TypeFloat, Value: telemetry.Float(float64(i) * 1.1)}
		if i%5 == 0 {
			r.Raw = []byte{1, 2, 3, byte(i)}
		}
		c.Readings = append(c.Readings, r)
	}
	return c
}

var benchSizes = []int{20, 200}

func BenchmarkSign(b *testing.B) {
	k := testKey(b, 1)
	for _, n := range benchSizes {
		c := benchBatch(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRebuildVerify(b *testing.B) {
	k := testKey(b, 1)
	for _, n := range benchSizes {
		e := mustSign(b, k, benchBatch(n))
		body, err := e.Detached()
		if err != nil {
			b.Fatal(err)
		}
		rs := asMetrics(e.Content.Readings)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got, err := Rebuild(body, rs)
				if err != nil {
					b.Fatal(err)
				}
				if err := got.Verify(k.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRebuild(b *testing.B) {
	k := testKey(b, 1)
	e := mustSign(b, k, benchBatch(20))
	body, _ := e.Detached()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Rebuild(body, e.Content.Readings); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	e := mustSign(b, testKey(b, 1), benchBatch(20))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(e.Bytes); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEd25519 is the floor under BenchmarkSign and BenchmarkRebuildVerify.
func BenchmarkEd25519(b *testing.B) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	msg := make([]byte, 1000)
	sig := ed25519.Sign(key, msg)
	public := key.Public().(ed25519.PublicKey)
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(key, msg)
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			ed25519.Verify(public, msg, sig)
		}
	})
}
