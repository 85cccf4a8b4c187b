package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/grid-x/modbus"
)

// rtuLine speaks Modbus RTU on a serial port or through a TCP converter.
// Framing, checksum and the meaning of the answer are grid-x's; sending is
// our own, because RTU has no transaction numbers and grid-x sends without
// looking at what the line still holds (ADR 0007).
type rtuLine struct {
	opener func(ctx context.Context, timeout time.Duration) (port, error)
	gap    time.Duration

	port     port
	packager *modbus.RTUClientHandler
	late     time.Duration // how long the line must be silent before the next question
	timeout  time.Duration
}

// port is a stream of bytes with a deadline for reading.
type port interface {
	// ReadBefore reads what there is; with nothing there it waits until the
	// deadline and returns os.ErrDeadlineExceeded.
	ReadBefore(b []byte, deadline time.Time) (int, error)
	Write(b []byte) (int, error)
	Close() error
}

// maxQuiet bounds the silence asked for after a missing answer.
const maxQuiet = 2 * time.Second

func newRTULine(open func(context.Context, time.Duration) (port, error), gap time.Duration) *rtuLine {
	return &rtuLine{opener: open, gap: gap, packager: modbus.NewRTUClientHandler("")}
}

func (l *rtuLine) open(ctx context.Context, timeout time.Duration) error {
	p, err := l.opener(ctx, timeout)
	if err != nil {
		return err
	}
	l.port = p
	return nil
}

func (l *rtuLine) close() error { return l.port.Close() }

func (l *rtuLine) quiet() time.Duration { return l.gap }

func (l *rtuLine) ask(ctx context.Context, q question) ([]byte, error) {
	if err := l.drain(ctx, q.timeout); err != nil {
		return nil, err
	}
	l.timeout = q.timeout
	l.packager.SetSlave(q.unit)
	raw, err := query(modbus.NewClient2(l.packager, l), q)
	var refused Exception
	if err != nil && !errors.As(err, &refused) {
		// The answer may still come, and would fit the next question as well
		// as this one: no transaction number tells them apart. Waiting for it
		// now puts the cost on who caused it.
		l.late = min(q.timeout, maxQuiet)
		_ = l.drain(ctx, q.timeout) // what remains of it is done before the next question
	}
	return raw, err
}

// drain throws away what the line still holds. After a missing answer it also
// waits until nothing has come for as long as the device was given, because
// that answer may be on its way; patience ends after twice that.
func (l *rtuLine) drain(ctx context.Context, timeout time.Duration) error {
	begin := time.Now()
	silent, limit := begin.Add(l.late), begin.Add(l.late+timeout)
	buf := make([]byte, rtuBuffer)
	for {
		now := time.Now()
		wait := max(look, min(silent.Sub(now), glance))
		n, err := l.port.ReadBefore(buf, now.Add(wait))
		now = time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !now.Before(silent):
			l.late = 0
			return nil
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return lineError(err)
		case now.After(limit):
			return fmt.Errorf("%w: the line is never silent", ErrReply)
		case n > 0:
			silent = now.Add(max(l.late, strayGap))
		}
	}
}

// strayGap is the silence that ends a stray frame.
const strayGap = 20 * time.Millisecond

// look is how long a look at an idle line takes at least: a deadline that has
// passed would hide what is there.
const look = time.Millisecond

// glance is how long a wait for silence goes without asking whether to stop.
const glance = 50 * time.Millisecond

// rtuBuffer holds an echo of the question, noise and the longest frame.
const rtuBuffer = 512

// Send puts one frame on the line and returns the frame that answers it. It
// is what grid-x calls a Transporter.
func (l *rtuLine) Send(request []byte) ([]byte, error) {
	if _, err := l.port.Write(request); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	deadline := time.Now().Add(l.timeout)
	buf, n := make([]byte, rtuBuffer), 0
	for n < len(buf) {
		m, err := l.port.ReadBefore(buf[n:], deadline)
		if n += m; m > 0 {
			if frame := findReply(l.packager, request, buf[:n]); frame != nil {
				return frame, nil
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && n > 0:
			return nil, fmt.Errorf("%w: % x", ErrReply, buf[:min(n, 16)])
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, ErrTimeout
		case err != nil:
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: more than %d bytes", ErrReply, len(buf))
}

// Sizes of an RTU frame: unit, function, byte count (or exception code), data, CRC.
const (
	rtuHeader    = 3
	rtuCRC       = 2
	rtuException = rtuHeader + rtuCRC
)

// findReply looks in what was received for the frame that answers request: the
// same unit, the same function with the byte count that was asked for or that
// function's refusal, and a right checksum. What stands before it, noise or
// the echo of a half-duplex adapter, is passed over. nil: not yet.
func findReply(p *modbus.RTUClientHandler, request, received []byte) []byte {
	unit, function := request[0], request[1]
	count := int(request[4])<<8 | int(request[5])
	want := 2 * count
	if function <= 2 {
		want = (count + 7) / 8
	}
	for i := 0; i+rtuException <= len(received); i++ {
		if received[i] != unit {
			continue
		}
		size := 0
		switch {
		case received[i+1] == function && int(received[i+2]) == want:
			size = rtuHeader + want + rtuCRC
		case received[i+1] == function|0x80:
			size = rtuException
		}
		if size == 0 || i+size > len(received) {
			continue
		}
		frame := received[i : i+size]
		if _, err := p.Decode(frame); err == nil {
			return frame
		}
	}
	return nil
}
