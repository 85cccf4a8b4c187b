// Package control is the socket through which commands talk to a running
// agent: a unix socket of mode 0600, one JSON request and one JSON answer a
// line.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Limits on a peer: the socket is private, and still bounded.
const (
	maxRequest  = 4 << 10
	maxAnswer   = 4 << 20
	idleTimeout = 30 * time.Second
	maxPeers    = 16
)

// Handler answers one command. The result is sent as JSON.
type Handler func(ctx context.Context, command string) (any, error)

type request struct {
	Command string `json:"command"`
}

type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// Server answers on one socket.
type Server struct {
	path     string
	listener *net.UnixListener
	handle   Handler
	log      *slog.Logger
}

// Listen makes the socket. A socket that nobody listens on is replaced; one
// that is in use is an error, because two agents must not share a state
// directory. The socket has its mode before anyone can see it.
func Listen(path string, handle Handler, log *slog.Logger) (*Server, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen on %s: another agent answers there; stop it or give this one a state_dir of its own", path)
	}
	private := path + ".new"
	if err := os.Remove(private); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(private, 0o600), os.Rename(private, path)); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &Server{path: path, listener: l, handle: handle, log: log}, nil
}

// Run answers until ctx ends, then removes the socket.
func (s *Server) Run(ctx context.Context) error {
	var peers sync.WaitGroup
	defer peers.Wait()
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	defer os.Remove(s.path)
	places := make(chan struct{}, maxPeers)
	for {
		c, err := s.listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("accept on %s: %w", s.path, err)
		}
		select {
		case places <- struct{}{}:
		default:
			c.Close()
			continue
		}
		peers.Go(func() {
			defer func() { <-places }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if err := s.serve(ctx, c); err != nil && ctx.Err() == nil {
				s.log.Debug("control peer", "error", err)
			}
		})
	}
}

func (s *Server) serve(ctx context.Context, c net.Conn) error {
	in := bufio.NewScanner(c)
	in.Buffer(make([]byte, 0, 512), maxRequest)
	for {
		if err := c.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		if !in.Scan() {
			return in.Err()
		}
		var a answer
		var q request
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			a.Error = fmt.Sprintf("request is no JSON object: %s", err)
		} else if result, err := s.handle(ctx, q.Command); err != nil {
			a.Error = err.Error()
		} else if a.Result, err = json.Marshal(result); err != nil {
			a.Error = err.Error()
		}
		if err := json.NewEncoder(c).Encode(a); err != nil {
			return err
		}
	}
}

// Call asks the agent behind path and stores the answer in result.
func Call(ctx context.Context, path, command string, result any) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("reach the agent at %s: it is not running; start yunhe-edge run with the same config: %w", path, err)
	}
	if err != nil {
		return fmt.Errorf("reach the agent at %s: %w", path, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := json.NewEncoder(c).Encode(request{Command: command}); err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(c, maxAnswer)).Decode(&a); err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	if a.Error != "" {
		return fmt.Errorf("the agent refused %s: %s", command, a.Error)
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	return nil
}
