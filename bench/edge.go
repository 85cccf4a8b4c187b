package main

import (
	"fmt"
	"os"
	"time"

	"yunhe/edge"
)

const meterCount = 50

// edge measures an agent that reads 50 meters each second, with three
// intervals of its group commit.
func (b *bench) edge() error {
	broker, _, err := b.startBroker()
	if err != nil {
		return err
	}
	addresses, err := b.startMeters(meterCount)
	if err != nil {
		return err
	}
	c := collectorSetup{name: "live", broker: broker}
	var agents []agentSetup
	for _, sync := range []string{"1s", "100ms", "0s"} {
		agents = append(agents, agentSetup{name: "sync-" + sync, broker: "mqtt://" + broker, sync: sync, poll: "1s", meters: meterCount, lines: addresses})
	}
	if b.short {
		agents = agents[:1]
	}
	for _, s := range agents {
		_, cfg, err := b.agentConfig(s)
		if err != nil {
			return err
		}
		if err := b.enrollAgent(cfg, c); err != nil {
			return err
		}
	}
	if _, err := b.startCollector(c); err != nil {
		return err
	}
	for _, s := range agents {
		if err := b.agentRun(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	info, err := os.Stat(b.tools.edge)
	if err != nil {
		return err
	}
	b.add("binary, static and stripped", "MB", "≤ 15", float64(info.Size())/1e6)
	return b.reads()
}

// agentRun measures one agent.
func (b *bench) agentRun(s agentSetup) error {
	path, cfg, err := b.agentConfig(s)
	if err != nil {
		return err
	}
	p, err := b.startAgent(s.name, path, cfg)
	if err != nil {
		return err
	}
	warm, window := 8*time.Second, 10*time.Second
	if b.short {
		warm, window = time.Second, 2*time.Second
	}
	if err := b.sleep(warm, p); err != nil {
		return err
	}
	var core, written, values []float64
	var last usage
	before, err := p.usage()
	if err != nil {
		return err
	}
	begin, err := edge.QueryStatus(b.ctx, cfg)
	if err != nil {
		return err
	}
	began := time.Now()
	for range parts {
		if err := b.sleep(window, p); err != nil {
			return err
		}
		if last, err = p.usage(); err != nil {
			return err
		}
		d := last.at.Sub(before.at)
		core = append(core, 100*(last.cpu-before.cpu).Seconds()/d.Seconds())
		written = append(written, float64(last.written-before.written)/1e9*86400/d.Seconds())
		before = last
	}
	end, err := edge.QueryStatus(b.ctx, cfg)
	if err != nil {
		return err
	}
	polls, _ := pollsOf(begin)
	after, skipped := pollsOf(end)
	values = append(values, float64(after-polls)*float64(len(meterPoints()))/time.Since(began).Seconds())
	goals := [2]string{}
	if s.sync == "1s" {
		goals = [2]string{"≤ 1.8", "≤ 20"}
	}
	what := fmt.Sprintf("50 meters × 20 values each second, journal.sync %s: ", s.sync)
	b.add(what+"CPU", "% of a core", goals[0], core...)
	b.add(what+"memory (RSS)", "MB", goals[1], float64(last.rss)/1e6)
	b.add(what+"memory (RSS), the most", "MB", "", float64(last.peak)/1e6)
	b.add(what+"written to flash", "GB a day", "", written...)
	b.note("%s: %.0f values a second read and signed, %d polls left out; %d entries acknowledged of %d sent, %d not yet at the end",
		s.name, values[0], skipped, end.Session.Acked, end.Session.Sent, backlogOf(end))
	if after == polls {
		return fmt.Errorf("no meter was read")
	}
	return p.stop()
}

// reads counts the requests of one cycle of the embedded profile, by the plan
// that the agent itself follows.
func (b *bench) reads() error {
	for _, x := range []struct {
		what   string
		points []string
	}{{"SDM630, the points its profile enables: reads a cycle", nil}, {"SDM630, the 20 points of these benchmarks: reads a cycle", meterPoints()}} {
		report, err := edge.Plan(edge.Config{
			Gateway: "gw-1", Site: site, StateDir: b.dir, Broker: edge.Broker{URL: "mqtt://127.0.0.1:1883"},
			Buses:   []edge.Bus{{ID: "line", Address: "rtu:///dev/ttyS0?baud=9600&parity=none"}},
			Devices: []edge.Device{{ID: "meter", Profile: meterProfile, Bus: "line", Unit: 1, Points: x.points}},
		})
		if err != nil {
			return err
		}
		d := report.Buses[0].Devices[0]
		b.add(x.what, "requests", "≤ 5", float64(len(d.Reads)))
		b.note("%s: %d points", x.what, d.Points)
	}
	return nil
}
