package strictyaml

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type config struct {
	Name  string
	Note  string
	Sync  time.Duration
	Size  int64
	Unit  uint64
	Share float64
	On    bool
	Tags  []string
	Buses []string
}

func read(text string) (config, error) {
	var c config
	file, root := Parse("f.yaml", []byte(text), 4096)
	o := root.Object("name", "note", "sync", "size", "unit", "share", "on", "tags", "buses")
	c.Name, _ = o.At("name").Text("a name")
	o.At("note").Into(&c.Note, "a note")
	o.At("sync").Duration(&c.Sync)
	o.At("size").Size(&c.Size)
	o.At("unit").Uint(&c.Unit, 1, 247)
	o.At("share").Number(&c.Share, 0, 1)
	o.At("on").Bool(&c.On)
	o.At("tags").Texts(&c.Tags, "a tag")
	for _, n := range o.At("buses").List() {
		id, _ := n.Object("id").At("id").Text("the bus's id")
		c.Buses = append(c.Buses, id)
	}
	return c, file.Err()
}

func TestRead(t *testing.T) {
	got, err := read("name: a b\nnote: |\n  two\n  lines\nsync: 2d\nsize: 64MiB\nunit: 0x10\nshare: 0.25\non: true\ntags: [x, 007]\nbuses:\n  - id: b1\n  - {id: b2}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := config{Name: "a b", Note: "two\nlines", Sync: 48 * time.Hour, Size: 64 << 20, Unit: 16, Share: 0.25, On: true,
		Tags: []string{"x", "007"}, Buses: []string{"b1", "b2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "f.yaml:1: the file is empty"},
		{"no YAML", "name: [\n", "f.yaml:1: is no YAML: "},
		{"two documents", "name: a\n---\nname: b\n", "f.yaml:3: a second document begins here: keep one"},
		{"too long", "name: " + strings.Repeat("x", 5000), "f.yaml:1: the file has 5006 bytes: at most 4096 are read"},
		{"a list", "- a\n", "f.yaml:1: must be a mapping: write keys with values under it: use name, note, sync, size, unit, share, on, tags, buses"},
		{"missing", "note: x\n", "f.yaml:1: name: is missing: give a name"},
		{"null", "name: ~\n", "f.yaml:1: name: is missing: give a name"},
		{"unknown", "name: a\nnmae: b\n", "f.yaml:2: nmae: is no known key: use name, note, sync, size, unit, share, on, tags, buses"},
		{"twice", "name: a\nname: b\n", "f.yaml:2: name: is there twice: keep one"},
		{"anchor", "name: &a x\n", "f.yaml:1: name: must be a single value: give a name"},
		{"mapping for text", "name: {a: b}\n", "f.yaml:1: name: must be a single value: give a name"},
		{"period", "name: a\nsync: soon\n", `f.yaml:2: sync: "soon" is no period: write 500ms, 10s, 15m, 24h or 7d`},
		{"negative period", "name: a\nsync: -5s\n", `f.yaml:2: sync: "-5s" is no period: write 500ms, 10s, 15m, 24h or 7d`},
		{"size", "name: a\nsize: 12\n", `f.yaml:2: size: "12" is no size: write a whole number with a unit, such as 512MB or 2GiB`},
		{"size too large", "name: a\nsize: 9999999999GiB\n", `f.yaml:2: size: "9999999999GiB" is no size`},
		{"range", "name: a\nunit: 248\n", `f.yaml:2: unit: "248" is no whole number from 1 to 247`},
		{"octal", "name: a\nunit: 010\n", `f.yaml:2: unit: "010" is no whole number from 1 to 247`},
		{"NaN", "name: a\nshare: nan\n", `f.yaml:2: share: "nan" is no number from 0 to 1`},
		{"bool", "name: a\non: yes\n", `f.yaml:2: on: "yes" is neither true nor false`},
		{"all at once", "unit: 0\nbuses:\n  - id: b1\n  - nme: b2\n", "f.yaml:1: name: is missing: give a name\n" +
			"f.yaml:1: unit: \"0\" is no whole number from 1 to 247\n" +
			"f.yaml:4: buses[1].nme: is no known key: use id\n" +
			"f.yaml:4: buses[1].id: is missing: give the bus's id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := read(tt.text)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// FuzzParse: no input may crash the reader, and what it accepts has no fault
// hidden in it.
func FuzzParse(f *testing.F) {
	f.Add("name: a\nbuses:\n  - id: b1\n")
	f.Add("name: &x [*x]\n? {a: b}\n: c\n")
	f.Add("{{{{{{{{{{")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := read(text)
		if err == nil && c.Name == "" {
			t.Error("accepted without a name")
		}
	})
}
