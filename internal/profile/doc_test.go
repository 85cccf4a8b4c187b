package profile_test

import (
	"os"
	"strings"
	"testing"

	"yunhe/internal/profile"
	"yunhe/internal/telemetry"
)

// TestTheFormatDocument: its example parses, and it names every quantity with
// its unit and every kind of device.
func TestTheFormatDocument(t *testing.T) {
	b, err := os.ReadFile("../../docs/formats/profile.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	_, rest, _ := strings.Cut(doc, "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example")
	}
	if _, err := profile.Parse("docs/formats/profile.md", []byte(example)); err != nil {
		t.Error(err)
	}
	for _, q := range telemetry.Quantities() {
		if row := "| `" + string(q.Quantity) + "` | " + string(q.Unit) + " | " + q.Class.String() + " |"; !strings.Contains(doc, row) {
			t.Errorf("missing row: %s", row)
		}
	}
	for _, k := range profile.Kinds() {
		if !strings.Contains(doc, "`"+k+"`") {
			t.Errorf("kind %s is missing", k)
		}
	}
}
