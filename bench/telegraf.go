package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// telegrafConfig reads unsigned JSON and writes it to the same InfluxDB, in
// batches about as large as ours.
const telegrafConfig = `[agent]
  interval = "10s"
  flush_interval = "1s"
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  omit_hostname = true
  quiet = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://%s"]
  client_id = "telegraf"
  topics = ["bench/+"]
  qos = 0
  max_undelivered_messages = 10000
  topic_tag = ""
%s
[[outputs.influxdb]]
  urls = [%q]
  database = %q
  skip_database_creation = true
`

// parser is one way in which Telegraf reads the messages.
type parser struct {
	name   string
	config string
	field  string // what it makes of the first point
	most   int    // values of the largest message that all messages are sent of
}

// parsers are the one that gives fields the names they have, and the older one
// that is lighter.
func parsers() []parser {
	return []parser{{"json_v2", `  data_format = "json_v2"
  [[inputs.mqtt_consumer.json_v2]]
    measurement_name = "electricity_meter"
    timestamp_path = "ts"
    timestamp_format = "unix_ms"
    [[inputs.mqtt_consumer.json_v2.tag]]
      path = "site"
    [[inputs.mqtt_consumer.json_v2.tag]]
      path = "gateway"
    [[inputs.mqtt_consumer.json_v2.tag]]
      path = "device"
    [[inputs.mqtt_consumer.json_v2.object]]
      path = "values"
      disable_prepend_keys = true`, pointName(0), 20},
		{"json", `  name_override = "electricity_meter"
  data_format = "json"
  tag_keys = ["site", "gateway", "device"]
  json_time_key = "ts"
  json_time_format = "unix_ms"`, "values_" + pointName(0), 1000}}
}

// telegrafAhead is how many messages may be under way: enough to keep it
// busy, few enough that the broker drops none.
const telegrafAhead = 20000

// telegraf sends the same values, unsigned, through Telegraf.
func (b *bench) telegraf(f *fleet, broker, influx string) error {
	if b.tools.telegraf == "" {
		b.note("there is no .tools/telegraf, so nothing stands beside the collector; docs/benchmarks.md says how to build it")
		return nil
	}
	for _, x := range parsers() {
		if err := b.telegrafWith(x, f, broker, influx); err != nil {
			return fmt.Errorf("telegraf with %s: %w", x.name, err)
		}
	}
	return nil
}

func (b *bench) telegrafWith(x parser, f *fleet, broker, influx string) error {
	database := fmt.Sprintf("telegraf_%s_%d", x.name, f.plan.values)
	messages := f.plan.messages
	if f.plan.values > x.most {
		messages /= 20 // its cost grows with the square of the values
	}
	if err := createDatabase(influx, database); err != nil {
		return err
	}
	path, err := b.file(filepath.Join(b.group, database+".conf"), fmt.Sprintf(telegrafConfig, broker, x.config, influx, database))
	if err != nil {
		return err
	}
	p, err := b.start(database, exec.Command(b.tools.telegraf, "--config", path))
	if err != nil {
		return err
	}
	total := f.plan.gateways * messages
	ctx, cancel := context.WithTimeout(b.ctx, 3*time.Minute)
	defer cancel()
	var stored, sent atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return sendUnsigned(ctx, f, messages, broker, &sent, &stored) })
	g.Go(func() error {
		for int(stored.Load()) < total && ctx.Err() == nil {
			n, err := countStored(influx, database, "electricity_meter", x.field)
			if err != nil {
				return err
			}
			stored.Store(int64(n))
			time.Sleep(100 * time.Millisecond)
		}
		return ctx.Err()
	})
	var m measured
	g.Go(func() (err error) {
		m, err = b.measure(ctx, p, total, func() int { return int(stored.Load()) })
		return err
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("%d of %d messages stored: %w", stored.Load(), total, err)
	}
	b.addIngest("telegraf ("+x.name+") → influx", m, f.plan.values)
	b.note("telegraf with %s: %d of %d messages of %d unsigned values stored; measured parts of %.1f s", x.name, stored.Load(), total, f.plan.values, m.seconds[0])
	return p.stop()
}

// sendUnsigned publishes the readings of a fleet as JSON. The first messages
// wait until Telegraf listens: it tells nobody, so one message is sent until
// it arrives.
func sendUnsigned(ctx context.Context, f *fleet, messages int, broker string, sent, stored *atomic.Int64) error {
	client, err := connect(broker, "bench-json", nil)
	if err != nil {
		return err
	}
	defer client.Disconnect(250)
	for n := range messages {
		for _, g := range f.gateways {
			b, err := unsigned(g, n)
			if err != nil {
				return err
			}
			for {
				client.Publish("bench/"+g.id, 0, false, b).Wait()
				if sent.Load() > 0 {
					break
				}
				time.Sleep(200 * time.Millisecond)
				if stored.Load() > 0 {
					break
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			sent.Add(1)
			for sent.Load()-stored.Load() > telegrafAhead {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	return nil
}

// unsigned is batch n of a gateway as JSON.
func unsigned(g *loadGateway, n int) ([]byte, error) {
	rs := g.readings(n)
	values := make(map[string]float64, len(rs))
	for _, r := range rs {
		values[r.Point], _ = r.Value.AsFloat()
	}
	return json.Marshal(map[string]any{
		"site": site, "gateway": g.id, "device": "meter-1", "ts": rs[0].Time.UnixMilli(), "values": values,
	})
}
