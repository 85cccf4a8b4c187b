package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const schemaFile = "../../firmware-config/schema/profile.schema.json"

// document is the schema with what stands at the top of a schema file.
type document struct {
	Dialect string `json:"$schema"`
	Title   string `json:"title"`
	schema
}

// TestSchemaFileIsFresh: the file that editors use is written from the shapes
// that the reader uses.
func TestSchemaFileIsFresh(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	top := profileSchema.says("Written by go test ./internal/profile -update. The meaning of every key: docs/formats/profile.md")
	if err := enc.Encode(document{"https://json-schema.org/draft/2020-12/schema", "Yunhe device profile", top}); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(schemaFile); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is stale (%v): run go test ./internal/profile -update", schemaFile, err)
	}
}

// readSchema reads the file as a stranger does: what it says counts, not what
// it was made from.
func readSchema(t testing.TB) schema {
	t.Helper()
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields() // a keyword that the validator below does not know
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d.schema
}

// violations returns where v breaks s.
func (s schema) violations(at string, v any) []string {
	kinds := kindsOf(v)
	if len(s.Type) > 0 && !slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(s.Type, k) }) {
		return []string{fmt.Sprintf("%s: %v is a %v, want %v", at, v, kinds, s.Type)}
	}
	var out []string
	bad := func(format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) }
	switch v := v.(type) {
	case map[string]any:
		out = append(out, s.mapping(at, v)...)
	case []any:
		if len(v) < s.MinItems || (s.MaxItems > 0 && len(v) > s.MaxItems) {
			bad("%d entries", len(v))
		}
		for i := 0; s.Items != nil && i < len(v); i++ {
			out = append(out, s.Items.violations(fmt.Sprintf("%s[%d]", at, i), v[i])...)
		}
	case string:
		if s.Enum != nil && !slices.Contains(s.Enum, v) || s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			bad("%q is none of %v %s", v, s.Enum, s.Pattern)
		}
	case int64, uint64:
		n, _ := new(big.Int).SetString(fmt.Sprint(v), 10)
		if s.Minimum != nil && n.Cmp(new(big.Int).SetUint64(*s.Minimum)) < 0 || s.Maximum != nil && n.Cmp(new(big.Int).SetUint64(*s.Maximum)) > 0 {
			bad("%v is not from %d to %d", v, *s.Minimum, *s.Maximum)
		}
	}
	return out
}

func (s schema) mapping(at string, m map[string]any) (out []string) {
	for _, k := range sortedKeys(m) {
		sub, ok := s.Properties[k]
		for pattern, other := range s.Others {
			if regexp.MustCompile(pattern).MatchString(k) {
				sub, ok = other, true
			}
		}
		if !ok && s.Extra != nil && !*s.Extra {
			out = append(out, at+"."+k+": unknown key")
			continue
		}
		out = append(out, sub.violations(at+"."+k, m[k])...)
	}
	for _, k := range s.Required {
		if _, ok := m[k]; !ok {
			out = append(out, at+"."+k+": missing")
		}
	}
	fits := 0
	for _, a := range s.OneOf {
		if len(a.mapping(at, m)) == 0 {
			fits++
		}
	}
	if s.OneOf != nil && fits != 1 {
		out = append(out, fmt.Sprintf("%s: fits %d alternatives", at, fits))
	}
	return out
}

// kindsOf returns the JSON Schema types of v.
func kindsOf(v any) []string {
	switch v.(type) {
	case map[string]any:
		return []string{"object"}
	case []any:
		return []string{"array"}
	case string:
		return []string{"string"}
	case bool:
		return []string{"boolean"}
	case int64, uint64:
		return []string{"integer", "number"}
	case float64:
		return []string{"number"}
	default:
		return []string{"null"}
	}
}

func validate(t testing.TB, s schema, text []byte) []string {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return s.violations("", v)
}

func TestEveryProfileFitsTheSchema(t *testing.T) {
	s := readSchema(t)
	files, _ := filepath.Glob("../../firmware-config/profiles/*.yaml")
	if len(files) < 6 {
		t.Fatalf("only %d profiles", len(files))
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range validate(t, s, text) {
			t.Errorf("%s%s", filepath.Base(f), v)
		}
	}
}

// TestSchemaRefusesWhatParseRefuses holds schema and reader together where a
// schema can speak: each text is right but for one thing.
func TestSchemaRefusesWhatParseRefuses(t *testing.T) {
	s := readSchema(t)
	const good = head + "  - {name: a, quantity: voltage, address: 0, type: u16, scale: 0.1, na: [0xFFFF]}\n"
	for _, c := range []struct{ from, to string }{
		{"", ""},
		{"version: 1\n", "version: 0\n"}, {"version: 1\n", ""}, {"version: 1\n", "version: 1\ncolour: red\n"},
		{"kind: ", "kind: x"}, {"address: 0", "adress: 0"}, {"address: 0, ", ""}, {"address: 0", "address: 65536"}, {"address: 0", "address: -1"},
		{"type: u16", "type: int16"}, {"scale: 0.1", "scale: 1.0.0"}, {"scale: 0.1", "enabled: 1"}, {"scale: 0.1", "scale: [1]"},
		{"scale: 0.1", "bits: {from: 64}"}, {"scale: 0.1", "bits: {to: 1}"}, {"scale: 0.1", "words: [1]"}, {"scale: 0.1", "group: often"},
		{"scale: 0.1", "enum: {a: b}"}, {"scale: 0.1", "reset: {a: b}"}, {"scale: 0.1", "parts: [{address: 1}]"},
		{"na: [0xFFFF]", "na: 0xFFFF"}, {"na: [0xFFFF]", "na: [x]"}, {"na: [0xFFFF]", "na: ~"}, {"quantity: voltage", "quantity: volts"},
		{"name: a", "name: A"}, {"max_registers: 125", "max_registers: 300"}, {"protocol: modbus", "protocol: canbus"},
		{"max_registers: 125", "max_registers: 125, timeout: fast"}, {"max_registers: 125", "max_registers: 125, serial: {parity: odd}"},
		{"na: [0xFFFF]", "parts: [{address: 1}, {address: 2}]"}, {"sources: ", "identity: {serial: {type: u16}}\nsources: "},
	} {
		if !strings.Contains(good, c.from) {
			t.Errorf("%q is not in the good text", c.from)
		}
		text := []byte(strings.Replace(good, c.from, c.to, 1))
		_, err := Parse("x.yaml", text)
		found := validate(t, s, text)
		if wrong := c.from != c.to; (err != nil) != wrong || (len(found) > 0) != wrong {
			t.Errorf("%q in place of %q: reader %v, schema %v", c.to, c.from, err, found)
		}
	}
}
