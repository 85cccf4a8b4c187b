package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"yunhe/internal/access"
	"yunhe/internal/records"
	"yunhe/internal/series"
)

const (
	readyWait = 2 * time.Second
	readyFor  = time.Second // how long an answer is reused, so that probes cost nothing
)

// readiness remembers the last probe of the stores.
type readiness struct {
	mu   sync.Mutex
	at   time.Time
	last Ready
}

// Health says that the process answers.
type Health struct {
	Status  string `json:"status" enum:"ok" doc:"Always ok: the process answers"`
	Version string `json:"version" doc:"Version of the program"`
}

// Ready says which parts behind the API answer.
type Ready struct {
	Ready   bool `json:"ready" doc:"Every part answers"`
	Keys    bool `json:"keys" doc:"The key file can be read"`
	Series  bool `json:"series" doc:"The store of readings answers"`
	Records bool `json:"records" doc:"The collector's records answer"`
}

type healthOutput struct{ Body Health }

type readyOutput struct {
	Status int
	Body   Ready
}

func (s *server) registerHealth(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: []string{"operation"},
		Summary: "Alive", Description: "For a supervisor: 200 as long as the process answers.",
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		return &healthOutput{Health{Status: "ok", Version: s.cfg.Version}}, nil
	})
	register(s, api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"operation"},
		Summary: "Ready", Description: "For a load balancer: 200 if keys, readings and records can be read, else 503.",
		Responses: map[string]*huma.Response{"503": {Description: "A part does not answer", Content: map[string]*huma.MediaType{"application/json": {Schema: schemaOf[Ready](api)}}}},
	}, func(ctx context.Context, _ *struct{}) (*readyOutput, error) {
		r := s.probe(ctx)
		status := http.StatusOK
		if !r.Ready {
			status = http.StatusServiceUnavailable
		}
		return &readyOutput{status, r}, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"operation"},
		Summary:     "Metrics",
		Description: "Prometheus metrics. Without a key only from this machine itself and through no proxy; from elsewhere with a key of role admin.",
		Security:    []map[string][]string{{}, {"key": {}}}, Errors: []int{http.StatusUnauthorized},
		Middlewares: huma.Middlewares{s.allowMetrics},
		Responses:   response("Metrics in the text format of Prometheus", map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}, nil),
	}, func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := requestOf(ctx)
			promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, r)
		}}, nil
	})
}

// allowMetrics lets this machine and administrators see the metrics.
func (s *server) allowMetrics(ctx huma.Context, next func(huma.Context)) {
	r, w := requestOf(ctx)
	who, ok := s.identify(r)
	if fromLoopback(r) || (ok && who.Role == access.Admin) {
		next(ctx)
		return
	}
	writeProblem(w, r, &huma.ErrorModel{Status: http.StatusUnauthorized, Title: "Unauthorized", Detail: "Metrics are for this machine itself, or for a key of role admin."})
}

// probe asks every part once, at most each second.
func (s *server) probe(ctx context.Context) Ready {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	now := s.cfg.Clock()
	if !s.ready.at.IsZero() && now.Sub(s.ready.at) < readyFor {
		return s.ready.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWait)
	defer cancel()
	r := Ready{Keys: s.cfg.Access.Err() == nil, Series: true}
	_, err := s.cfg.Records.Gateways(ctx, records.Scope{})
	r.Records = err == nil
	if len(s.cfg.Catalog.Sites) > 0 {
		_, err := s.cfg.Series.Latest(ctx, series.Query{Site: s.cfg.Catalog.Sites[0].ID, Devices: []string{"readyz"}, Points: []string{"readyz"}})
		r.Series = err == nil
	}
	r.Ready = r.Keys && r.Series && r.Records
	if r != s.ready.last || s.ready.at.IsZero() {
		s.cfg.Logger.Info("readiness", "ready", r.Ready, "keys", r.Keys, "series", r.Series, "records", r.Records)
	}
	s.ready.at, s.ready.last = now, r
	return r
}
