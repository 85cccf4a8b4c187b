package sparkplugtest

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"yunhe/internal/sparkplug"
)

// messageRequirements concern single messages, whatever came before.
func messageRequirements() []Requirement {
	return []Requirement{
		{"topics-nbirth-mqtt", "NBIRTH has QoS 0 and is not retained", plain(sparkplug.NBIRTH)},
		{"topics-dbirth-mqtt", "DBIRTH has QoS 0 and is not retained", plain(sparkplug.DBIRTH)},
		{"topics-ndata-mqtt", "NDATA has QoS 0 and is not retained", plain(sparkplug.NDATA)},
		{"topics-ddata-mqtt", "DDATA has QoS 0 and is not retained", plain(sparkplug.DDATA)},
		{"topics-ddeath-mqtt", "DDEATH has QoS 0 and is not retained", plain(sparkplug.DDEATH)},
		{"topics-nbirth-timestamp", "NBIRTH has the time it was sent", stamped(sparkplug.NBIRTH)},
		{"topics-dbirth-timestamp", "DBIRTH has the time it was sent", stamped(sparkplug.DBIRTH)},
		{"topics-ndata-timestamp", "NDATA has the time it was sent", stamped(sparkplug.NDATA)},
		{"topics-ddata-timestamp", "DDATA has the time it was sent", stamped(sparkplug.DDATA)},
		{"payloads-ddeath-timestamp", "DDEATH has the time it was sent", stamped(sparkplug.DDEATH)},
		{"payloads-name-requirement", "a metric has a name, because no aliases are used", named},
		{"payloads-name-birth-data-requirement", "a metric of a birth or of data has a timestamp", metricStamped},
		{"payloads-metric-timestamp-in-UTC", "no metric is from the future", notFuture},
		{"payloads-propertyset-quality-value-type", "Quality is a property of type 3", qualityType},
		{"payloads-propertyset-quality-value-value", "Quality is 0, 192 or 500", qualityValue},
		{"topics-ncmd-mqtt", "NCMD has QoS 0 and is not retained", commandPlain},
		{"payloads-ncmd-timestamp", "NCMD has the time it was sent", commandStamped},
		{"payloads-ncmd-seq", "NCMD has no seq", commandSeq},
	}
}

func plain(t sparkplug.MessageType) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		c.sent(t, func(m *message) {
			if m.QoS != 0 || m.Retain {
				fail(m.index, "QoS is %d, retain %v", m.QoS, m.Retain)
			}
		})
	}
}

func stamped(t sparkplug.MessageType) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		c.sent(t, func(m *message) {
			if m.payload.Time.IsZero() {
				fail(m.index, "the payload has no timestamp")
			}
		})
	}
}

// eachMetric calls f for each metric of the births and data of the node.
func (c *capture) eachMetric(f func(*message, *sparkplug.Metric)) {
	for _, t := range []sparkplug.MessageType{sparkplug.NBIRTH, sparkplug.DBIRTH, sparkplug.NDATA, sparkplug.DDATA} {
		c.sent(t, func(m *message) {
			for i := range m.payload.Metrics {
				f(m, &m.payload.Metrics[i])
			}
		})
	}
}

func named(c *capture, fail failFunc) {
	c.eachMetric(func(m *message, metric *sparkplug.Metric) {
		if metric.Name == "" {
			fail(m.index, "a metric without a name")
		}
	})
}

func metricStamped(c *capture, fail failFunc) {
	c.eachMetric(func(m *message, metric *sparkplug.Metric) {
		if metric.Time.IsZero() {
			fail(m.index, "%s has no timestamp", metric.Name)
		}
	})
}

// notFuture finds local time taken for UTC east of Greenwich, at least.
func notFuture(c *capture, fail failFunc) {
	const tolerance = time.Second
	c.eachMetric(func(m *message, metric *sparkplug.Metric) {
		if !m.At.IsZero() && metric.Time.Sub(m.At) > tolerance {
			fail(m.index, "%s is of %s, the message of %s", metric.Name, metric.Time, m.At)
		}
	})
}

func qualityType(c *capture, fail failFunc) {
	c.eachQuality(func(m *message, typ, _ uint64) {
		if typ != 3 {
			fail(m.index, "its type is %d", typ)
		}
	})
}

func qualityValue(c *capture, fail failFunc) {
	c.eachQuality(func(m *message, _, value uint64) {
		if value != 0 && value != 192 && value != 500 {
			fail(m.index, "it is %d", value)
		}
	})
}

// eachQuality calls f with type and value of each Quality property. It reads
// the bytes themselves, since sparkplug.Decode keeps the meaning only.
func (c *capture) eachQuality(f func(m *message, typ, value uint64)) {
	c.published(func(m *message) {
		if !m.ok {
			return
		}
		for _, metric := range nested(m.Payload, 2) {
			for _, set := range nested(metric, 9) {
				keys, values := nested(set, 1), nested(set, 2)
				for i := range min(len(keys), len(values)) {
					if string(keys[i]) == "Quality" {
						f(m, number(values[i], 1), number(values[i], 3))
					}
				}
			}
		}
	})
}

// nested returns the length-delimited fields of that number.
func nested(b []byte, want protowire.Number) (out [][]byte) {
	eachRaw(b, func(n protowire.Number, data []byte, _ uint64) {
		if n == want {
			out = append(out, data)
		}
	})
	return out
}

// number returns the varint field of that number, an impossible one if there
// is none.
func number(b []byte, want protowire.Number) uint64 {
	out := ^uint64(0)
	eachRaw(b, func(n protowire.Number, _ []byte, v uint64) {
		if n == want {
			out = v
		}
	})
	return out
}

func eachRaw(b []byte, f func(n protowire.Number, data []byte, v uint64)) {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return
		}
		b = b[size:]
		switch typ {
		case protowire.BytesType:
			var data []byte
			if data, size = protowire.ConsumeBytes(b); size >= 0 {
				f(n, data, 0)
			}
		case protowire.VarintType:
			var v uint64
			if v, size = protowire.ConsumeVarint(b); size >= 0 {
				f(n, nil, v)
			}
		default:
			size = protowire.ConsumeFieldValue(n, typ, b)
		}
		if size < 0 {
			return
		}
		b = b[size:]
	}
}

// eachCommand calls f for each NCMD that reached the node.
func (c *capture) eachCommand(f func(*message)) {
	for _, m := range c.all {
		if !m.FromNode && m.ok && m.topic.Type == sparkplug.NCMD {
			f(m)
		}
	}
}

func commandPlain(c *capture, fail failFunc) {
	c.eachCommand(func(m *message) {
		if m.QoS != 0 || m.Retain {
			fail(m.index, "QoS is %d, retain %v", m.QoS, m.Retain)
		}
	})
}

func commandStamped(c *capture, fail failFunc) {
	c.eachCommand(func(m *message) {
		if m.payload.Time.IsZero() {
			fail(m.index, "the payload has no timestamp")
		}
	})
}

func commandSeq(c *capture, fail failFunc) {
	c.eachCommand(func(m *message) {
		if m.payload.HasSeq {
			fail(m.index, "seq is %d", m.payload.Seq)
		}
	})
}
