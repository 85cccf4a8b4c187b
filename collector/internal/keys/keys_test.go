package keys

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func key(t testing.TB, seed byte) evidence.PublicKey {
	t.Helper()
	k, err := evidence.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

func TestLifeOfAKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	a, b := key(t, 1), key(t, 2)
	enrol := func(gateway string, k evidence.PublicKey) error {
		_, err := Enroll(path, "tz", gateway, k.String()+"\n", start)
		return err
	}
	for _, err := range []error{enrol("gw-1", a), enrol("gw-2", b), enrol("gw-1", a)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := Load(path)
	if err != nil || len(list) != 2 || list[0].Fingerprint != a.Fingerprint() || !list[0].From.Equal(start) {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := enrol("gw-3", a); err == nil || !strings.Contains(err.Error(), "in force for tz/gw-1") {
		t.Errorf("a key is in force twice: %v", err)
	}
	if err := Revoke(path, "SHA256:nothing", time.Time{}, start); err == nil {
		t.Error("an unknown key is revoked")
	}
	if err := Revoke(path, a.Fingerprint(), time.Time{}, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	book, err := OpenBook(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := book.Lookup(a.ID()); !ok || !k.Revoked.Equal(start.Add(time.Hour)) || !k.CompromisedSince.IsZero() {
		t.Errorf("revoked key: %+v %v", k, ok)
	}
	gw1 := intake.Gateway{Site: "tz", Gateway: "gw-1"}
	if !book.Enrolled(gw1) || len(book.Fingerprints(gw1)) != 0 {
		t.Error("a gateway without a valid key counts as never enrolled, or its key as valid")
	}
	if err := enrol("gw-3", a); err != nil {
		t.Errorf("a revoked key cannot be enrolled elsewhere: %v", err)
	}
	if err := Revoke(path, b.Fingerprint(), start, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if book, err = OpenBook(path, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if k, _ := book.Lookup(a.ID()); k.Of.Gateway != "gw-3" || !k.Revoked.IsZero() {
		t.Errorf("the enrolment in force does not count: %+v", k)
	}
	if k, _ := book.Lookup(b.ID()); !k.CompromisedSince.Equal(start) {
		t.Errorf("compromised key: %+v", k)
	}
}

func TestBadInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	good := key(t, 1).String()
	for name, f := range map[string]func() error{
		"no key":      func() error { _, err := Enroll(path, "tz", "gw", "hello", start); return err },
		"bad site":    func() error { _, err := Enroll(path, "T Z", "gw", good, start); return err },
		"bad gateway": func() error { _, err := Enroll(path, "tz", "../gw", good, start); return err },
		"no time":     func() error { _, err := Enroll(path, "tz", "gw", good, time.Time{}); return err },
	} {
		if f() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused key leaves a file")
	}
	for name, text := range map[string]string{
		"unknown field": "version: 1\nkeys: []\nmore: 1\n",
		"version":       "version: 2\nkeys: []\n",
		"no yaml":       "version: [",
		"fingerprint":   "version: 1\nkeys:\n- site: tz\n  gateway: gw\n  key: " + good + "\n  fingerprint: SHA256:x\n  from: 2026-11-23T08:00:00Z\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReload: a running collector takes changes up, and a file that cannot be
// read leaves the last good one in force.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	book, err := OpenBook(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { book.Run(ctx, 5*time.Millisecond) })
	defer running.Wait()
	defer cancel()
	k := key(t, 1)
	if _, ok := book.Lookup(k.ID()); ok {
		t.Fatal("a key out of nothing")
	}
	if _, err := Enroll(path, "tz", "gw-1", k.String(), start); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, ok := book.Lookup(k.ID()); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the key is not taken up")
		}
	}
	if err := os.WriteFile(path, []byte("garbage: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := book.reload(); err == nil {
		t.Error("garbage is read")
	}
	if _, ok := book.Lookup(k.ID()); !ok {
		t.Error("garbage ends an enrolment")
	}
}

// TestTwoAtOnce: two commands at the same time lose no line.
func TestTwoAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	var all sync.WaitGroup
	for i := range 8 {
		k := key(t, byte(i+1))
		all.Go(func() {
			if _, err := Enroll(path, "tz", "gw", k.String(), start); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := Load(path); err != nil || len(list) != 8 {
		t.Errorf("%d lines, %v", len(list), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("version: 1\nkeys: []\n"))
	f.Add([]byte("version: 1\nkeys:\n- site: tz\n  gateway: gw\n  key: " + key(f, 1).String() + "\n  fingerprint: " + key(f, 1).Fingerprint() + "\n  from: 2026-11-23T08:00:00Z\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parse("keys.yaml", b)
		if err != nil {
			return
		}
		if _, err := index(list); err != nil {
			t.Errorf("a file that reads well has no index: %v", err)
		}
	})
}
