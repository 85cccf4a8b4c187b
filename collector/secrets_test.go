package collector

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsAreSecret: a file that others may use is refused, with the remedy.
func TestSecretsAreSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o400: true, 0o600: true, 0o440: true, 0o644: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		got, err := secret(path)
		if (err == nil) != ok || ok && got != "word" || !ok && !strings.Contains(err.Error(), "chmod o= "+path) {
			t.Errorf("mode %04o: %q, %v; accepted should be %v", mode, got, err, ok)
		}
	}
}
