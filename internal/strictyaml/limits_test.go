package strictyaml

import (
	"fmt"
	"strings"
	"testing"
)

// keys is a mapping with n keys.
func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

// stairs is a text of n lines, each further right than the one before.
func stairs(n int, word string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + word + "\n")
	}
	return b.String()
}

// TestTangledFilesAreRefused: each of these kept the YAML parser busy for
// seconds to minutes, or would exhaust the stack of whoever walks the tree.
func TestTangledFilesAreRefused(t *testing.T) {
	const deep, many = "is nested deeper than 32 levels", "is a mapping with more than 1000 keys"
	for _, tt := range []struct{ name, text, want string }{
		{"brackets", strings.Repeat("[\n", 5000), "f.yaml:33: " + deep},
		{"brackets on a line", strings.Repeat("[", 8000), "f.yaml:1: " + deep},
		{"closed again", strings.Repeat("[\n", 5000) + strings.Repeat("]\n", 5000), "f.yaml:33: " + deep},
		{"braces", strings.Repeat("{a:\n", 5000), "f.yaml:33: " + deep},
		{"dashes", strings.Repeat("- ", 900), "f.yaml:1: " + deep},
		{"stairs of keys", stairs(900, "a:"), "f.yaml:33: " + deep},
		{"stairs of dashes", stairs(900, "-"), "f.yaml:33: " + deep},
		{"keys", keys(5000), "f.yaml:1001: " + many},
		{"equal keys", strings.Repeat("a:\n", 5000), "f.yaml:1001: " + many},
		{"keys behind lists", "a:\n- x: 1\n  y: 2\n" + keys(1500), "f.yaml:1003: " + many},
		{"explicit keys", strings.Repeat("? a\n", 5000), "f.yaml:1001: " + many},
		{"documents", strings.Repeat("---\na: 1\n", 500), "f.yaml:17: has many documents"},
		{"ends of documents", strings.Repeat("...\na: 1\n", 500), "f.yaml:17: has many documents"},
		{"a long line", "a: 1\nb: " + strings.Repeat("x", 9000) + "\n", "f.yaml:2: is longer than 8192 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file, root := Parse("f.yaml", []byte(tt.text), 1<<20)
			if err := file.Err(); root.Present() || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %.200v\nwant %s", err, tt.want)
			}
		})
	}
}

// TestLargeFilesAreRead: the limits are about tangles, not about size.
func TestLargeFilesAreRead(t *testing.T) {
	for name, text := range map[string]string{
		"many entries":    "sites:\n" + strings.Repeat("  - id: a\n    name: {en: A, zh: B}\n", 2000),
		"dash under key":  "a:\n" + strings.Repeat("- x: 1\n  y: [1, 2]\n", 2000),
		"all keys":        keys(1000),
		"nested":          stairs(30, "a:"),
		"brackets closed": "a: [" + strings.Repeat("[1], ", 1000) + "2]\n",
		"words":           "a: |\n" + strings.Repeat("  [{ - ? : }\n", 300) + "# [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
	} {
		file, root := Parse("f.yaml", []byte(text), 1<<20)
		if err := file.Err(); err != nil || !root.Present() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestColumns(t *testing.T) {
	file, root := Parse("f.yaml", []byte("a: 1\nb: {c: 1, d: x}\n"), 100, WithColumns())
	var u uint64
	root.Object("a", "b").At("b").Object("c", "d").At("d").Uint(&u, 0, 1)
	if err := file.Err(); err == nil || err.Error() != `f.yaml:2:11: b.d: "x" is no whole number from 0 to 1` {
		t.Error(err)
	}
	if !file.Faulty("b.d") || !file.Faulty("b.d[3].e") || file.Faulty("b.c") || file.Faulty("b") {
		t.Error("Faulty is about a key and what is below it")
	}
}
