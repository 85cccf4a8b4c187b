package evidence

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "gateway.key")
	first, created, err := LoadOrCreateKey(path)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	again, created, err := LoadOrCreateKey(path)
	if err != nil || created {
		t.Fatal(created, err)
	}
	if !again.Public().Equal(first.Public()) {
		t.Error("the key has changed")
	}
	e := mustSign(t, again, testBatch())
	if err := e.Verify(first.Public()); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("left over: %v %v", files, err)
	}
	b, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(b), "-----BEGIN PRIVATE KEY-----\n") {
		t.Errorf("%.40s", b)
	}
}

// Of many that create at once, all get the same key and one has created it.
func TestKeyFileIsCreatedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.key")
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids, creators := make(map[KeyID]bool), 0
	for range 8 {
		wg.Go(func() {
			k, created, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[k.Public().ID()] = true
			if created {
				creators++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || creators != 1 {
		t.Errorf("%d keys, %d creators", len(ids), creators)
	}
}

func TestKeyFileRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, _, err := LoadOrCreateKey(good); err != nil {
		t.Fatal(err)
	}
	pem, _ := os.ReadFile(good)
	const rsa = "-----BEGIN PRIVATE KEY-----\nMEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCCmUp5aRFXGQKdqgMuL\nUVLSNhFZxuR2ViP5MqYa4BXN7g==\n-----END PRIVATE KEY-----\n"
	for name, tt := range map[string]struct {
		content string
		mode    fs.FileMode
		want    string
	}{
		"group may read":  {string(pem), 0o640, "run: chmod 600 "},
		"others may read": {string(pem), 0o604, "(mode 0604)"},
		"empty":           {"", 0o600, "holds no PEM block"},
		"torn":            {string(pem[:60]), 0o600, "holds no PEM block"},
		"not a key":       {"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", 0o600, "is damaged: restore it"},
		"another kind":    {rsa, 0o600, "not an Ed25519 key: restore it from a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			k, created, err := LoadOrCreateKey(path)
			if err == nil || created || k != nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
			if b, _ := os.ReadFile(path); string(b) != tt.content {
				t.Error("the file was changed")
			}
		})
	}
	if _, _, err := LoadOrCreateKey(filepath.Join(good, "key")); err == nil {
		t.Error("a file taken for a folder")
	}
}

func TestPublicKeyText(t *testing.T) {
	k := testKey(t, 1).Public()
	got, err := ParsePublicKey(" " + k.String() + "\n")
	if err != nil || !got.Equal(k) || got.ID() != k.ID() || got.Fingerprint() != k.Fingerprint() || got.Alg() != AlgEdDSA {
		t.Errorf("%+v %v", got, err)
	}
	if k.Equal(testKey(t, 2).Public()) || k.Equal(PublicKey{}) {
		t.Error("different keys are equal")
	}
	for text, want := range map[string]string{
		"":                                 "is not of the form",
		"yunhe-ed25519":                    "is not of the form",
		"ssh-ed25519 AAAA":                 "unknown kind",
		"yunhe-ed25519 AAAA":               "not the base64 of 32 bytes",
		k.String() + " x":                  "not the base64 of 32 bytes",
		k.String()[:len(k.String())-1]:     "copy the whole line",
		"yunhe-ed25519 " + k.Fingerprint(): "not the base64",
	} {
		if _, err := ParsePublicKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", text, err, want)
		}
	}
}

func TestPrivateKeyDoesNotPrintItself(t *testing.T) {
	k := testKey(t, 1)
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k)} {
		if s != "private key of "+k.Public().Fingerprint() {
			t.Error(s)
		}
	}
	if _, err := NewKeyFromSeed(make([]byte, 31)); err == nil {
		t.Error("a short seed was taken")
	}
}

func TestHashesAsText(t *testing.T) {
	h := HashOf([]byte("x"))
	if got, err := ParseHash(h.String()); err != nil || got != h {
		t.Error(got, err)
	}
	id := testKey(t, 1).Public().ID()
	if got, err := ParseKeyID(id.String()); err != nil || got != id {
		t.Error(got, err)
	}
	for _, s := range []string{"", "zz", h.String() + "00", h.String()[2:]} {
		if _, err := ParseHash(s); err == nil {
			t.Errorf("%q is a hash", s)
		}
	}
	if _, err := ParseKeyID(h.String()); err == nil {
		t.Error("a hash is a key id")
	}
}

// TestKeyIDBeginsTheFingerprint: what a message says of a key is found in the
// lists that people compare it with.
func TestKeyIDBeginsTheFingerprint(t *testing.T) {
	for seed := range byte(50) {
		k, err := NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
		if err != nil {
			t.Fatal(err)
		}
		short, ok := strings.CutSuffix(k.Public().ID().Fingerprint(), "…")
		if !ok || len(short) < 25 || !strings.HasPrefix(k.Public().Fingerprint(), short) {
			t.Errorf("key id %s does not begin fingerprint %s", short, k.Public().Fingerprint())
		}
	}
}
