package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is one size of message of the collector's benchmark.
type load struct {
	values   int
	gateways int
	messages int // of each gateway; a sixth of them warms up
}

const parts = 3 // runs that are measured, of the messages behind the warm-up

func (b *bench) loads() []load {
	if b.short {
		return []load{{20, 10, 600}, {200, 10, 100}}
	}
	return []load{{20, 20, 4200}, {200, 20, 600}}
}

// collector measures ingestion, and Telegraf beside it.
func (b *bench) collector() error {
	broker, _, err := b.startBroker()
	if err != nil {
		return err
	}
	influx, err := b.startInflux()
	if err != nil {
		return err
	}
	b.add("one Ed25519 verification of 32 bytes, raw", "µs CPU", "", verifyCost()...)
	for i, l := range b.loads() {
		first := time.Now().UTC().Add(-4 * time.Hour).Truncate(time.Second)
		f, err := newFleet(fleetPlan{gateways: l.gateways, messages: l.messages, values: l.values, first: first, every: 2 * time.Second})
		if err != nil {
			return err
		}
		b.note("%d-value messages are %d bytes of MQTT payload, signature and 20 %% counters with register bytes included", l.values, len(f.gateways[0].data[2].Payload))
		if err := b.ingest(f, collectorSetup{name: fmt.Sprintf("influx-%d", l.values), broker: broker, influx: influx, bucket: fmt.Sprintf("y%d", l.values)}, i); err != nil {
			return err
		}
		if err := b.ingest(f, collectorSetup{name: fmt.Sprintf("sqlite-%d", l.values), broker: broker}, i); err != nil {
			return err
		}
		if err := b.telegraf(f, broker, influx); err != nil {
			return err
		}
	}
	b.compare()
	return nil
}

// ingest runs one collector through the messages of a fleet.
func (b *bench) ingest(f *fleet, s collectorSetup, size int) error {
	if s.influx != "" {
		if err := createDatabase(s.influx, s.bucket); err != nil {
			return err
		}
	}
	if err := f.enroll(b, s); err != nil {
		return err
	}
	p, err := b.startCollector(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 3*time.Minute)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.run(ctx, s.broker) })
	var m measured
	g.Go(func() (err error) {
		m, err = b.measure(ctx, p, f.entries(), func() int { return int(f.acked.Load()) })
		return err
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("%s: %d of %d entries acknowledged: %w", s.name, f.acked.Load(), f.entries(), err)
	}
	b.addIngest("collector → "+s.name[:6], m, f.plan.values)
	resent := 0
	for _, g := range f.gateways {
		resent += g.resent
	}
	b.note("%s: %d of %d entries acknowledged, %d sent again; measured parts of %.1f s", s.name, f.acked.Load(), f.entries(), resent, m.seconds[0])
	if s.influx != "" {
		n, err := countStored(s.influx, s.bucket, "electricity_meter", pointName(0))
		if err != nil {
			return err
		}
		if want := f.plan.gateways * f.plan.messages; n != want {
			return fmt.Errorf("%s: %d of %d readings of a point are stored", s.name, n, want)
		}
	}
	return p.stop()
}

// measured are the parts of one run.
type measured struct {
	cpu, seconds, messages []float64
	rss, peak              int64
}

// measure watches progress towards total, leaves a warm-up out and cuts the
// rest into parts.
func (b *bench) measure(ctx context.Context, p *process, total int, progress func() int) (measured, error) {
	var m measured
	warm := total / 6
	mark, before := warm, usage{}
	begun := 0
	for part := 0; part <= parts; {
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-p.done:
			return m, p.ended()
		case <-time.After(5 * time.Millisecond):
		}
		n := progress()
		if n < mark {
			continue
		}
		u, err := p.usage()
		if err != nil {
			return m, err
		}
		if part > 0 {
			m.cpu = append(m.cpu, (u.cpu - before.cpu).Seconds())
			m.seconds = append(m.seconds, u.at.Sub(before.at).Seconds())
			m.messages = append(m.messages, float64(n-begun))
		}
		before, begun = u, n
		part++
		if part <= parts {
			mark = n + (total-n)/(parts+1-part)
		}
		m.rss, m.peak = max(m.rss, u.rss), max(m.peak, u.peak)
	}
	return m, nil
}

func (b *bench) addIngest(who string, m measured, values int) {
	var perCPU, perSecond, micros []float64
	for i := range m.cpu {
		if m.cpu[i] == 0 || m.messages[i] == 0 {
			continue // shorter than a clock tick: a smoke test
		}
		perCPU = append(perCPU, m.messages[i]*float64(values)/m.cpu[i])
		perSecond = append(perSecond, m.messages[i]*float64(values)/m.seconds[i])
		micros = append(micros, 1e6*m.cpu[i]/m.messages[i])
	}
	what := fmt.Sprintf("%s, %d values a message: ", who, values)
	b.add(what+"values a CPU second", "1/s", "", perCPU...)
	b.add(what+"CPU a message", "µs", "", micros...)
	b.add(what+"values a second", "1/s", "", perSecond...)
	b.add(what+"memory (RSS), the most", "MB", "", float64(m.peak)/1e6)
}

// compare adds how many times Telegraf's figure was reached.
func (b *bench) compare() {
	find := func(what string) float64 {
		for _, f := range b.report.Figures {
			if f.What == what {
				return f.median()
			}
		}
		return 0
	}
	for _, l := range []struct {
		values int
		goal   string
	}{{20, "≥ 1.3"}, {200, "≥ 3"}} {
		ours := find(fmt.Sprintf("collector → influx, %d values a message: values a CPU second", l.values))
		for _, x := range parsers() {
			theirs := find(fmt.Sprintf("telegraf (%s) → influx, 20 values a message: values a CPU second", x.name))
			if theirs > 0 {
				b.add(fmt.Sprintf("collector, %d signed values a message, against telegraf (%s), 20 unsigned: values a CPU second", l.values, x.name), "times", l.goal, ours/theirs)
			}
		}
	}
}

// verifyCost measures what nobody who verifies can avoid.
func verifyCost() []float64 {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil
	}
	message := make([]byte, 32)
	sig := ed25519.Sign(private, message)
	var out []float64
	for range parts {
		const n = 3000
		before := ownCPU()
		for range n {
			if !ed25519.Verify(public, message, sig) {
				return nil
			}
		}
		out = append(out, float64((ownCPU()-before).Microseconds())/n)
	}
	return out
}

// countStored asks InfluxDB how many values of a field a measurement has.
func countStored(influx, database, measurement, field string) (int, error) {
	q := url.Values{"db": {database}, "q": {fmt.Sprintf("SELECT count(%q) FROM %q", field, measurement)}}
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get(influx + "/query?" + q.Encode())
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		Results []struct {
			Series []struct{ Values [][]any }
			Error  string
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if len(answer.Results) != 1 || answer.Results[0].Error != "" {
		return 0, fmt.Errorf("count in InfluxDB: %+v", answer.Results)
	}
	s := answer.Results[0].Series
	if len(s) == 0 || len(s[0].Values) == 0 || len(s[0].Values[0]) < 2 {
		return 0, nil
	}
	n, _ := s[0].Values[0][1].(float64)
	return int(n), nil
}
