package bus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/simonvetter/modbus"

	"yunhe/internal/profile"
)

// runBus runs a bus of the product at an address until the test ends.
func runBus(t *testing.T, o Options) *Bus {
	t.Helper()
	o.Name, o.Now, o.Logger = "test", time.Now, slog.New(slog.DiscardHandler)
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

// registers is a simonvetter handler: each register holds its own address
// plus 1000 times the unit id; what ends in 99 does not exist.
type registers struct{}

func (registers) HandleCoils(r *modbus.CoilsRequest) ([]bool, error) {
	out := make([]bool, r.Quantity)
	for i := range out {
		out[i] = (int(r.Addr)+i)%3 == 0
	}
	return out, nil
}

func (registers) HandleDiscreteInputs(r *modbus.DiscreteInputsRequest) ([]bool, error) {
	return make([]bool, r.Quantity), nil
}

func (registers) HandleHoldingRegisters(r *modbus.HoldingRegistersRequest) ([]uint16, error) {
	out := make([]uint16, r.Quantity)
	for i := range out {
		if out[i] = r.Addr + uint16(i) + 1000*uint16(r.UnitId); (r.Addr+uint16(i))%100 == 99 {
			return nil, modbus.ErrIllegalDataAddress
		}
	}
	return out, nil
}

func (registers) HandleInputRegisters(*modbus.InputRegistersRequest) ([]uint16, error) {
	return nil, modbus.ErrIllegalFunction
}

func TestTCPAgainstServer(t *testing.T) {
	host := freeHost(t)
	server, err := modbus.NewServer(&modbus.ServerConfiguration{URL: "tcp://" + host, Logger: log.New(io.Discard, "", 0)}, registers{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	b := runBus(t, Options{Address: Address{Kind: ModbusTCP, Host: host}})
	one, two := add(t, b, "one", 1, profile.Link{}), add(t, b, "two", 2, profile.Link{})

	for range 3 {
		for unit, d := range map[uint16]*Device{1: one, 2: two} {
			raw, at, err := d.Read(t.Context(), profile.Holding, 200, 99)
			if err != nil || len(raw) != 198 || time.Since(at) > time.Minute {
				t.Fatalf("%d bytes at %v, %v", len(raw), at, err)
			}
			for i := range uint16(99) {
				if got, want := binary.BigEndian.Uint16(raw[2*i:]), 200+i+1000*unit; got != want {
					t.Fatalf("unit %d register %d: %d, want %d", unit, 200+i, got, want)
				}
			}
		}
	}
	raw, _, err := one.Read(t.Context(), profile.Coil, 0, 10)
	if want := []byte{0b01001001, 0b10}; err != nil || !bytes.Equal(raw, want) {
		t.Errorf("coils: %08b, %v; want %08b", raw, err, want)
	}
	if _, _, err := one.Read(t.Context(), profile.Holding, 250, 60); !isException(err, IllegalAddress) {
		t.Errorf("over a hole: %v", err)
	}
	if _, _, err := one.Read(t.Context(), profile.Input, 0, 1); !isException(err, IllegalFunction) {
		t.Errorf("no such table: %v", err)
	}
	if s := b.Stats(); s.Connects != 1 || s.Exceptions != 2 || s.Failures != 0 {
		t.Errorf("stats %+v: an exception must not cost the connection", s)
	}
	// A server that comes back is found again by the next read.
	_ = server.Stop()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	retry := add(t, b, "one again", 1, profile.Link{Retries: 1})
	if _, _, err := retry.Read(t.Context(), profile.Holding, 0, 1); err != nil {
		t.Errorf("after the server's restart: %v", err)
	}
}

func freeHost(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// script serves requests of a size by a rule that may break every rule. reply
// gets each request in order, over all connections, and writes what it likes.
func script(t *testing.T, size int, reply func(n int, request []byte, c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for n := 0; ; {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			for {
				request := make([]byte, size)
				if _, err := io.ReadFull(c, request); err != nil {
					break
				}
				reply(n, request, c)
				n++
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// frame answers request with a PDU.
func frame(request []byte, pdu ...byte) []byte {
	out := append([]byte(nil), request[:7]...)
	binary.BigEndian.PutUint16(out[4:], uint16(len(pdu)+1))
	return append(out, pdu...)
}

// good answers a read of one register with the address as its value.
func good(request []byte) []byte { return frame(request, 3, 2, request[8], request[9]) }

func TestTCPRepliesOutOfStep(t *testing.T) {
	const timeout = 150 * time.Millisecond
	readOne := func(d *Device, address uint16) (uint16, error) {
		raw, _, err := d.Read(t.Context(), profile.Holding, address, 1)
		if err != nil {
			return 0, err
		}
		return binary.BigEndian.Uint16(raw), nil
	}
	for name, c := range map[string]struct {
		reply func(n int, request []byte, c net.Conn)
		want  error // of the first read
		says  string
		// The reads after it must be right; where the server never mends its
		// ways they may fail, and must not be wrong.
		hopeless bool
	}{
		"answers after the timeout": {want: ErrTimeout, reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				time.Sleep(timeout + 50*time.Millisecond)
			}
			_, _ = c.Write(good(request))
		}},
		"half an answer": {want: ErrTimeout, reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				_, _ = c.Write(good(request)[:8])
				return
			}
			_, _ = c.Write(good(request))
		}},
		"an old answer first": {reply: func(n int, request []byte, c net.Conn) {
			old := good(request)
			binary.BigEndian.PutUint16(old, binary.BigEndian.Uint16(old)-1)
			old[9] ^= 0xFF
			_, _ = c.Write(old)
			_, _ = c.Write(good(request))
		}, want: ErrReply, hopeless: true},
		"each answer twice": {reply: func(n int, request []byte, c net.Conn) {
			_, _ = c.Write(append(good(request), good(request)...))
		}},
		"another unit": {want: ErrReply, says: "unit id", reply: func(n int, request []byte, c net.Conn) {
			out := good(request)
			if n == 0 {
				out[6]++
			}
			_, _ = c.Write(out)
		}},
		"another function": {want: ErrReply, says: "function 3 answered with function 4", reply: func(n int, request []byte, c net.Conn) {
			out := good(request)
			if n == 0 {
				out[7] = 4 // its byte count 2 would read as "illegal data address"
			}
			_, _ = c.Write(out)
		}},
		"another function refused": {want: ErrReply, says: "function 132", reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				_, _ = c.Write(frame(request, 0x84, 2))
				return
			}
			_, _ = c.Write(good(request))
		}},
		"too many bytes": {want: ErrReply, reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				_, _ = c.Write(frame(request, 3, 4, 0, 0, 0, 0))
				return
			}
			_, _ = c.Write(good(request))
		}},
		"too few bytes": {want: ErrReply, reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				_, _ = c.Write(frame(request, 3, 2, 0))
				return
			}
			_, _ = c.Write(good(request))
		}},
		"no PDU": {want: ErrReply, reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				_, _ = c.Write(frame(request))
				return
			}
			_, _ = c.Write(good(request))
		}},
		"nonsense": {want: ErrReply, reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				return
			}
			_, _ = c.Write(good(request))
		}},
		"hangs up": {want: ErrReply, reply: func(n int, request []byte, c net.Conn) {
			if n == 0 {
				c.Close()
				return
			}
			_, _ = c.Write(good(request))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := runBus(t, Options{Address: Address{Kind: ModbusTCP, Host: script(t, 12, c.reply)}})
			first, second := add(t, b, "first", 1, profile.Link{Timeout: timeout}), add(t, b, "second", 1, profile.Link{Timeout: 2 * time.Second, Retries: 1})
			got, err := readOne(first, 0x0101)
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("first read: %v, want %v", err, c.want)
			}
			if err == nil && got != 0x0101 {
				t.Errorf("first read: %#x", got)
			}
			for i := range uint16(3) {
				got, err := readOne(second, 0x0202+i)
				if err != nil && !c.hopeless {
					t.Errorf("next read: %v", err)
				}
				if err == nil && got != 0x0202+i {
					t.Errorf("next read: %#x is the answer to another question", got)
				}
			}
		})
	}
}

func TestCoilCountIsChecked(t *testing.T) {
	b := runBus(t, Options{Address: Address{Kind: ModbusTCP, Host: script(t, 12, func(_ int, request []byte, c net.Conn) {
		_, _ = c.Write(frame(request, 1, 1, 0xFF))
	})}})
	if _, _, err := add(t, b, "d", 1, profile.Link{}).Read(t.Context(), profile.Coil, 0, 9); !errors.Is(err, ErrReply) {
		t.Errorf("one byte for nine coils: %v", err)
	}
}

func TestTCPNobodyThere(t *testing.T) {
	b := runBus(t, Options{Address: Address{Kind: ModbusTCP, Host: freeHost(t)}})
	_, _, err := add(t, b, "d", 1, profile.Link{}).Read(t.Context(), profile.Holding, 0, 1)
	if !errors.Is(err, ErrLinkDown) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}
