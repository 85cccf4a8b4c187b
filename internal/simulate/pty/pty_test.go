//go:build linux

package pty_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"yunhe/internal/simulate/pty"
)

// TestRaw sends every byte there is both ways: nothing is echoed, turned into
// a line end or taken for a control character.
func TestRaw(t *testing.T) {
	p, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	far, err := os.OpenFile(p.Far, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, ends := range map[string][2]*os.File{"near to far": {p.File, far}, "far to near": {far, p.File}} {
		if _, err := ends[0].Write(all); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 0, 256)
		for buf := make([]byte, 256); len(got) < 256; {
			n, err := ends[1].Read(buf)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, all) {
			t.Errorf("%s: % x", name, got)
		}
	}
	if err := p.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v: an echo?", n, err)
	}
	// The far end may come and go.
	far.Close()
	_ = p.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the far end left: %v", err)
	}
}
