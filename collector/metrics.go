package collector

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"yunhe/collector/internal/intake"
)

// register adds the figures of quarantine and session.
func (c *Collector) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	gauge := func(name, help string, labels prometheus.Labels, f func() float64) error {
		return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "yunhe", Subsystem: "collector", Name: name, Help: help, ConstLabels: labels,
		}, f))
	}
	counter := func(name, help string, labels prometheus.Labels, f func() float64) error {
		return reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "yunhe", Subsystem: "collector", Name: name, Help: help, ConstLabels: labels,
		}, f))
	}
	err := errors.Join(
		gauge("broker_connected", "1 while the collector listens to its broker.", nil, func() float64 {
			if c.host.Online() {
				return 1
			}
			return 0
		}),
		counter("commands_lost_total", "Commands to gateways lost because too many waited.", nil, func() float64 { return float64(c.host.Lost()) }),
		gauge("evidence_bytes", "Size of the evidence store.", prometheus.Labels{"log": "kept"}, func() float64 { return float64(c.evidence.Bytes(intake.KeptLog)) }),
		gauge("evidence_bytes", "Size of the evidence store.", prometheus.Labels{"log": "raw"}, func() float64 { return float64(c.evidence.Bytes(intake.RawLog)) }),
	)
	for _, class := range []intake.Class{intake.Held, intake.Sample} {
		l := prometheus.Labels{"class": string(class)}
		err = errors.Join(err,
			gauge("quarantine_items", "Refused messages kept.", l, func() float64 { return float64(c.quarantine.Stats(class).Items) }),
			gauge("quarantine_bytes", "Size of the quarantine.", l, func() float64 { return float64(c.quarantine.Stats(class).Bytes) }),
			counter("quarantine_dropped_total", "Refused messages dropped because the quarantine was full.", l, func() float64 { return float64(c.quarantine.Stats(class).Dropped) }),
		)
	}
	return err
}
