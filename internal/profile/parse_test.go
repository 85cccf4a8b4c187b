package profile

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/strictyaml"
)

var update = flag.Bool("update", false, "write the expected messages of testdata/*.bad.yaml anew")

// TestBadProfiles: every fault at once, each with its place, in one golden
// file that people can read.
func TestBadProfiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.bad.yaml")
	if len(files) < 6 {
		t.Fatalf("only %d bad profiles", len(files))
	}
	var got strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(filepath.Base(f), text)
		var faults strictyaml.Faults
		if p != nil || !errors.As(err, &faults) {
			t.Errorf("%s: %v, %v", f, p, err)
			continue
		}
		got.WriteString(faults.Error() + "\n\n")
	}
	const golden = "testdata/bad.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTooLongProfileIsRefused(t *testing.T) {
	_, err := Parse("long.yaml", []byte(head+strings.Repeat("# comment\n", 40000)))
	if err == nil || !strings.Contains(err.Error(), "at most 262144") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	more, _ := filepath.Glob("../../firmware-config/profiles/*.yaml")
	for _, name := range append(files, more...) {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("fuzz.yaml", text)
		if (p == nil) == (err == nil) {
			t.Fatalf("profile %v and error %v", p, err)
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a word")
			}
			return
		}
		pl, err := p.Plan(Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range pl.Blocks {
			if b.Count == 0 || int(b.Count) > p.Link.limit(b.Table) || b.End() > 65536 {
				t.Fatalf("block %v with limit %d", b, p.Link.limit(b.Table))
			}
		}
		for _, pt := range p.Points {
			d := pt.Describe()
			if _, err := ParseFormula(d.RegisterType, d.WordOrder, d.Scale); err != nil {
				t.Fatalf("definition of %s cannot be read back: %v", pt.Name, err)
			}
		}
	})
}

// TestDeepNestingIsRefused: a file of brackets must not exhaust the stack.
func TestDeepNestingIsRefused(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 100000), strings.Repeat("{a: ", 50000), strings.Repeat("- ", 100000), strings.Repeat("- ", 900), strings.Repeat("? ", 900), strings.Repeat("a:\n", 80000)} {
		if p, err := Parse("deep.yaml", []byte(text)); err == nil {
			t.Errorf("%.10s… became %v", text, p.ID)
		}
	}
}
