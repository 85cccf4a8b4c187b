package sparkplugtest

import (
	"strings"

	"yunhe/internal/sparkplug"
)

// sessionRequirements concern CONNECT, will, SUBSCRIBE and DISCONNECT.
func sessionRequirements() []Requirement {
	return []Requirement{
		{"principles-persistence-clean-session-311", "CONNECT asks for a clean session", cleanSession},
		{"message-flow-edge-node-birth-publish-will-message", "CONNECT registers a will", hasWill},
		{"message-flow-edge-node-birth-publish-will-message-topic", "the will is an NDEATH", willTopic},
		{"payloads-ndeath-will-message-qos", "the will has QoS 1", willQoS},
		{"payloads-ndeath-will-message-retain", "the will is not retained", willRetain},
		{"message-flow-edge-node-birth-publish-will-message-payload-bdSeq", "the will has an Int64 bdSeq of 0 to 255", willBdSeq},
		{"topics-nbirth-bdseq-increment", "each CONNECT has the next bdSeq, 0 after 255", bdSeqIncrement},
		{"topics-ndeath-payload", "an NDEATH has bdSeq and no other metric", ndeathPayload},
		{"topics-ndeath-seq", "an NDEATH has no seq", ndeathSeq},
		{"message-flow-edge-node-ncmd-subscribe", "the node subscribes to its NCMD topic at QoS 1 before its birth", ncmdSubscribe},
		{"message-flow-device-dcmd-subscribe", "a DCMD subscription is at QoS 1", dcmdSubscribe},
		{"payloads-ndeath-will-message-publisher-disconnect-mqtt311", "an NDEATH goes before a DISCONNECT", deathBeforeDisconnect},
	}
}

func cleanSession(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		if !s.connect.CleanSession {
			fail(s.start, "clean session is not set")
		}
	}
}

func hasWill(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		if s.will == nil {
			fail(s.start, "there is no will")
		}
	}
}

// eachWill calls f for each will.
func (c *capture) eachWill(f func(*message)) {
	for _, s := range c.sessions {
		if s.will != nil {
			f(s.will)
		}
	}
}

func willTopic(c *capture, fail failFunc) {
	c.eachWill(func(w *message) {
		if !w.ok || w.topic.Type != sparkplug.NDEATH {
			fail(w.index, "the will goes to %s (%v)", w.Topic, w.fault)
		}
	})
}

func willQoS(c *capture, fail failFunc) {
	c.eachWill(func(w *message) {
		if w.QoS != 1 {
			fail(w.index, "QoS is %d", w.QoS)
		}
	})
}

func willRetain(c *capture, fail failFunc) {
	c.eachWill(func(w *message) {
		if w.Retain {
			fail(w.index, "retain is set")
		}
	})
}

func willBdSeq(c *capture, fail failFunc) {
	c.eachWill(func(w *message) {
		m := w.payload.Find(sparkplug.NameBdSeq)
		if _, ok := w.payload.BdSeq(); !ok || m.Type != sparkplug.Int64 {
			fail(w.index, "bdSeq is missing, of another type or out of range")
		}
	})
}

func bdSeqIncrement(c *capture, fail failFunc) {
	for i, s := range c.sessions {
		if i == 0 || s.will == nil || c.sessions[i-1].will == nil {
			continue
		}
		last, _ := c.sessions[i-1].will.payload.BdSeq()
		if n, ok := s.will.payload.BdSeq(); ok && n != (last+1)&0xff {
			fail(s.start, "bdSeq %d follows %d", n, last)
		}
	}
}

// eachDeath calls f for each will and each published NDEATH.
func (c *capture) eachDeath(f func(*message)) {
	c.eachWill(f)
	c.sent(sparkplug.NDEATH, f)
}

func ndeathPayload(c *capture, fail failFunc) {
	c.eachDeath(func(m *message) {
		if ms := m.payload.Metrics; len(ms) != 1 || ms[0].Name != sparkplug.NameBdSeq {
			fail(m.index, "there are %d metrics, or the only one is not bdSeq", len(ms))
		}
	})
}

func ndeathSeq(c *capture, fail failFunc) {
	c.eachDeath(func(m *message) {
		if m.payload.HasSeq {
			fail(m.index, "seq is %d", m.payload.Seq)
		}
	})
}

func ncmdSubscribe(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		topic, known := s.nodeTopic(sparkplug.NCMD)
		if !known {
			continue
		}
		at := -1
		for _, f := range s.filters {
			if f.Topic == topic && f.QoS == 1 {
				at = f.index
			}
		}
		s.fromNode(func(m *message) {
			if m.topic.Type == sparkplug.NBIRTH && (at < 0 || at > m.index) {
				fail(m.index, "no subscription to %s at QoS 1 before the birth", topic)
			}
		})
	}
}

func dcmdSubscribe(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		for _, f := range s.filters {
			if strings.Contains(f.Topic, "/DCMD/") && f.QoS != 1 {
				fail(f.index, "%s has QoS %d", f.Topic, f.QoS)
			}
		}
	}
}

func deathBeforeDisconnect(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		if s.disconnect < 0 {
			continue
		}
		var last *message
		s.fromNode(func(m *message) { last = m })
		// A session that ended before its birth has nothing to take back.
		if last != nil && last.topic.Type != sparkplug.NDEATH {
			fail(s.disconnect, "the last message before DISCONNECT is %s", last.topic.Type)
		}
	}
}
