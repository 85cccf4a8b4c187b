package evidence

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/telemetry"
)

// decodeAny decodes data of a kind into the value it was encoded from.
func decodeAny(k Kind, b []byte) (any, error) {
	switch k {
	case KindDefinition:
		return DecodeDefinition(b)
	case KindEvent:
		return DecodeEvent(b)
	default:
		return DecodeRecord(b)
	}
}

func TestDataSurvives(t *testing.T) {
	for _, d := range allData() {
		b, err := d.enc.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeAny(d.kind, b)
		if err != nil {
			t.Fatal(err)
		}
		want := any(d.enc)
		if r, ok := want.(Record); ok && r.Body == nil {
			r.Body = []byte{}
			want = r
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", d.name, diff)
		}
	}
}

// Every byte that differs is refused or means something else; no two
// encodings mean the same.
func TestDataHasOneEncoding(t *testing.T) {
	for _, d := range allData() {
		b, _ := d.enc.Encode()
		for i := range b {
			c := bytes.Clone(b)
			c[i] ^= 1 << (i % 8)
			got, err := decodeAny(d.kind, c)
			if err != nil {
				continue
			}
			again, err := got.(interface{ Encode() ([]byte, error) }).Encode()
			if err != nil || !bytes.Equal(again, c) {
				t.Fatalf("%s: byte %d: accepted as %+v, which encodes as %x (%v)", d.name, i, got, again, err)
			}
		}
	}
}

func TestDecodeRefusesOtherForms(t *testing.T) {
	plain := func(v any) []byte {
		b, err := dataEncoding.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	record := map[string]any{"type": "x", "site": "s", "gateway": "g", "device": "", "body": []byte{}}
	with := func(key string, v any) map[string]any {
		m := map[string]any{key: v}
		for k, v := range record {
			if _, ok := m[k]; !ok {
				m[k] = v
			}
		}
		return m
	}
	for name, tt := range map[string]struct {
		kind Kind
		data []byte
		want string
	}{
		"unknown key":       {KindRecord, plain(with("more", 1)), "unknown field"},
		"missing key":       {KindRecord, plain(map[string]any{"type": "x", "site": "s", "gateway": "g", "device": ""}), "deterministic"},
		"null body":         {KindRecord, plain(with("body", nil)), "null"},
		"text for number":   {KindEvent, plain([]any{"loss", map[string]any{"jid": "1"}}), "cannot unmarshal"},
		"unknown event":     {KindEvent, plain([]any{"party", map[string]any{}}), "unknown type"},
		"unsorted":          {KindRecord, slices.Concat([]byte{0xa2}, plain("type"), plain("x"), plain("site"), plain("s")), "deterministic"},
		"indefinite":        {KindRecord, []byte{0xbf, 0xff}, "indefinite"},
		"twice":             {KindRecord, slices.Concat([]byte{0xa2}, plain("type"), plain("x"), plain("type"), plain("x")), "duplicate"},
		"tag":               {KindRecord, append([]byte{0xc1}, plain(record)...), "tag"},
		"trailing":          {KindRecord, append(plain(record), 0), "extraneous"},
		"empty":             {KindDefinition, nil, "EOF"},
		"too large":         {KindDefinition, make([]byte, MaxEntry), "too many"},
		"definition of v 2": {KindDefinition, plain(map[string]any{"v": 2}), "deterministic"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeAny(tt.kind, tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v, want …%s…", got, err, tt.want)
			}
		})
	}
}

func TestDefinitionHashDoesNotDependOnOrder(t *testing.T) {
	a, b := testDefinition(), testDefinition()
	slices.Reverse(b.Points)
	x, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if HashOf(x) != HashOf(y) {
		t.Error("the order of points changes the hash")
	}
	b.Points[0].Address, b.Points[1].Scale = b.Points[0].Address+1, "2500000/9" // points[1] is the gauge now
	if y, _ = b.Encode(); HashOf(x) == HashOf(y) {
		t.Error("another address has the same hash")
	}
}

