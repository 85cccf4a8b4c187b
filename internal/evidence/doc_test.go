package evidence

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The worked example of the document is a vector.
func TestWorkedExampleOfTheDocument(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "evidence.md"))
	if err != nil {
		t.Fatal(err)
	}
	v := makeVectors(t)
	var want vectorEntry
	for _, e := range v.Entries {
		if e.Name == "counter with raw" {
			want = e
		}
	}
	cose, _ := hex.DecodeString(want.COSE)
	p, err := split(cose)
	if err != nil {
		t.Fatal(err)
	}
	for block, want := range map[string]string{
		"cbor-content": want.CBOR,
		"cbor-signed":  hex.EncodeToString(sigStructure(p.alg, p.kid, p.content)),
		"cbor-entry":   want.COSE,
		"cbor-body":    want.Body,
	} {
		m := regexp.MustCompile("(?s)```" + block + "\n(.*?)```").FindSubmatch(b)
		if m == nil {
			t.Errorf("the document has no block %s", block)
			continue
		}
		bare := regexp.MustCompile(`#.*|\s`).ReplaceAllString(string(m[1]), "")
		if bare != want {
			t.Errorf("%s:\n got %s\nwant %s", block, bare, want)
		}
	}
	for _, s := range []string{want.Hash, v.Key.Public, v.Key.KeyID} {
		if !strings.Contains(string(b), s) {
			t.Errorf("the document does not name %s", s)
		}
	}
}
