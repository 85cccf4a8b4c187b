package evidence

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/telemetry"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew; never for a released format")

// vectors is testdata/vectors.json. In it a tree is CBOR written as JSON:
// {"$bytes": hex}, {"$float": n} and {"$uint": decimal} stand for what JSON
// cannot tell apart.
type vectors struct {
	About   string        `json:"about"`
	Context string        `json:"context"`
	Key     vectorKey     `json:"key"`
	Data    []vectorData  `json:"data"`
	Entries []vectorEntry `json:"entries"`
}

type vectorKey struct {
	Seed        string `json:"seed"`
	Public      string `json:"public"` // 32 bytes
	Text        string `json:"text"`
	KeyID       string `json:"key_id"`
	Fingerprint string `json:"fingerprint"`
}

type vectorData struct {
	Name string `json:"name"`
	Tree any    `json:"tree"`
	CBOR string `json:"cbor"`
	Hash string `json:"hash"` // SHA-256 of cbor
}

type vectorEntry struct {
	Name string `json:"name"`
	Tree any    `json:"tree"` // of the content
	CBOR string `json:"cbor"` // of the content
	Hash string `json:"hash"`
	COSE string `json:"cose"`
	Body string `json:"body"` // detached; empty if it is no batch
}

func treeBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return map[string]any{"$bytes": hex.EncodeToString(b)}
}

func treeUint(n uint64) any {
	if n <= MaxNumber {
		return n
	}
	return map[string]any{"$uint": strconv.FormatUint(n, 10)}
}

// contentTree writes c as the array of the document says, by hand.
func contentTree(c Content) any {
	var offset, defhash, rows any
	if c.Clock.Offset != nil {
		offset = c.Clock.Offset.Milliseconds()
	}
	if !c.DefHash.IsZero() {
		defhash = treeBytes(c.DefHash[:])
	}
	rows = treeBytes(c.Data)
	if c.Kind == KindBatch {
		list := []any{}
		for _, r := range c.Readings {
			var v any
			if f, ok := r.Value.AsFloat(); ok {
				v = map[string]any{"$float": f}
			} else if u, ok := r.Value.AsUint(); ok {
				v = treeUint(u)
			} else if b, ok := r.Value.AsBool(); ok {
				v = b
			} else if s, ok := r.Value.AsString(); ok {
				v = s
			}
			list = append(list, []any{r.Point, r.Time.UnixMilli(), r.Type, v, r.Quality, treeBytes(r.Raw)})
		}
		rows = list
	}
	return []any{1, c.Kind, c.JID, c.JSeq, treeBytes(c.Prev[:]), c.Recorded.UnixMilli(),
		[]any{c.Clock.State.String(), offset, treeBytes(c.Clock.BootID[:]), c.Clock.Mono.Milliseconds()}, defhash, rows}
}

func definitionTree(d Definition) any {
	points := []any{}
	for _, p := range d.Points {
		points = append(points, map[string]any{
			"name": p.Name, "quantity": p.Quantity, "unit": p.Unit, "class": p.Class.String(), "type": p.Type.String(),
			"table": p.Table, "address": p.Address, "register_type": p.RegisterType, "word_order": p.WordOrder,
			"scale": p.Scale, "counter_bits": p.CounterBits,
		})
	}
	return map[string]any{
		"v": 1, "site": d.Site, "gateway": d.Gateway, "device": d.Device, "kind": d.Kind,
		"profile": d.Profile, "profile_version": d.ProfileVersion, "profile_hash": treeBytes(d.ProfileHash[:]),
		"vendor": d.Vendor, "model": d.Model, "serial": d.Serial, "firmware": d.Firmware, "points": points,
	}
}

// namedData is one value of each kind of data, with its tree.
type namedData struct {
	name string
	kind Kind
	enc  interface{ Encode() ([]byte, error) }
	tree any
}

