package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRunInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stopped []string
		part := func(name string) Part {
			return Part{name, func(ctx context.Context) error {
				<-ctx.Done()
				stopped = append(stopped, name)
				return nil
			}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- RunInOrder(ctx, part("a"), part("b"), part("c")) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !slices.Equal(stopped, []string{"a", "b", "c"}) {
			t.Errorf("stopped in order %v", stopped)
		}
	})
}

func TestRunInOrderEndsWithAPart(t *testing.T) {
	fault := errors.New("disk gone")
	err := RunInOrder(t.Context(),
		Part{"a", func(ctx context.Context) error { <-ctx.Done(); return nil }},
		Part{"b", func(context.Context) error { return fault }})
	if !errors.Is(err, fault) || !strings.HasPrefix(err.Error(), "b: ") {
		t.Errorf("got %v", err)
	}
}

// TestSecret: a secret that everybody on the machine may read is none.
func TestSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for mode, ok := range map[os.FileMode]bool{0o400: true, 0o600: true, 0o440: true, 0o644: false, 0o602: false} {
		if err := os.WriteFile(path, []byte("word\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		got, err := Secret(path)
		if (err == nil) != ok || ok && got != "word" || !ok && !strings.Contains(err.Error(), "chmod o=") {
			t.Errorf("mode %04o: %q, %v; accepted should be %v", mode, got, err, ok)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