func TestDefinitionRefuses(t *testing.T) {
	for want, change := range map[string]func(*Definition){
		`"" is not an id`:               func(d *Definition) { d.Site = "" },
		`"GW" is not an id`:             func(d *Definition) { d.Gateway = "GW" },
		"kind:":                         func(d *Definition) { d.Kind = "" },
		"name, version and hash":        func(d *Definition) { d.ProfileHash = Hash{} },
		"serial: at most":               func(d *Definition) { d.Serial = "\x00" },
		"vendor: at most":               func(d *Definition) { d.Vendor = strings.Repeat("v", 129) },
		"points: 0":                     func(d *Definition) { d.Points = nil },
		"points: 1001":                  func(d *Definition) { d.Points = make([]PointDef, MaxPoints+1) },
		"named twice":                   func(d *Definition) { d.Points[1] = d.Points[0] },
		"not in the vocabulary":         func(d *Definition) { d.Points[0].Quantity = "power" },
		"type float in W, not a gauge":  func(d *Definition) { d.Points[0].Unit = "kW" },
		"type float in kW.h, not a":     func(d *Definition) { d.Points[1].Class = telemetry.Gauge },
		"table: missing":                func(d *Definition) { d.Points[0].Table = "" },
		"register type: missing":        func(d *Definition) { d.Points[0].RegisterType = "" },
		"a counter needs a scale":       func(d *Definition) { d.Points[1].Scale = "" },
		`scale "1e-2" is not a decimal`: func(d *Definition) { d.Points[1].Scale = "1e-2" },
		"needs an exact decimal":        func(d *Definition) { d.Points[1].Scale = "1/3" },
		`scale "1/0" is not`:            func(d *Definition) { d.Points[0].Scale = "1/0" },
		"65 counter bits":               func(d *Definition) { d.Points[1].CounterBits = 65 },
		"32 counter bits for a gauge":   func(d *Definition) { d.Points[0].CounterBits = 32 },
	} {
		d := testDefinition()
		change(&d)
		if _, err := d.Encode(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}

func TestCheckReadings(t *testing.T) {
	d := testDefinition()
	good := []telemetry.Reading{
		{Point: "active_power", Time: testTime, Type: telemetry.TypeFloat, Value: telemetry.Float(1)},
		{Point: "import_total", Time: testTime, Type: telemetry.TypeFloat, Value: telemetry.Float(1), Raw: []byte{1}},
		{Point: "import_total", Time: testTime, Type: telemetry.TypeFloat, Quality: telemetry.Bad},
	}
	if err := d.CheckReadings(good); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(rs []telemetry.Reading){
		"not in the definition":       func(rs []telemetry.Reading) { rs[0].Point = "voltage" },
		"says float, the reading is":  func(rs []telemetry.Reading) { rs[0].Type = telemetry.TypeUint },
		"without the register bytes ": func(rs []telemetry.Reading) { rs[1].Raw = nil },
	} {
		rs := slices.Clone(good)
		change(rs)
		if err := d.CheckReadings(rs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}

func TestEventsRefuse(t *testing.T) {
	epoch := Epoch{Site: "s", Gateway: "g", Journal: "raw", Agent: "1"}
	with := func(change func(*Epoch)) Epoch { e := epoch; change(&e); return e }
	for want, v := range map[string]interface{ Encode() ([]byte, error) }{
		"journal: missing":                 with(func(e *Epoch) { e.Journal = "" }),
		"agent: missing":                   with(func(e *Epoch) { e.Agent = "" }),
		"or none of them":                  with(func(e *Epoch) { e.PrevJID = 1 }),
		"at most 2^53-1":                   with(func(e *Epoch) { e.PrevJID, e.PrevJSeq, e.PrevHash = 1<<53, 1, Hash{1} }),
		"entries 1:3-2":                    Loss{JID: 1, Lo: 3, Hi: 2},
		"reason: at most 1024":             Loss{JID: 1, Lo: 1, Hi: 2, Reason: strings.Repeat("x", MaxText+1)},
		"register bytes are needed":        CounterFall{Device: "d", Point: "p", From: []byte{1}},
		`"" is not a point name`:           CounterFall{Device: "d"},
		"not between 1970 and 9999":        ClockStep{FromMs: -1},
		"type: missing":                    Record{Site: "s", Gateway: "g"},
		`"Device 1" is not an id`:          Record{Type: "t", Site: "s", Gateway: "g", Device: "Device 1"},
		"too many for an entry of at most": Record{Type: "t", Site: "s", Gateway: "g", Body: make([]byte, MaxEntry)},
	} {
		if b, err := v.Encode(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %x, %v, want …%s…", b, err, want)
		}
	}
}

// The largest data that can be encoded can also be signed.
func TestLargestDataFitsAnEntry(t *testing.T) {
	r := Record{Type: "t", Site: "s", Gateway: "g"}
	for n := MaxEntry - MaxText; ; n -= 16 {
		r.Body = make([]byte, n)
		if b, err := r.Encode(); err == nil {
			c := testEvent(t)
			c.Kind, c.Data = KindRecord, b
			if _, err := testKey(t, 1).Sign(c); err != nil {
				t.Error(err)
			}
			return
		}
	}
}
