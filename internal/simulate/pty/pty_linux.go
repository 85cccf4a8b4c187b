// Package pty makes pairs of pseudo terminals: a serial line without wires,
// for simulators and tests.
package pty

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Pair is a pseudo terminal. It embeds the near end, which carries bytes as
// they are and has deadlines.
type Pair struct {
	*os.File
	// Far is the device file of the far end: a program opens it like a serial port.
	Far  string
	keep *os.File // the far end, held open: it would hang up when its last user leaves
}

// Open makes a pair.
func Open() (*Pair, error) {
	// Not blocking, so that the file has deadlines.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	p := &Pair{File: os.NewFile(uintptr(fd), "/dev/ptmx")}
	if err := p.prepare(fd); err != nil {
		_ = p.File.Close()
		return nil, fmt.Errorf("open pty: %w", err)
	}
	return p, nil
}

func (p *Pair) prepare(fd int) error {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("name far end: %w", err)
	}
	if err := raw(fd); err != nil {
		return fmt.Errorf("set to raw: %w", err)
	}
	p.Far = fmt.Sprintf("/dev/pts/%d", n)
	p.keep, err = os.OpenFile(p.Far, os.O_RDWR|unix.O_NOCTTY, 0)
	return err
}

// Close ends both sides, the near one first: without its far end a read of it
// would fail as if the line had broken.
func (p *Pair) Close() error { return errors.Join(p.File.Close(), p.keep.Close()) }

// raw stops the kernel from treating the line as somebody's terminal.
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
