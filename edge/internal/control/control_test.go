package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func start(t *testing.T, path string) (stop func()) {
	t.Helper()
	s, err := Listen(path, func(_ context.Context, command string) (any, error) {
		if command != "status" {
			return nil, errors.New("unknown command")
		}
		return map[string]int{"backlog": 7}, nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	stop := start(t, path)
	var got map[string]int
	if err := Call(t.Context(), path, "status", &got); err != nil || got["backlog"] != 7 {
		t.Errorf("status: %v %v", got, err)
	}
	if err := Call(t.Context(), path, "explode", &got); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("unknown command: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v, want 0600", info.Mode(), err)
	}
	if _, err := Listen(path, nil, nil); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("second agent on the same socket: %v", err)
	}
	stop()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket is still there after stop: %v", err)
	}
	if err := Call(t.Context(), path, "status", &got); err == nil {
		t.Error("call without an agent succeeded")
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	start(t, path)()
}

func TestNonsenseIsAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	defer start(t, path)()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "{nonsense\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 200)
	n, err := c.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), "no JSON object") {
		t.Errorf("answer %q %v", b[:n], err)
	}
	// A request without end is cut off.
	if _, err := io.WriteString(c, strings.Repeat("x", 2*maxRequest)); err == nil {
		if _, err := c.Read(b); err == nil {
			t.Error("an oversized request was answered")
		}
	}
}
