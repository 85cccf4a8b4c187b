package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	maxURI   = 8 << 10          // bytes of path and query
	maxBody  = 4 << 10          // bytes; no request needs a body
	bodyWait = 10 * time.Second // for a body to arrive
)

// apiPolicy forbids a browser to do anything with an answer but read it.
const apiPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// call is what is known about one request while it runs.
type call struct {
	id    string
	keyID string // of the key it was made with, for the log
	route string // pattern, for the log and the metrics
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return &call{} // only in a test that leaves the guard out
	}
	return c
}

func requestID(ctx context.Context) string { return callOf(ctx).id }

// guard is the outermost layer: request id, safe headers, limits, log, and
// what happens after a panic.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.cfg.Clock()
		c := &call{id: newRequestID(), route: "none"}
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		rec := &recorder{ResponseWriter: w}
		safeHeaders(rec.Header(), r, c.id)
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		defer s.finish(rec, r, c, start)
		if m := s.refuse(rec, r); m != nil {
			writeProblem(rec, r, m)
			return
		}
		if r.ContentLength != 0 {
			// Not the server's ReadTimeout, which would end every long answer.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait)) // unsupported only by recorders in tests
			r.Body = http.MaxBytesReader(rec, r.Body, maxBody)
		}
		next.ServeHTTP(rec, r)
	})
}

// refuse says why a request is not looked at any further.
func (s *server) refuse(w http.ResponseWriter, r *http.Request) *huma.ErrorModel {
	if len(r.URL.Path)+len(r.URL.RawQuery) > maxURI {
		return &huma.ErrorModel{Status: http.StatusRequestURITooLong, Title: "URI Too Long",
			Detail: fmt.Sprintf("Path and query have more than %d bytes: name fewer points, or ask for all.", maxURI)}
	}
	if r.ContentLength > maxBody {
		return &huma.ErrorModel{Status: http.StatusRequestEntityTooLarge, Title: "Content Too Large",
			Detail: fmt.Sprintf("The body has more than %d bytes; no request here needs that.", maxBody)}
	}
	if ok, wait := s.byAddress.allow(addressGroup(r.RemoteAddr), s.cfg.Clock()); !ok {
		return s.tooMany(w, "address", wait)
	}
	return nil
}

// tooMany is the answer to a caller over a rate limit.
func (s *server) tooMany(w http.ResponseWriter, who string, wait time.Duration) *huma.ErrorModel {
	s.metrics.limited.WithLabelValues(who).Inc()
	secs := int(wait/time.Second) + 1
	w.Header().Set("Retry-After", fmt.Sprint(secs))
	return &huma.ErrorModel{Status: http.StatusTooManyRequests, Title: "Too Many Requests",
		Detail: fmt.Sprintf("Too many requests from this %s: wait %d s, or ask for more in one request.", who, secs)}
}

// finish ends every request: it turns a panic into a problem, or into a broken
// connection if part of an answer is already out, and writes the log line.
func (s *server) finish(rec *recorder, r *http.Request, c *call, start time.Time) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		s.cfg.Logger.Error("panic", "request", c.id, "panic", p, "stack", string(debug.Stack()))
		if rec.status == 0 {
			writeProblem(rec, r, s.public(r.Context(), fmt.Errorf("panic: %v", p)))
			p = nil
		}
	}
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	took := s.cfg.Clock().Sub(start)
	s.metrics.observe(c.route, r.Method, rec.status, took)
	level := slog.LevelDebug
	if rec.status >= 500 || p != nil {
		level = slog.LevelWarn
	}
	s.cfg.Logger.Log(r.Context(), level, "request", "request", c.id, "method", r.Method, "path", r.URL.Path,
		"status", rec.status, "bytes", rec.bytes, "took", took, "key", c.keyID, "from", addressGroup(r.RemoteAddr), "aborted", p != nil)
	if p != nil {
		// The answer was cut: the client must see a broken connection, never
		// a short answer that looks whole.
		panic(http.ErrAbortHandler)
	}
}

func newRequestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func safeHeaders(h http.Header, r *http.Request, id string) {
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", apiPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// addressGroup is what rate limits count: an IPv4 address, or the /64 that one
// IPv6 subscriber holds. Forwarded headers are not believed.
func addressGroup(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// fromLoopback reports whether the request came from this machine and through
// no proxy.
func fromLoopback(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded") {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher, which gin asks for.
func (w *recorder) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap lets http.ResponseController reach deadlines.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
