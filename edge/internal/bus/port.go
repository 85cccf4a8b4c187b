package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/grid-x/serial"
)

// networkPort opens the TCP side of a transparent serial converter.
func networkPort(host string) func(context.Context, time.Duration) (port, error) {
	return func(ctx context.Context, timeout time.Duration) (port, error) {
		dialer := net.Dialer{Timeout: timeout}
		conn, err := dialer.DialContext(ctx, "tcp", host)
		if err != nil {
			return nil, err
		}
		return tcpPort{conn}, nil
	}
}

type tcpPort struct{ net.Conn }

func (p tcpPort) ReadBefore(b []byte, deadline time.Time) (int, error) {
	if err := p.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return p.Read(b)
}

// slice is how long one read of a serial port waits; deadlines are kept to
// that grain.
const slice = 2 * time.Millisecond

// serialPort opens a serial port of this machine.
func serialPort(a Address) func(context.Context, time.Duration) (port, error) {
	return func(context.Context, time.Duration) (port, error) {
		p, err := serial.Open(&serial.Config{
			Address: a.Path, BaudRate: a.Baud, DataBits: a.DataBits, StopBits: a.StopBits,
			Parity: strings.ToUpper(a.Parity[:1]), Timeout: slice,
		})
		switch {
		case errors.Is(err, os.ErrPermission):
			return nil, fmt.Errorf("open %s: %w; add the user to the group dialout", a.Path, err)
		case err != nil:
			return nil, fmt.Errorf("open %s: %w", a.Path, err)
		}
		return ttyPort{p}, nil
	}
}

type ttyPort struct{ serial.Port }

func (p ttyPort) ReadBefore(b []byte, deadline time.Time) (int, error) {
	for {
		n, err := p.Read(b)
		if !errors.Is(err, serial.ErrTimeout) {
			return n, err
		}
		if !time.Now().Before(deadline) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// frameGap is the silence that separates RTU frames: 3.5 characters of 11
// bits, 1.75 ms above 19200 baud (MODBUS over Serial Line 1.02, 2.5.1.1).
func frameGap(a Address) time.Duration {
	if a.Baud > 19200 {
		return 1750 * time.Microsecond
	}
	return time.Duration(3.5 * 11 * float64(time.Second) / float64(a.Baud))
}