func allData() []namedData {
	last := HashOf([]byte("last"))
	return []namedData{
		{"definition", KindDefinition, testDefinition(), definitionTree(testDefinition())},
		{"first epoch", KindEvent, Epoch{Site: "tongzhou", Gateway: "gw-1", Journal: "raw", Agent: "0.1.0"},
			[]any{"epoch", map[string]any{"site": "tongzhou", "gateway": "gw-1", "journal": "raw", "agent": "0.1.0", "prev_jid": 0, "prev_jseq": 0, "prev_hash": nil}}},
		{"epoch", KindEvent, Epoch{Site: "tongzhou", Gateway: "gw-1", Journal: "boundary", Agent: "0.1.0", PrevJID: 77, PrevJSeq: 8, PrevHash: last},
			[]any{"epoch", map[string]any{"site": "tongzhou", "gateway": "gw-1", "journal": "boundary", "agent": "0.1.0", "prev_jid": 77, "prev_jseq": 8, "prev_hash": treeBytes(last[:])}}},
		{"loss", KindEvent, Loss{JID: 77, Lo: 3, Hi: 8, LastHash: last, Reason: "disk full"},
			[]any{"loss", map[string]any{"jid": 77, "lo": 3, "hi": 8, "last_hash": treeBytes(last[:]), "reason": "disk full"}}},
		{"loss of an unread entry", KindEvent, Loss{JID: 77, Lo: 3, Hi: 3, Reason: "damaged segment"},
			[]any{"loss", map[string]any{"jid": 77, "lo": 3, "hi": 3, "last_hash": nil, "reason": "damaged segment"}}},
		{"counter fall", KindEvent, CounterFall{Device: "meter-1", Point: "import_total", From: []byte{0, 1, 0, 0}, To: []byte{0, 0, 0, 9}},
			[]any{"counter_fall", map[string]any{"device": "meter-1", "point": "import_total", "from": treeBytes([]byte{0, 1, 0, 0}), "to": treeBytes([]byte{0, 0, 0, 9})}}},
		{"clock step", KindEvent, ClockStep{FromMs: 5000, ToMs: 1_790_000_000_000, Reason: "NTP"},
			[]any{"clock_step", map[string]any{"from_ms": 5000, "to_ms": 1_790_000_000_000, "reason": "NTP"}}},
		{"record", KindRecord, Record{Type: "site_visit", Site: "tongzhou", Gateway: "gw-1", Device: "meter-1", Body: []byte("{}")},
			map[string]any{"type": "site_visit", "site": "tongzhou", "gateway": "gw-1", "device": "meter-1", "body": treeBytes([]byte("{}"))}},
		{"record of the gateway", KindRecord, Record{Type: "site_visit", Site: "tongzhou", Gateway: "gw-1"},
			map[string]any{"type": "site_visit", "site": "tongzhou", "gateway": "gw-1", "device": "", "body": treeBytes([]byte{})}},
	}
}

// vectorBatches are the batches of the chain.
func vectorBatches() map[string][]telemetry.Reading {
	at := testTime.Add(-time.Second)
	float := func(name string, f float64) telemetry.Reading {
		return telemetry.Reading{Point: name, Time: at, Type: telemetry.TypeFloat, Value: telemetry.Float(f)}
	}
	var borders []telemetry.Reading
	for i, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 63, 1<<64 - 1} {
		borders = append(borders, telemetry.Reading{Point: "n" + strconv.Itoa(10+i), Time: at, Type: telemetry.TypeUint, Value: telemetry.Uint(n)})
	}
	unsure := float("temperature", 21.5)
	unsure.Quality = telemetry.Uncertain
	counter := float("import_total", 81234.56)
	counter.Raw = []byte{0x00, 0x7b, 0xf4, 0x40}
	return map[string][]telemetry.Reading{
		"good":                    {float("active_power", -1234.5), float("frequency", 49.98), float("tiny", 5e-324), float("whole", 100)},
		"uncertain":               {unsure},
		"bad":                     {{Point: "level", Time: at, Type: telemetry.TypeFloat, Quality: telemetry.Bad}},
		"bad with raw":            {{Point: "temperature", Time: at, Type: telemetry.TypeFloat, Quality: telemetry.Bad, Raw: []byte{0x80, 0}}},
		"counter with raw":        {counter},
		"integer borders":         borders,
		"all types and qualities": testBatch().Readings,
	}
}

