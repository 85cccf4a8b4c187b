package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const exportRuns = 5

// export measures a month of 15-minute readings of 100 channels as CSV, from
// InfluxDB and from SQLite.
func (b *bench) export() error {
	broker, _, err := b.startBroker()
	if err != nil {
		return err
	}
	influx, err := b.startInflux()
	if err != nil {
		return err
	}
	days := 30
	if b.short {
		days = 2
	}
	first := time.Now().UTC().Truncate(15*time.Minute).AddDate(0, 0, -days)
	f, err := newFleet(fleetPlan{gateways: 5, messages: days * 96, values: 20, first: first, every: 15 * time.Minute})
	if err != nil {
		return err
	}
	for _, s := range []collectorSetup{
		{name: "influx", broker: broker, influx: influx, bucket: "yunhe"}, {name: "sqlite", broker: broker},
	} {
		if err := b.exportFrom(s, f); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) exportFrom(s collectorSetup, f *fleet) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.records = fmt.Sprintf("127.0.0.1:%d", port)
	if err := f.enroll(b, s); err != nil {
		return err
	}
	c, err := b.startCollector(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	if err := f.run(ctx, s.broker); err != nil {
		return err
	}
	p, get, err := b.startAPI(s, f)
	if err != nil {
		return err
	}
	rows := f.plan.gateways * f.plan.messages * f.plan.values
	var seconds, growth []float64
	for run := range exportRuns + 1 {
		if err := p.resetPeak(); err != nil {
			return err
		}
		before, err := p.usage()
		if err != nil {
			return err
		}
		began := time.Now()
		n, err := get()
		if err != nil {
			return err
		}
		took := time.Since(began)
		after, err := p.usage()
		if err != nil {
			return err
		}
		if n != rows+1 {
			return fmt.Errorf("the export has %d lines, want %d and a header", n, rows)
		}
		if run > 0 { // the first warms up
			seconds = append(seconds, took.Seconds())
			growth = append(growth, float64(after.peak-before.rss)/1e6)
		}
		if run == exportRuns {
			b.note("%s: the API process has at most %.1f MB of memory (RSS) while it exports", s.name, float64(after.peak)/1e6)
		}
	}
	what := fmt.Sprintf("%d rows as CSV out of %s: ", rows, s.name)
	b.add(what+"time", "s", "< 2", seconds...)
	b.add(what+"memory (RSS) an export adds at its most", "MB", "flat", growth...)
	if err := p.stop(); err != nil {
		return err
	}
	return c.stop()
}

// startAPI runs `yunhe api` and returns it with a function that exports
// everything and counts lines.
func (b *bench) startAPI(s collectorSetup, f *fleet) (*process, func() (int, error), error) {
	dir := filepath.Join(b.group, "api-"+s.name)
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	catalog := fmt.Sprintf("sites:\n  - id: %s\n    name: {en: Bench, zh: 测试}\n    zone: Asia/Shanghai\n    gateways:\n", site)
	for _, g := range f.gateways {
		catalog += "      - id: " + g.id + "\n"
	}
	if _, err := b.file(filepath.Join(dir, "catalog.yaml"), catalog); err != nil {
		return nil, nil, err
	}
	text := fmt.Sprintf("listen: %q\ncatalog: catalog.yaml\nkeys_file: keys.yaml\n%srecords: {url: \"http://%s\", token_file: %q}\n",
		address, b.seriesText(s), s.records, filepath.Join(b.dir, "records.token"))
	path, err := b.file(filepath.Join(dir, "api.yaml"), text)
	if err != nil {
		return nil, nil, err
	}
	key, err := exec.CommandContext(b.ctx, b.tools.yunhe, "key", "create", "--file", filepath.Join(filepath.Dir(path), "keys.yaml"),
		"--person", "bench", "--role", "accountant", "--site", site).Output()
	if err != nil {
		return nil, nil, fmt.Errorf("make API key: %w", err)
	}
	p, err := b.start("api-"+s.name, exec.Command(b.tools.yunhe, "api", "--config", path))
	if err != nil {
		return nil, nil, err
	}
	from := f.plan.first
	q := url.Values{"site": {site}, "format": {"csv"}, "from": {from.Format(time.RFC3339)},
		"to": {from.Add(time.Duration(f.plan.messages) * f.plan.every).Format(time.RFC3339)}}
	get := func() (int, error) {
		return countLines(b.ctx, "http://"+address+"/api/v1/readings?"+q.Encode(), strings.TrimSpace(string(key)))
	}
	return p, get, b.until("the API answers", 20*time.Second, p, func() bool { return listens(address) })
}

// countLines reads an answer to its end and counts its lines.
func countLines(ctx context.Context, at, key string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return 0, fmt.Errorf("export: %s: %s", resp.Status, text)
	}
	n := 0
	r := bufio.NewReaderSize(resp.Body, 256<<10)
	for buffer := make([]byte, 256<<10); ; {
		k, err := r.Read(buffer)
		n += bytes.Count(buffer[:k], []byte{'\n'})
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
