package sparkplugtest

import (
	"time"

	"yunhe/internal/sparkplug"
)

// reaction is how long data may still arrive after a rebirth command, because
// it was under way.
const reaction = 2 * time.Second

// orderRequirements concern the order of messages.
func orderRequirements() []Requirement {
	const rebirth = "operational-behavior-data-commands-rebirth-action-"
	return []Requirement{
		{"principles-birth-certificates-order", "the first message of a session is NBIRTH", birthFirst},
		{"topics-nbirth-seq-num", "seq of NBIRTH is 0", birthSeq},
		{"topics-dbirth-seq", "seq of DBIRTH is one more than before", nextSeq(sparkplug.DBIRTH)},
		{"topics-ndata-seq-num", "seq of NDATA is one more than before", nextSeq(sparkplug.NDATA)},
		{"topics-ddata-seq-num", "seq of DDATA is one more than before", nextSeq(sparkplug.DDATA)},
		{"topics-ddeath-seq-num", "seq of DDEATH is one more than before", nextSeq(sparkplug.DDEATH)},
		{"payloads-dbirth-order", "DBIRTHs follow NBIRTH before any data", deviceBirthOrder},
		{"payloads-ndata-order", "NDATA follows the births", dataOrder(sparkplug.NDATA)},
		{"payloads-ddata-order", "DDATA follows the birth of its device", dataOrder(sparkplug.DDATA)},
		{"operational-behavior-data-publish-nbirth", "metrics of NDATA stand in NBIRTH with that datatype", announced(sparkplug.NBIRTH, sparkplug.NDATA)},
		{"operational-behavior-data-publish-dbirth", "metrics of DDATA stand in DBIRTH with that datatype", announced(sparkplug.DBIRTH, sparkplug.DDATA)},
		{"operational-behavior-data-publish-nbirth-order", "values of a node metric that are not historical are in order of time", chronological(sparkplug.NBIRTH, sparkplug.NDATA)},
		{"operational-behavior-data-publish-dbirth-order", "values of a device metric that are not historical are in order of time", chronological(sparkplug.DBIRTH, sparkplug.DDATA)},
		{rebirth + "1", "a rebirth command stops data", rebirthStops},
		{rebirth + "2", "a rebirth command is answered with all births", rebirthComplete},
		{rebirth + "3", "a rebirth has the bdSeq of the session", rebirthBdSeq},
	}
}

func birthFirst(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		first := true
		s.fromNode(func(m *message) {
			if first && m.topic.Type != sparkplug.NBIRTH {
				fail(m.index, "it is %s", m.topic.Type)
			}
			first = false
		})
	}
}

func birthSeq(c *capture, fail failFunc) {
	c.sent(sparkplug.NBIRTH, func(m *message) {
		if !m.payload.HasSeq || m.payload.Seq != 0 {
			fail(m.index, "seq is %d", m.payload.Seq)
		}
	})
}

func nextSeq(t sparkplug.MessageType) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		for _, s := range c.sessions {
			var last *message
			s.fromNode(func(m *message) {
				if !m.topic.Type.HasSeq() {
					return
				}
				if m.topic.Type == t && last != nil && (!m.payload.HasSeq || m.payload.Seq != (last.payload.Seq+1)&0xff) {
					fail(m.index, "seq %d follows %d", m.payload.Seq, last.payload.Seq)
				}
				last = m
			})
		}
	}
}

// deviceBirthOrder takes a DBIRTH of a device that had died (DDEATH) for a
// return, which may come at any time.
func deviceBirthOrder(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		born, data := false, false
		died := make(map[string]bool)
		s.fromNode(func(m *message) {
			switch m.topic.Type {
			case sparkplug.NBIRTH:
				born, data = true, false
				clear(died)
			case sparkplug.NDATA, sparkplug.DDATA:
				data = true
			case sparkplug.DDEATH:
				died[m.topic.Device] = true
			case sparkplug.DBIRTH:
				if !born || data && !died[m.topic.Device] {
					fail(m.index, "%s is born before its node or after data", m.topic.Device)
				}
			}
		})
	}
}

func dataOrder(t sparkplug.MessageType) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		for _, s := range c.sessions {
			node := false
			devices := make(map[string]bool)
			s.fromNode(func(m *message) {
				switch m.topic.Type {
				case sparkplug.NBIRTH:
					node = true
					clear(devices)
				case sparkplug.NDEATH:
					node = false
				case sparkplug.DBIRTH:
					devices[m.topic.Device] = true
				case sparkplug.DDEATH:
					delete(devices, m.topic.Device)
				case t:
					if !node || t == sparkplug.DDATA && !devices[m.topic.Device] {
						fail(m.index, "data of what is not born")
					}
				}
			})
		}
	}
}

