package evidence

import (
	"bytes"
	"testing"
	"time"

	"yunhe/internal/telemetry"
)

// testKey is a key that everybody knows; seed fills its 32 bytes.
func testKey(t testing.TB, seed byte) *PrivateKey {
	t.Helper()
	k, err := NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var testTime = telemetry.FromMillis(1_790_000_000_000)

func ptr[T any](v T) *T { return &v }

func testClock() telemetry.Clock {
	return telemetry.Clock{
		State:  telemetry.Synchronised,
		Offset: ptr(-7 * time.Millisecond),
		BootID: [16]byte{0: 0xb0, 15: 0x0f},
		Mono:   93_784_005 * time.Millisecond,
	}
}

// testBatch has every type and every quality, at two times.
func testBatch() Content {
	at := testTime.Add(-2 * time.Second)
	return Content{
		Kind: KindBatch, JID: 6_755_399_441_055_744, JSeq: 3, Prev: Hash{1, 2, 3},
		Recorded: testTime, Clock: testClock(), DefHash: HashOf([]byte("definition")),
		Readings: []telemetry.Reading{
			{Point: "active_power", Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(-1234.5)},
			{Point: "alarm", Time: at, Type: telemetry.TypeUint, Value: telemetry.Uint(1<<64 - 1)},
			{Point: "import_total", Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(81234.56), Raw: []byte{0x00, 0x7b, 0xf4, 0x40}},
			{Point: "running", Time: at, Type: telemetry.TypeBool, Value: telemetry.Bool(true), Quality: telemetry.Uncertain},
			{Point: "temperature", Time: at, Type: telemetry.TypeFloat, Quality: telemetry.Bad, Raw: []byte{0x80, 0x00}},
			{Point: "active_power", Time: at.Add(time.Second), Type: telemetry.TypeFloat, Value: telemetry.Float(0)},
			{Point: "firmware", Time: at.Add(time.Second), Type: telemetry.TypeString, Value: telemetry.String("v1 运河")},
			{Point: "level", Time: at.Add(time.Second), Type: telemetry.TypeFloat, Quality: telemetry.Bad},
		},
	}
}

func testEvent(t testing.TB) Content {
	t.Helper()
	data, err := Epoch{Site: "tongzhou", Gateway: "gw-1", Journal: "raw", Agent: "0.1.0"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return Content{Kind: KindEvent, JID: 9, JSeq: 1, Recorded: testTime, Clock: testClock(), Data: data}
}

func testDefinition() Definition {
	return Definition{
		Site: "tongzhou", Gateway: "gw-1", Device: "meter-1", Kind: "meter",
		Profile: "eastron-sdm630", ProfileVersion: 1, ProfileHash: HashOf([]byte("profile")),
		Vendor: "Eastron", Model: "SDM630", Serial: "21070012", Firmware: "",
		Points: []PointDef{
			{Name: "active_power", Quantity: "active_power", Unit: "W", Class: telemetry.Gauge, Type: telemetry.TypeFloat,
				Table: "input", Address: 52, RegisterType: "f32", WordOrder: "big"},
			{Name: "import_total", Quantity: "active_energy_import", Unit: "kW.h", Class: telemetry.Counter, Type: telemetry.TypeFloat,
				Table: "input", Address: 72, RegisterType: "u32", WordOrder: "big", Scale: "0.01", CounterBits: 32},
		},
	}
}

func mustSign(t testing.TB, k *PrivateKey, c Content) Entry {
	t.Helper()
	e, err := k.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// asMetrics is what a collector has of the readings of a batch before it
// rebuilds it: no raw bytes, another order.
func asMetrics(rs []telemetry.Reading) []telemetry.Reading {
	out := make([]telemetry.Reading, len(rs))
	for i, r := range rs {
		r.Raw = nil
		out[len(rs)-1-i] = r
	}
	return out
}
