package ingest

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what is counted. Labels are outcomes, stores, and gateways with
// an enrolled key: nobody outside can add to their number.
type metrics struct {
	messages, dropped, values, unstorable, unkept prometheus.Counter
	outcomes, retries                             *prometheus.CounterVec
	lag                                           *prometheus.GaugeVec
	flushes                                       prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, waiting, used func() float64) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "yunhe", Subsystem: "collector", Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "yunhe", Subsystem: "collector", Name: name, Help: help}, labels)
	}
	m := &metrics{
		messages:   counter("messages_total", "MQTT messages received."),
		dropped:    counter("messages_dropped_total", "MQTT messages dropped because the queue was full, by messages or bytes; gateways send their entries again."),
		values:     counter("values_stored_total", "Readings accepted by the series store."),
		unstorable: counter("unsigned_rows_rejected_total", "Rows of unsigned nodes that the series store can never hold."),
		unkept:     counter("quarantine_errors_total", "Refused messages that could not be kept."),
		outcomes:   vec("outcomes_total", "Messages by what became of them.", "outcome"),
		retries:    vec("store_errors_total", "Failed tries of a store; each is tried again.", "store"),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "yunhe", Subsystem: "collector", Name: "gateway_lag_seconds",
			Help: "Age, on arrival, of the entry stored last."}, []string{"site", "gateway"}),
		flushes: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "yunhe", Subsystem: "collector", Name: "flush_seconds",
			Help: "Time from decision to acknowledgement of a flush.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}),
	}
	if reg == nil {
		return m, nil
	}
	depth := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "yunhe", Subsystem: "collector", Name: "queue_messages",
		Help: "Messages that wait to be decoded."}, waiting)
	bytes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "yunhe", Subsystem: "collector", Name: "queue_bytes",
		Help: "Bytes of messages that wait or are being stored."}, used)
	var err error
	for _, c := range []prometheus.Collector{m.messages, m.dropped, m.values, m.unstorable, m.unkept, m.outcomes, m.retries, m.lag, m.flushes, depth, bytes} {
		err = errors.Join(err, reg.Register(c))
	}
	return m, err
}
