package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

type healthCommand struct {
	URL string `arg:"" help:"Such as http://127.0.0.1:8480/healthz."`
}

// Run succeeds if the address answers 200 within five seconds. It is what the
// containers' health checks call: their image holds no shell.
func (c healthCommand) Run(t *terminal) error {
	ctx, cancel := context.WithTimeout(t.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.URL, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.URL, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: %s", c.URL, resp.Status)
	}
	return nil
}
