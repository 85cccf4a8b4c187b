package modbusserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
)

// Port is a line that carries RTU frames.
type Port interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
}

// look is how long the responder waits for bytes before it looks whether to end.
const look = 50 * time.Millisecond

// RTU answers on one line for several units, as slaves on a common wire do.
type RTU struct {
	Port  Port
	Units Units
	// Echo makes the line repeat each request, as a half-duplex adapter does
	// that hears itself.
	Echo bool
}

// Run answers until ctx ends or the line breaks.
func (r *RTU) Run(ctx context.Context) error {
	var pending []byte
	buf := make([]byte, 256)
	for ctx.Err() == nil {
		if err := r.Port.SetReadDeadline(time.Now().Add(look)); err != nil {
			return fmt.Errorf("serve RTU line: %w", err)
		}
		n, err := r.Port.Read(buf)
		pending = append(pending, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			pending = nil // silence ends a frame, whole or not
			continue
		}
		if err != nil {
			return r.hangUp(ctx, err)
		}
		for {
			request, rest := NextRequest(pending)
			pending = rest
			if request == nil {
				break
			}
			if err := r.answer(ctx, request); err != nil {
				return r.hangUp(ctx, err)
			}
		}
	}
	return nil
}

// hangUp tells a master that left from a line that broke.
func (r *RTU) hangUp(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve RTU line: %w", err)
}

func (r *RTU) answer(ctx context.Context, request []byte) error {
	if r.Echo {
		if _, err := r.Port.Write(request); err != nil {
			return err
		}
	}
	d, ok := r.Units[request[0]]
	if !ok {
		return nil
	}
	reply, delay := respond(d, request)
	if reply == nil {
		return nil
	}
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
	_, err := r.Port.Write(reply)
	return err
}

// respond returns the frame that answers a request, nil for silence.
func respond(d *device.Device, request []byte) (reply []byte, delay time.Duration) {
	function := request[1]
	address, count := binary.BigEndian.Uint16(request[2:]), binary.BigEndian.Uint16(request[4:])
	limit := uint16(125)
	if function <= 2 {
		limit = 2000
	}
	var a device.Answer
	switch {
	case function < 1 || function > 4:
		a.Exception = 1
	case count == 0 || count > limit:
		a.Exception = 3
	default:
		a = d.Answer(profile.Table(function), address, count) // tables are numbered by function
	}
	switch {
	case a.Silent:
		return nil, 0
	case a.Exception != 0:
		return Seal([]byte{request[0], function | 0x80, a.Exception}), a.Delay
	default:
		return Seal(append([]byte{request[0], function, byte(len(a.Raw))}, a.Raw...)), a.Delay
	}
}

// requestSize is the length of a read request of functions 1 to 4 with CRC,
// and of the two single writes, which are refused.
const requestSize = 8

// NextRequest cuts the first whole request with a right checksum off the bytes
// received so far; bytes before it are noise. request is nil when there is none
// yet; rest is what to keep.
func NextRequest(received []byte) (request, rest []byte) {
	for i := 0; i+requestSize <= len(received); i++ {
		frame := received[i : i+requestSize]
		if CRC(frame[:requestSize-2]) == binary.LittleEndian.Uint16(frame[requestSize-2:]) {
			return frame, received[i+requestSize:]
		}
	}
	return nil, received[max(0, len(received)-requestSize+1):]
}

// Seal appends the checksum to a frame.
func Seal(frame []byte) []byte { return binary.LittleEndian.AppendUint16(frame, CRC(frame)) }

// CRC is the checksum of RTU frames (MODBUS over Serial Line 1.02, 6.2.2).
func CRC(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, x := range b {
		crc ^= uint16(x)
		for range 8 {
			lsb := crc & 1
			crc >>= 1
			if lsb == 1 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}

// RTUOverTCP serves one RTU line to whoever connects, as a transparent
// serial-to-network converter does; one client at a time.
type RTUOverTCP struct {
	listener net.Listener
	units    Units
}

// ListenRTUOverTCP opens the socket; a port of 0 takes a free one.
func ListenRTUOverTCP(host string, units Units) (*RTUOverTCP, error) {
	l, err := net.Listen("tcp", host)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", host, err)
	}
	return &RTUOverTCP{l, units}, nil
}

// Addr returns host:port of the socket.
func (s *RTUOverTCP) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *RTUOverTCP) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		return s.listener.Close()
	})
	g.Go(func() error {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return nil
				}
				return fmt.Errorf("serve RTU over TCP: %w", err)
			}
			// A client that breaks off says nothing about the next one.
			_ = (&RTU{Port: conn, Units: s.units}).Run(ctx)
			_ = conn.Close()
		}
	})
	return g.Wait()
}