func makeVectors(t *testing.T) vectors {
	t.Helper()
	k := testKey(t, 1)
	public := k.Public()
	out := vectors{
		About:   "Test vectors of docs/formats/evidence.md; a tree is CBOR written as JSON",
		Context: context,
		Key: vectorKey{
			Seed: hex.EncodeToString(bytes.Repeat([]byte{1}, 32)), Public: hex.EncodeToString(rawPublic(t, public)),
			Text: public.String(), KeyID: public.ID().String(), Fingerprint: public.Fingerprint(),
		},
	}
	var prev Hash
	var seq uint64
	add := func(name string, c Content) {
		seq++
		c.JID, c.JSeq, c.Prev, c.Recorded = 6_755_399_441_055_744, seq, prev, testTime
		if c.Clock.State == 0 {
			c.Clock = testClock()
		}
		e := mustSign(t, k, c)
		v := vectorEntry{Name: name, Tree: contentTree(e.Content), CBOR: hex.EncodeToString(e.Content.append(nil)), Hash: e.Hash.String(), COSE: hex.EncodeToString(e.Bytes)}
		if c.Kind == KindBatch {
			body, err := e.Detached()
			if err != nil {
				t.Fatal(err)
			}
			v.Body = hex.EncodeToString(body)
		}
		out.Entries = append(out.Entries, v)
		prev = e.Hash
	}
	var defhash Hash
	byName := make(map[string][]byte)
	for _, d := range allData() {
		b, err := d.enc.Encode()
		if err != nil {
			t.Fatal(err)
		}
		byName[d.name] = b
		if d.name == "definition" {
			defhash = HashOf(b)
		}
		out.Data = append(out.Data, vectorData{d.name, d.tree, hex.EncodeToString(b), HashOf(b).String()})
	}
	add("first epoch", Content{Kind: KindEvent, Data: byName["first epoch"]})
	for _, d := range allData() {
		if d.name != "first epoch" {
			add(d.name, Content{Kind: d.kind, Data: byName[d.name]})
		}
	}
	batches := vectorBatches()
	for _, name := range []string{"good", "uncertain", "bad", "bad with raw", "counter with raw", "integer borders", "all types and qualities"} {
		add(name, Content{Kind: KindBatch, DefHash: defhash, Readings: batches[name]})
	}
	add("clock unknown", Content{Kind: KindBatch, DefHash: defhash, Readings: batches["bad"], Clock: telemetry.Clock{State: telemetry.Unsynchronised}})
	return out
}

func rawPublic(t *testing.T, k PublicKey) []byte {
	t.Helper()
	var raw []byte
	if err := json.Unmarshal([]byte(`"`+k.String()[len(textEd25519)+1:]+`"`), &raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestVectors(t *testing.T) {
	path := filepath.Join("testdata", "vectors.json")
	got, err := json.MarshalIndent(makeVectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("what is signed has changed; that needs a new version of the format:\n%s", diff)
	}
}

// The file alone, without the Go values it was made from, parses and verifies
// as one chain.
func TestVectorFileIsAChain(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	key, err := ParsePublicKey(v.Key.Text)
	if err != nil {
		t.Fatal(err)
	}
	var chain Chain
	for _, want := range v.Entries {
		raw, err := hex.DecodeString(want.COSE)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Parse(raw)
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		if err := e.Verify(key); err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
		if err := chain.Next(e); err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
		if e.Hash.String() != want.Hash {
			t.Errorf("%s: hash is %s", want.Name, e.Hash)
		}
	}
}

// Implementations in two other languages, which share no code with this one,
// make and verify the same bytes.
func TestOtherLanguagesAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("needs node or python3")
	}
	ran := 0
	for _, cmd := range [][]string{{"node", "testdata/verify.mjs"}, {"python3", "testdata/verify.py"}} {
		if _, err := exec.LookPath(cmd[0]); err != nil {
			t.Logf("%s is not here", cmd[0])
			continue
		}
		if cmd[0] == "python3" && exec.Command("python3", "-c", "import cryptography").Run() != nil {
			t.Log("python3 has no module cryptography (Debian: python3-cryptography)")
			continue
		}
		ran++
		out, err := exec.Command(cmd[0], cmd[1], "testdata/vectors.json").CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", cmd, err, out)
		}
		t.Logf("%s: %s", cmd[0], out)
	}
	if ran == 0 {
		t.Error("neither node nor python3 with its module cryptography is here: install one (Debian: nodejs, python3-cryptography), so that another language checks what is signed")
	}
}
