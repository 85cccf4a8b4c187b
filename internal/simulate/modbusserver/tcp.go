// Package modbusserver puts simulated devices on real Modbus lines: Modbus
// TCP by way of simonvetter/modbus, which shares no code with the client that
// Yunhe uses, and RTU by a responder of its own, on anything that carries bytes.
package modbusserver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/simonvetter/modbus"

	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
)

// Units are the devices of one line by unit id. Nobody answers for others.
type Units map[uint8]*device.Device

// TCP serves devices on one Modbus TCP socket.
type TCP struct {
	host   string
	server *modbus.ModbusServer
	units  Units
	ending chan struct{}
}

// Clients a server takes at once, how long one may be idle, and how long a
// silent device keeps its client waiting: longer than any client does.
const (
	maxClients = 64
	maxIdle    = 2 * time.Minute
	hush       = 10 * time.Second
)

// ListenTCP opens the socket; a port of 0 takes a free one. Run serves it.
func ListenTCP(host string, units Units) (*TCP, error) {
	s := &TCP{units: units, ending: make(chan struct{})}
	var err error
	for range 5 { // somebody else may take the free port first
		if s.host, err = freePort(host); err != nil {
			break
		}
		s.server, err = modbus.NewServer(&modbus.ServerConfiguration{
			URL: "tcp://" + s.host, Timeout: maxIdle, MaxClients: maxClients, Logger: log.New(io.Discard, "", 0),
		}, s)
		if err != nil {
			break
		}
		if err = s.server.Start(); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("serve Modbus on %s: %w", host, err)
}

// freePort picks a port where host asks for any: the server does not tell
// which one the system chose.
func freePort(host string) (string, error) {
	if _, port, err := net.SplitHostPort(host); err != nil || port != "0" {
		return host, err
	}
	l, err := net.Listen("tcp", host)
	if err != nil {
		return host, err
	}
	return l.Addr().String(), l.Close()
}

// Addr returns host:port of the socket.
func (s *TCP) Addr() string { return s.host }

// Run serves until ctx ends.
func (s *TCP) Run(ctx context.Context) error {
	<-ctx.Done()
	close(s.ending)
	return s.server.Stop()
}

// answer asks a device and waits as long as it takes.
func (s *TCP) answer(unit uint8, table profile.Table, address, count uint16) ([]byte, error) {
	d, ok := s.units[unit]
	if !ok {
		return nil, modbus.ErrGWTargetFailedToRespond
	}
	a := d.Answer(table, address, count)
	if a.Silent {
		a.Delay = hush
	}
	if a.Delay > 0 {
		t := time.NewTimer(a.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ending:
		}
	}
	if a.Silent {
		return nil, modbus.ErrProtocolError // hangs up without a word
	}
	if a.Exception != 0 {
		return nil, exception(a.Exception)
	}
	return a.Raw, nil
}

// exception turns a code into the error that the server turns into the code.
func exception(code uint8) error {
	for _, err := range []struct {
		code uint8
		err  error
	}{
		{1, modbus.ErrIllegalFunction}, {2, modbus.ErrIllegalDataAddress}, {3, modbus.ErrIllegalDataValue},
		{5, modbus.ErrAcknowledge}, {6, modbus.ErrServerDeviceBusy}, {8, modbus.ErrMemoryParityError},
		{10, modbus.ErrGWPathUnavailable}, {11, modbus.ErrGWTargetFailedToRespond},
	} {
		if err.code == code {
			return err.err
		}
	}
	return modbus.ErrServerDeviceFailure
}

func (s *TCP) registers(unit uint8, table profile.Table, address, count uint16) ([]uint16, error) {
	raw, err := s.answer(unit, table, address, count)
	if err != nil {
		return nil, err
	}
	out := make([]uint16, len(raw)/2)
	for i := range out {
		out[i] = binary.BigEndian.Uint16(raw[2*i:])
	}
	return out, nil
}

func (s *TCP) bits(unit uint8, table profile.Table, address, count uint16) ([]bool, error) {
	raw, err := s.answer(unit, table, address, count)
	if err != nil {
		return nil, err
	}
	out := make([]bool, count)
	for i := range out {
		out[i] = raw[i/8]>>(i%8)&1 == 1
	}
	return out, nil
}

// HandleCoils answers function 1 and refuses writes.
func (s *TCP) HandleCoils(r *modbus.CoilsRequest) ([]bool, error) {
	if r.IsWrite {
		return nil, modbus.ErrIllegalFunction
	}
	return s.bits(r.UnitId, profile.Coil, r.Addr, r.Quantity)
}

// HandleDiscreteInputs answers function 2.
func (s *TCP) HandleDiscreteInputs(r *modbus.DiscreteInputsRequest) ([]bool, error) {
	return s.bits(r.UnitId, profile.Discrete, r.Addr, r.Quantity)
}

// HandleHoldingRegisters answers function 3 and refuses writes.
func (s *TCP) HandleHoldingRegisters(r *modbus.HoldingRegistersRequest) ([]uint16, error) {
	if r.IsWrite {
		return nil, modbus.ErrIllegalFunction
	}
	return s.registers(r.UnitId, profile.Holding, r.Addr, r.Quantity)
}

// HandleInputRegisters answers function 4.
func (s *TCP) HandleInputRegisters(r *modbus.InputRegistersRequest) ([]uint16, error) {
	return s.registers(r.UnitId, profile.Input, r.Addr, r.Quantity)
}
