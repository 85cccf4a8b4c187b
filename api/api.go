// Package api answers over HTTP what a district has measured: sites, gateways,
// devices, points, newest readings, ranges, windows and a live stream, for
// holders of an API key. docs/api.md is its manual.
package api

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"yunhe/api/internal/httpapi"
	"yunhe/internal/access"
	"yunhe/internal/catalog"
	"yunhe/internal/records"
)

// Series is what the API asks of a store of readings; series.Store has it.
type Series = httpapi.Series

// Limits bound what callers may do; zero values mean the defaults that the
// fields name.
type Limits = httpapi.Limits

// Config is what the API stands on. Everything but Web, SecureCookie and
// Limits is needed.
type Config struct {
	Catalog *catalog.Catalog
	Access  *access.Store
	Series  Series
	Records records.Reader
	Metrics *prometheus.Registry // what /metrics shows
	Logger  *slog.Logger
	Clock   func() time.Time
	Version string
	// Web is served at /; nil: / leads to /docs.
	Web fs.FS
	// SecureCookie marks session cookies Secure although the connection that
	// arrives here is plain: a proxy in front speaks TLS.
	SecureCookie bool
	Limits       Limits
}

// New returns the handler of the whole API. It starts nothing and holds no
// connection; requests end when their own context does.
func New(c Config) (http.Handler, error) { return httpapi.New(httpapi.Config(c)) }

// grace is how long running answers may take after a server was told to end.
const grace = 5 * time.Second

// Serve answers requests on l until ctx ends, then lets running answers
// finish for a few seconds. It closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, logger *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		// No ReadTimeout and no WriteTimeout: both would end long answers. The
		// handler gives every body and every part of an answer its own time.
		ErrorLog:    slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return httpapi.WithClosing(context.Background(), ctx.Done()) },
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve api: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := srv.Shutdown(late); err != nil {
		logger.Warn("answers cut off at the end", "err", err)
		_ = srv.Close() // Shutdown has closed the listener already
	}
	<-ended
	return nil
}
