package sparkplugtest

import (
	"strings"

	"yunhe/internal/sparkplug"
)

// topicRequirements concern the topics that the node publishes to.
func topicRequirements() []Requirement {
	const base = "topic-structure-namespace-"
	return []Requirement{
		{"topic-structure", "a topic is namespace/group/type/node[/device], its payload a Sparkplug payload", topicStructure},
		{base + "a", "the namespace is spBv1.0", namespace},
		{base + "valid-group-id", "a group id is not empty and has no + or #", validLevel(1)},
		{base + "valid-edge-node-id", "a node id is not empty and has no + or #", validLevel(3)},
		{base + "valid-device-id", "a device id is not empty and has no + or #", validLevel(4)},
		{base + "device-id-associated-message-types", "device messages name a device", deviceLevel('D', 5)},
		{base + "device-id-non-associated-message-types", "node messages name no device", deviceLevel('N', 4)},
		{base + "unique-edge-node-descriptor", "one client speaks for one node", oneNode},
		{base + "unique-device-id", "a device that lives is not born again without its node", uniqueDevice},
		{"case-sensitivity-sparkplug-ids", "device ids differ in more than case", idCase},
	}
}

// published calls f for each message from the node, readable or not.
func (c *capture) published(f func(*message)) {
	for _, m := range c.all {
		if m.FromNode {
			f(m)
		}
	}
}

func topicStructure(c *capture, fail failFunc) {
	c.published(func(m *message) {
		if !m.ok {
			fail(m.index, "%v", m.fault)
		}
	})
}

func namespace(c *capture, fail failFunc) {
	c.published(func(m *message) {
		if m.levels[0] != sparkplug.Namespace {
			fail(m.index, "the namespace is %q", m.levels[0])
		}
	})
}

func validLevel(n int) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		c.published(func(m *message) {
			if n < len(m.levels) && (m.levels[n] == "" || strings.ContainsAny(m.levels[n], "+#")) {
				fail(m.index, "%q", m.levels[n])
			}
		})
	}
}

func deviceLevel(first byte, levels int) func(*capture, failFunc) {
	return func(c *capture, fail failFunc) {
		c.published(func(m *message) {
			if m.typeText != "" && m.typeText[0] == first && len(m.levels) != levels {
				fail(m.index, "%s has %d levels instead of %d", m.typeText, len(m.levels), levels)
			}
		})
	}
}

func oneNode(c *capture, fail failFunc) {
	var first *message
	c.published(func(m *message) {
		switch {
		case !m.ok:
		case first == nil:
			first = m
		case m.topic.Group != first.topic.Group || m.topic.Node != first.topic.Node:
			fail(m.index, "it speaks for %s/%s and for %s/%s", first.topic.Group, first.topic.Node, m.topic.Group, m.topic.Node)
		}
	})
}

func uniqueDevice(c *capture, fail failFunc) {
	for _, s := range c.sessions {
		living := make(map[string]bool)
		s.fromNode(func(m *message) {
			switch m.topic.Type {
			case sparkplug.NBIRTH, sparkplug.NDEATH:
				clear(living)
			case sparkplug.DDEATH:
				delete(living, m.topic.Device)
			case sparkplug.DBIRTH:
				if living[m.topic.Device] {
					fail(m.index, "%s lives already", m.topic.Device)
				}
				living[m.topic.Device] = true
			}
		})
	}
}

func idCase(c *capture, fail failFunc) {
	seen := make(map[string]string)
	c.sent(sparkplug.DBIRTH, func(m *message) {
		key := strings.ToLower(m.topic.Device)
		if other, ok := seen[key]; ok && other != m.topic.Device {
			fail(m.index, "%s and %s", other, m.topic.Device)
		}
		seen[key] = m.topic.Device
	})
}
