package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/grid-x/modbus"

	"yunhe/internal/profile"
)

// tcpLine speaks Modbus TCP through grid-x, which matches transaction numbers.
// Its own retries stay off: how often to ask is the bus's decision.
type tcpLine struct {
	host    string
	handler *modbus.TCPClientHandler
	client  modbus.Client
}

func newTCPLine(host string) *tcpLine { return &tcpLine{host: host} }

func (l *tcpLine) open(_ context.Context, timeout time.Duration) error {
	// A fresh handler for each connection, so that nothing of the old one is left.
	l.handler = modbus.NewTCPClientHandler(l.host)
	l.handler.Timeout = timeout
	l.handler.IdleTimeout = 0 // it would connect again by itself, without the pause that a device asks for
	l.client = modbus.NewClient(l.handler)
	return l.handler.Connect()
}

func (l *tcpLine) ask(_ context.Context, q question) ([]byte, error) {
	l.handler.SetSlave(q.unit)
	l.handler.Timeout = q.timeout
	return query(l.client, q)
}

func (l *tcpLine) close() error { return l.handler.Close() }

func (l *tcpLine) quiet() time.Duration { return 0 }

// query puts one question through grid-x and checks what grid-x does not: that
// a refusal carries the function that was asked, and that a good answer holds
// as many bytes as were asked for. grid-x reports an answer with a foreign
// function as an exception whose code is the byte count.
func query(c modbus.Client, q question) ([]byte, error) {
	read := c.ReadHoldingRegisters
	switch q.table {
	case profile.Coil:
		read = c.ReadCoils
	case profile.Discrete:
		read = c.ReadDiscreteInputs
	case profile.Input:
		read = c.ReadInputRegisters
	}
	raw, err := read(q.address, q.count)
	function := uint8(q.table) // the tables are numbered by their functions
	var refused *modbus.Error
	switch {
	case errors.As(err, &refused) && refused.FunctionCode == function|0x80 && refused.ExceptionCode != 0:
		return nil, Exception{Function: function, Code: refused.ExceptionCode}
	case errors.As(err, &refused):
		return nil, fmt.Errorf("%w: function %d answered with function %d", ErrReply, function, refused.FunctionCode)
	case err != nil:
		return nil, lineError(err)
	case len(raw) != q.table.ByteCount(int(q.count)):
		return nil, fmt.Errorf("%w: %d bytes, asked for %d", ErrReply, len(raw), q.table.ByteCount(int(q.count)))
	}
	return raw, nil
}

// lineError sorts what went wrong on a line into silence and nonsense.
func lineError(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, ErrTimeout), errors.Is(err, ErrReply):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return ErrTimeout
	default:
		return fmt.Errorf("%w: %w", ErrReply, err)
	}
}
