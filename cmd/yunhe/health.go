package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

type healthCommand struct {
	URL string `arg:"" help:"Such as http://127.0.0.1:8480/healthz, or tcp://HOST:PORT for a port that must be open."`
}

// Run succeeds if the address answers within five seconds, an HTTP one with
// 200. It is what the containers' health checks call: their image holds no
// shell.
func (c healthCommand) Run(t *terminal) error {
	ctx, cancel := context.WithTimeout(t.ctx, 5*time.Second)
	defer cancel()
	if err := ask(ctx, c.URL); err != nil {
		return fmt.Errorf("ask %s: %w", c.URL, err)
	}
	return nil
}

func ask(ctx context.Context, url string) error {
	if address, ok := strings.CutPrefix(url, "tcp://"); ok {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
