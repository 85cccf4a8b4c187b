package access

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
	day   = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
)

func TestKeyLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	store, err := Open(path, quiet) // before there is a file
	if err != nil {
		t.Fatal(err)
	}
	secret, key, err := Create(path, Request{Person: " 李敏 ", Role: Accountant, Sites: []string{"canal-2", "canal-1", "canal-2"}}, day)
	if err != nil {
		t.Fatal(err)
	}
	want := Key{ID: key.ID, Person: "李敏", Role: Accountant, Sites: []string{"canal-1", "canal-2"}, Created: day}
	if d := cmp.Diff(want, key); d != "" {
		t.Error(d)
	}
	if !regexp.MustCompile(`^yh_[a-z2-7]{12}_[a-z2-7]{52}$`).MatchString(secret) {
		t.Errorf("key has the form %q", secret)
	}
	got, ok := store.Check(secret)
	if d := cmp.Diff(key, got); !ok || d != "" {
		t.Errorf("a new key is not valid without a restart: %v %s", ok, d)
	}
	if !got.MayRead("canal-1") || got.MayRead("canal-3") {
		t.Error("the key reads the wrong sites")
	}
	if got, ok := store.Lookup(key.ID); !ok || got.Person != "李敏" {
		t.Error("Lookup does not know the key")
	}
	if _, err := Revoke(path, key.ID, day.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, ok := store.Check(secret); ok {
		t.Error("a revoked key is still valid")
	}
	if _, ok := store.Lookup(key.ID); ok {
		t.Error("a session of a revoked key is still valid")
	}
	again, err := Revoke(path, key.ID, day.Add(9*time.Hour))
	if err != nil || !again.Revoked.Equal(day.Add(time.Hour)) {
		t.Errorf("revoking twice gives %v, %v", again.Revoked, err)
	}
	list, err := List(path)
	if d := cmp.Diff([]Key{again}, list); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestFileHoldsNoSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	secret, key, err := Create(path, Request{Person: "a", Role: Admin, AllSites: true}, day)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), strings.TrimPrefix(secret, "yh_"+key.ID+"_")) {
		t.Error("the secret stands in the file")
	}
	info, _ := os.Stat(path)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".keys-*"))
	if len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestCheckRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	secret, key, err := Create(path, Request{Person: "a", Role: Water, AllSites: true}, day)
	if err != nil {
		t.Fatal(err)
	}
	store, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{
		"", "yh_", "yh_" + key.ID, "yh_" + key.ID + "_", secret + "a", secret[:len(secret)-1], " " + secret,
		strings.ToUpper(secret), key.ID, strings.Repeat("x", 1<<20),
		"yh_aaaaaaaaaaaa_" + strings.TrimPrefix(secret, "yh_"+key.ID+"_"), // right secret under another id
	} {
		if _, ok := store.Check(wrong); ok {
			t.Errorf("accepted %.80q", wrong)
		}
	}
	if _, ok := store.Check(secret); !ok {
		t.Error("refused the right key")
	}
}

func TestRequestFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	for _, c := range []struct {
		name string
		req  Request
		want string
	}{
		{"no person", Request{Role: Water, AllSites: true}, "person is missing"},
		{"control characters", Request{Person: "a\nb", Role: Water, AllSites: true}, "control characters"},
		{"no sites", Request{Person: "a", Role: Water}, "sites are missing"},
		{"both", Request{Person: "a", Role: Water, AllSites: true, Sites: []string{"x"}}, "not both"},
		{"bad site", Request{Person: "a", Role: Water, Sites: []string{"X Y"}}, "is not an id"},
		{"bad role", Request{Person: "a", Role: "root", AllSites: true}, "use one of operator, water"},
	} {
		if _, _, err := Create(path, c.req, day); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Revoke(path, "nothere", day); err == nil || !strings.Contains(err.Error(), "yunhe key list") {
		t.Errorf("revoke of an unknown key: %v", err)
	}
}

func TestDamagedFileGrantsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	secret, _, err := Create(path, Request{Person: "a", Role: Water, AllSites: true}, day)
	if err != nil {
		t.Fatal(err)
	}
	store, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := os.ReadFile(path)
	for name, bad := range map[string]string{
		"not yaml":      "\t{",
		"unknown field": string(good) + "extra: 1\n",
		"bad hash":      strings.Replace(string(good), "sha256: ", "sha256: zz", 1),
		"version":       strings.Replace(string(good), "version: 1", "version: 2", 1),
		"twice":         string(good) + string(good[strings.Index(string(good), "- id"):]),
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := store.Check(secret); ok {
			t.Errorf("%s: a damaged file grants access", name)
		}
		if store.Err() == nil {
			t.Errorf("%s: no error is told", name)
		}
		if _, err := Open(path, quiet); err == nil {
			t.Errorf("%s: Open accepts it", name)
		}
		if _, _, err := Create(path, Request{Person: "b", Role: Water, AllSites: true}, day); err == nil {
			t.Errorf("%s: Create overwrote it", name)
		}
	}
	if err := write(path, mustParse(t, good)); err != nil {
		t.Fatal(err)
	}
	if _, ok := store.Check(secret); !ok || store.Err() != nil {
		t.Error("a mended file grants nothing")
	}
	os.Remove(path)
	if _, ok := store.Check(secret); ok {
		t.Error("a removed file grants access")
	}
}

func TestTwoCommandsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := Create(path, Request{Person: "a", Role: Water, AllSites: true}, day); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys, err := List(path); err != nil || len(keys) != 8 {
		t.Errorf("%d keys of 8, %v", len(keys), err)
	}
}

func mustParse(t *testing.T, b []byte) []entry {
	t.Helper()
	e, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("version: 1\nkeys:\n  - id: abc\n    sha256: " + strings.Repeat("0", 64) + "\n    person: a\n    role: water\n    all_sites: true\n    created: 2026-11-23T08:00:00Z\n"))
	f.Add([]byte("version: 1\nkeys: []\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parse(b)
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Created.IsZero() && e.Key.Person == "" {
				t.Errorf("an empty key was read")
			}
		}
	})
}
