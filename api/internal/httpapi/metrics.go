package httpapi

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what happens. Labels come from fixed lists, never from what
// a caller sends.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	limited  *prometheus.CounterVec
	rows     prometheus.Counter
	broken   prometheus.Counter
	streams  prometheus.Gauge
}

func newMetrics(reg *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "yunhe_api_requests_total", Help: "Requests answered, by path pattern, method and status class."}, []string{"path", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "yunhe_api_request_seconds", Help: "Time from the head of a request to the end of its answer.",
			Buckets: []float64{.005, .025, .1, .5, 2, 10, 60, 600}}, []string{"path"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "yunhe_api_requests_in_flight", Help: "Requests being answered now."}),
		limited:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "yunhe_api_limited_total", Help: "Requests refused because an address or a key asked too often, or for too much at once."}, []string{"by"}),
		rows:     prometheus.NewCounter(prometheus.CounterOpts{Name: "yunhe_api_rows_total", Help: "Rows sent in answers to readings."}),
		broken:   prometheus.NewCounter(prometheus.CounterOpts{Name: "yunhe_api_broken_answers_total", Help: "Streamed answers that could not be finished; the client saw a broken connection."}),
		streams:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "yunhe_api_streams", Help: "Event streams open now."}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.inFlight, m.limited, m.rows, m.broken, m.streams} {
		if err := reg.Register(c); err != nil {
			var twice prometheus.AlreadyRegisteredError
			if errors.As(err, &twice) {
				return nil, fmt.Errorf("register metrics: %w: give each API a registry of its own", err)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(path, method string, status int, took time.Duration) {
	switch method {
	case "GET", "POST", "DELETE", "HEAD":
	default:
		method = "other"
	}
	m.requests.WithLabelValues(path, method, strconv.Itoa(status/100)+"xx").Inc()
	m.seconds.WithLabelValues(path).Observe(took.Seconds())
}
