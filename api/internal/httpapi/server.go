// Package httpapi is the HTTP side of the API: routes, keys, limits, problem
// documents, streaming. It is the only package that knows gin and huma.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"yunhe/api/internal/query"
	"yunhe/internal/access"
	"yunhe/internal/catalog"
	"yunhe/internal/records"
	"yunhe/internal/series"
)

// Series is what the API asks of a store of readings; see series.Store.
type Series interface {
	Latest(ctx context.Context, q series.Query) ([]series.Sample, error)
	Range(ctx context.Context, q series.Query) iter.Seq2[series.Sample, error]
	Windows(ctx context.Context, q series.WindowQuery) iter.Seq2[series.Window, error]
}

// Limits bound what callers may do. Zero values are replaced by defaults.
type Limits struct {
	AddressPerSecond float64       // requests of one IPv4 address or IPv6 /64; 50
	AddressBurst     int           // 200
	KeyPerSecond     float64       // requests with one key; 25
	KeyBurst         int           // 100
	Exports          int           // readings answers at once; 32
	ExportsPerKey    int           // 6
	Streams          int           // event streams at once; 512
	StreamsPerKey    int           // 16
	Answer           time.Duration // longest wait for an answer that is not streamed; 15 s
	Write            time.Duration // longest a client may take for one part of a streamed answer; 30 s
	Heartbeat        time.Duration // between signs of life of an event stream; 15 s
}

// Config is what the API stands on; see api.Config.
type Config struct {
	Catalog      *catalog.Catalog
	Access       *access.Store
	Series       Series
	Records      records.Reader
	Metrics      *prometheus.Registry
	Logger       *slog.Logger
	Clock        func() time.Time
	Version      string
	Web          fs.FS
	SecureCookie bool
	Limits       Limits
}

type server struct {
	cfg         Config
	ask         query.Limits
	sessions    sessions
	crossOrigin *http.CrossOriginProtection
	byAddress   *limiter
	byKey       *limiter
	exports     *slots
	streams     *slots
	metrics     *metrics
	ready       readiness
}

// New builds the handler of the whole API.
func New(cfg Config) (http.Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("build api: %w", err)
	}
	cfg.Limits = cfg.Limits.filled()
	s := &server{
		cfg: cfg, ask: query.DefaultLimits(), sessions: newSessions(), crossOrigin: http.NewCrossOriginProtection(),
		byAddress: newLimiter(cfg.Limits.AddressPerSecond, cfg.Limits.AddressBurst),
		byKey:     newLimiter(cfg.Limits.KeyPerSecond, cfg.Limits.KeyBurst),
		exports:   newSlots(cfg.Limits.Exports, cfg.Limits.ExportsPerKey),
		streams:   newSlots(cfg.Limits.Streams, cfg.Limits.StreamsPerKey),
	}
	var err error
	if s.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("build api: %w", err)
	}
	engine := newEngine()
	api := humagin.New(engine, description(cfg.Version))
	api.UseMiddleware(s.authenticate, s.wellFormed)
	s.registerSession(api)
	s.registerLists(api)
	s.registerReadings(api)
	s.registerStream(api)
	s.registerHealth(api)
	if err := s.mountDocs(engine, api.OpenAPI()); err != nil {
		return nil, fmt.Errorf("build api: %w", err)
	}
	web, err := newWeb(cfg.Web)
	if err != nil {
		return nil, fmt.Errorf("build api: %w", err)
	}
	engine.NoRoute(func(c *gin.Context) { s.noRoute(web, c.Writer, c.Request) })
	engine.NoMethod(func(c *gin.Context) {
		writeProblem(c.Writer, c.Request, &huma.ErrorModel{Status: http.StatusMethodNotAllowed, Title: "Method Not Allowed",
			Detail: "This path does not take " + c.Request.Method + ". GET /openapi.json lists the methods of every path."})
	})
	return s.guard(engine), nil
}

func (c Config) check() error {
	var errs []error
	for what, missing := range map[string]bool{
		"catalog": c.Catalog == nil, "access": c.Access == nil, "series": c.Series == nil, "records": c.Records == nil,
		"metrics": c.Metrics == nil, "logger": c.Logger == nil, "clock": c.Clock == nil, "version": c.Version == "",
	} {
		if missing {
			errs = append(errs, errors.New(what+" is missing"))
		}
	}
	return errors.Join(errs...)
}

func (l Limits) filled() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	rate := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	rate(&l.AddressPerSecond, 50)
	rate(&l.KeyPerSecond, 25)
	set(&l.AddressBurst, 200)
	set(&l.KeyBurst, 100)
	set(&l.Exports, 32)
	set(&l.ExportsPerKey, 6)
	set(&l.Streams, 512)
	set(&l.StreamsPerKey, 16)
	wait(&l.Answer, 15*time.Second)
	wait(&l.Write, 30*time.Second)
	wait(&l.Heartbeat, 15*time.Second)
	return l
}

// newEngine returns gin as a plain router: no debug text, no believed proxy
// headers, no redirects, no middleware of its own.
func newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode) // gin keeps this one setting for the process
	e := gin.New()
	e.ForwardedByClientIP = false
	_ = e.SetTrustedProxies(nil) // cannot fail for nil
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	return e
}

// register adds an operation whose errors are first made fit for the caller
// and whose answer must come in time.
func register[I, O any](s *server, api huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.RejectUnknownQueryParameters = true
	op.MaxBodyBytes = maxBody
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Limits.Answer)
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.public(ctx, err)
		}
		return out, nil
	})
}

// requestOf returns what lies under a huma context.
func requestOf(ctx huma.Context) (*http.Request, http.ResponseWriter) {
	gc := humagin.Unwrap(ctx)
	return gc.Request, gc.Writer
}

type closingKey struct{}

// WithClosing returns a context for a server's connections: when closing is
// closed, answers that have no end of their own end.
func WithClosing(ctx context.Context, closing <-chan struct{}) context.Context {
	return context.WithValue(ctx, closingKey{}, closing)
}

func closing(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(closingKey{}).(<-chan struct{})
	return c
}