func announced(birth, data sparkplug.MessageType) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		for _, s := range c.sessions {
			known := make(map[string]map[string]sparkplug.DataType)
			s.fromNode(func(m *message) {
				switch m.topic.Type {
				case birth:
					names := make(map[string]sparkplug.DataType)
					for _, metric := range m.payload.Metrics {
						names[metric.Name] = metric.Type
					}
					known[m.topic.Device] = names
				case data:
					for _, metric := range m.payload.Metrics {
						if want, ok := known[m.topic.Device][metric.Name]; !ok || metric.Type != 0 && metric.Type != want {
							fail(m.index, "%s (%s) is not in the birth", metric.Name, metric.Type)
						}
					}
				}
			})
		}
	}
}

func chronological(birth, data sparkplug.MessageType) func(*capture, failFunc) {
	type key struct{ device, name string }
	return func(c *capture, fail failFunc) {
		for _, s := range c.sessions {
			newest := make(map[key]time.Time)
			s.fromNode(func(m *message) {
				if m.topic.Type != birth && m.topic.Type != data {
					return
				}
				for _, metric := range m.payload.Metrics {
					k := key{m.topic.Device, metric.Name}
					// A birth says what is current, which may be older than what
					// was just sent of it: it starts the order anew.
					if m.topic.Type == data && !metric.Historical && metric.Time.Before(newest[k]) {
						fail(m.index, "%s of %s comes after that of %s", metric.Name, metric.Time, newest[k])
					}
					if !metric.Historical {
						newest[k] = metric.Time
					}
				}
			})
		}
	}
}

// eachRebirth calls f with each rebirth command, the messages of the node
// after it, and the devices that lived when it came.
func (c *capture) eachRebirth(f func(cmd *message, after []*message, living map[string]bool)) {
	for _, s := range c.sessions {
		living := make(map[string]bool)
		for i, m := range s.messages {
			switch {
			case !m.ok:
			case m.FromNode && m.topic.Type == sparkplug.DBIRTH:
				living[m.topic.Device] = true
			case m.FromNode && m.topic.Type == sparkplug.DDEATH:
				delete(living, m.topic.Device)
			case !m.FromNode && m.topic.Type == sparkplug.NCMD:
				if cmd, err := sparkplug.ParseCommand(&m.payload); err == nil && cmd.Rebirth {
					var after []*message
					for _, a := range s.messages[i+1:] {
						if a.FromNode && a.ok {
							after = append(after, a)
						}
					}
					f(m, after, living)
				}
			}
		}
	}
}

func isData(m *message) bool {
	return m.topic.Type == sparkplug.NDATA || m.topic.Type == sparkplug.DDATA
}

func rebirthStops(c *capture, fail failFunc) {
	c.eachRebirth(func(cmd *message, after []*message, _ map[string]bool) {
		for _, m := range after {
			if m.topic.Type == sparkplug.NBIRTH {
				return
			}
			if isData(m) && m.At.Sub(cmd.At) >= reaction {
				fail(m.index, "data %s after the command", m.At.Sub(cmd.At))
			}
		}
	})
}

func rebirthComplete(c *capture, fail failFunc) {
	c.eachRebirth(func(cmd *message, after []*message, living map[string]bool) {
		node := false
		born := make(map[string]bool)
		for _, m := range after {
			switch {
			case m.topic.Type == sparkplug.NBIRTH:
				node = true
			case m.topic.Type == sparkplug.DBIRTH:
				born[m.topic.Device] = true
			case m.topic.Type == sparkplug.NDEATH:
				return // the session ends instead
			case node && isData(m):
				for device := range living {
					if !born[device] {
						fail(m.index, "data before the DBIRTH of %s", device)
					}
				}
				return
			}
		}
		if !node {
			fail(cmd.index, "no NBIRTH follows")
		}
	})
}

func rebirthBdSeq(c *capture, fail failFunc) {
	c.eachRebirth(func(cmd *message, after []*message, _ map[string]bool) {
		var want uint64
		for _, m := range cmd.session.messages {
			if m.ok && m.FromNode && m.topic.Type == sparkplug.NBIRTH {
				want, _ = m.payload.BdSeq()
				break
			}
		}
		for _, m := range after {
			if m.topic.Type == sparkplug.NBIRTH {
				if n, _ := m.payload.BdSeq(); n != want {
					fail(m.index, "bdSeq is %d after the command, %d before", n, want)
				}
				return
			}
		}
	})
}
