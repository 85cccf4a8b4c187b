package sparkplugtest

import (
	"strings"

	"yunhe/internal/sparkplug"
)

// birthRequirements concern what stands in a birth.
func birthRequirements() []Requirement {
	const rebirth = "operational-behavior-data-commands-rebirth-"
	return []Requirement{
		{"topics-nbirth-metrics", "a metric of NBIRTH has a name and a value or null", birthMetrics(sparkplug.NBIRTH)},
		{"topics-dbirth-metrics", "a metric of DBIRTH has a name and a value or null", birthMetrics(sparkplug.DBIRTH)},
		{"payloads-metric-datatype-req", "a metric of a birth has a datatype", birthDatatype},
		{"case-sensitivity-metric-names", "metric names of a birth differ in more than case", metricCase},
		{"topics-nbirth-bdseq-included", "NBIRTH has bdSeq", birthBdSeq},
		{"topics-nbirth-bdseq-matching", "bdSeq of NBIRTH is that of the will", birthBdSeqMatching},
		{rebirth + "name", "NBIRTH has Node Control/Rebirth", rebirthMetric(func(m *sparkplug.Metric) bool { return m != nil })},
		{rebirth + "datatype", "Node Control/Rebirth is a Boolean", rebirthMetric(func(m *sparkplug.Metric) bool {
			return m == nil || m.Type == sparkplug.Boolean
		})},
		{rebirth + "value", "Node Control/Rebirth is false", rebirthMetric(func(m *sparkplug.Metric) bool {
			if m == nil || m.Type != sparkplug.Boolean {
				return true
			}
			on, ok := m.Value.AsBool()
			return ok && !on
		})},
		{rebirth + "name-aliases", "Node Control/Rebirth has no alias", rebirthMetric(func(m *sparkplug.Metric) bool { return m == nil || !m.HasAlias })},
	}
}

func birthMetrics(t sparkplug.MessageType) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		c.sent(t, func(m *message) {
			for _, metric := range m.payload.Metrics {
				if metric.Name == "" || metric.Value.IsZero() && !metric.Null {
					fail(m.index, "metric %q: %s", metric.Name, metric.Unsupported)
				}
			}
		})
	}
}

// eachBirth calls f for each NBIRTH and DBIRTH.
func (c *capture) eachBirth(f func(*message)) {
	c.sent(sparkplug.NBIRTH, f)
	c.sent(sparkplug.DBIRTH, f)
}

func birthDatatype(c *capture, fail failFunc) {
	c.eachBirth(func(m *message) {
		for _, metric := range m.payload.Metrics {
			if metric.Type == 0 || metric.Type > 34 {
				fail(m.index, "metric %q: %s", metric.Name, metric.Type)
			}
		}
	})
}

func metricCase(c *capture, fail failFunc) {
	c.eachBirth(func(m *message) {
		seen := make(map[string]string)
		for _, metric := range m.payload.Metrics {
			key := strings.ToLower(metric.Name)
			if other, ok := seen[key]; ok {
				fail(m.index, "%s and %s", other, metric.Name)
			}
			seen[key] = metric.Name
		}
	})
}

func birthBdSeq(c *capture, fail failFunc) {
	c.sent(sparkplug.NBIRTH, func(m *message) {
		if _, ok := m.payload.BdSeq(); !ok {
			fail(m.index, "bdSeq is missing or out of range")
		}
	})
}

func birthBdSeqMatching(c *capture, fail failFunc) {
	c.sent(sparkplug.NBIRTH, func(m *message) {
		if m.session.will == nil {
			return
		}
		want, _ := m.session.will.payload.BdSeq()
		if n, ok := m.payload.BdSeq(); ok && n != want {
			fail(m.index, "bdSeq is %d in the birth, %d in the will", n, want)
		}
	})
}

func rebirthMetric(good func(*sparkplug.Metric) bool) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		c.sent(sparkplug.NBIRTH, func(m *message) {
			if !good(m.payload.Find(sparkplug.NameRebirth)) {
				fail(m.index, "it is missing or not as required")
			}
		})
	}
}
