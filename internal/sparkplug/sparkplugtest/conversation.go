// Package sparkplugtest checks what an edge node and a broker said to each
// other against the requirements of Sparkplug B 3.0. It is for tests: Check
// takes a conversation, Recorder captures one from an embedded broker. Each
// check carries the id of the requirement in the specification (there with
// the prefix tck-id-).
package sparkplugtest

import (
	"fmt"
	"strings"
	"time"

	"yunhe/internal/sparkplug"
)

// Kind says what a Packet is.
type Kind uint8

// The packets that the requirements speak of. Closed is the end of the
// connection, with or without a DISCONNECT before it.
const (
	Connect Kind = iota + 1
	Subscribe
	Publish
	Disconnect
	Closed
)

// Packet is one MQTT packet between an edge node and the broker.
type Packet struct {
	Kind     Kind
	FromNode bool      // false: delivered by the broker
	At       time.Time // when the broker had it; zero if that is not known

	// Of a Publish; of a Connect these are the will, Topic empty if there is none.
	Topic   string
	QoS     byte
	Retain  bool
	Payload []byte

	CleanSession bool     // of a Connect
	Filters      []Filter // of a Subscribe
}

// Filter is one topic filter of a Subscribe.
type Filter struct {
	Topic string
	QoS   byte
}

// Conversation is everything one edge node and the broker said, in order; it
// may span many sessions.
type Conversation []Packet

// Violation is a requirement that a conversation does not meet.
type Violation struct {
	ID      string // of the requirement
	Meaning string
	Packet  int // index in the conversation
	Detail  string
}

// String gives all of it in a line.
func (v Violation) String() string {
	return fmt.Sprintf("packet %d: %s (%s): %s", v.Packet, v.ID, v.Meaning, v.Detail)
}

// Requirement is one that Check knows.
type Requirement struct {
	ID      string
	Meaning string
	find    func(c *capture, fail failFunc)
}

// failFunc reports a violation at a packet.
type failFunc func(packet int, format string, args ...any)

// Requirements lists what Check checks.
func Requirements() []Requirement {
	var all []Requirement
	all = append(all, sessionRequirements()...)
	all = append(all, topicRequirements()...)
	all = append(all, messageRequirements()...)
	all = append(all, birthRequirements()...)
	return append(all, orderRequirements()...)
}

// Check returns what c does not meet, in the order of Requirements.
func Check(c Conversation) []Violation {
	var out []Violation
	parsed := parse(c)
	for _, r := range Requirements() {
		r.find(parsed, func(packet int, format string, args ...any) {
			out = append(out, Violation{r.ID, r.Meaning, packet, fmt.Sprintf(format, args...)})
		})
	}
	return out
}

// capture is a conversation taken apart.
type capture struct {
	sessions []*session
	all      []*message // every publish, in order
}

// session is what happened from one CONNECT to the next.
type session struct {
	connect  *Packet
	start    int      // index of the CONNECT
	will     *message // nil if there is none
	messages []*message
	filters  []subscribed
	// disconnect is the index of the DISCONNECT, -1 if there is none.
	disconnect int
}

type subscribed struct {
	Filter
	index int
}

// message is a Publish or a will.
type message struct {
	Packet
	index   int
	session *session
	levels  []string // of the topic
	topic   sparkplug.Topic
	// ok: topic and payload could be read. What could not be read is a
	// violation by itself, once.
	ok       bool
	payload  sparkplug.Payload
	fault    error
	typeText string
}

func parse(c Conversation) *capture {
	out := new(capture)
	// What comes before the first CONNECT belongs to a session without one.
	current := &session{disconnect: -1}
	for i := range c {
		p := &c[i]
		switch p.Kind {
		case Connect:
			current = &session{connect: p, start: i, disconnect: -1}
			out.sessions = append(out.sessions, current)
			if p.Topic != "" {
				current.will = parseMessage(*p, i, current)
			}
		case Subscribe:
			for _, f := range p.Filters {
				current.filters = append(current.filters, subscribed{f, i})
			}
		case Publish:
			m := parseMessage(*p, i, current)
			current.messages = append(current.messages, m)
			out.all = append(out.all, m)
		case Disconnect:
			current.disconnect = i
		}
	}
	return out
}

func parseMessage(p Packet, index int, s *session) *message {
	m := &message{Packet: p, index: index, session: s, levels: strings.Split(p.Topic, "/")}
	if len(m.levels) > 2 {
		m.typeText = m.levels[2]
	}
	if m.topic, m.fault = sparkplug.ParseTopic(p.Topic); m.fault == nil {
		m.fault = sparkplug.Decode(p.Payload, &m.payload)
	}
	m.ok = m.fault == nil
	return m
}

// sent calls f for each readable message of type t that the node published.
func (c *capture) sent(t sparkplug.MessageType, f func(*message)) {
	for _, m := range c.all {
		if m.FromNode && m.ok && m.topic.Type == t {
			f(m)
		}
	}
}

// fromNode calls f for each readable message that the node published in s.
func (s *session) fromNode(f func(*message)) {
	for _, m := range s.messages {
		if m.FromNode && m.ok {
			f(m)
		}
	}
}

// nodeTopic is the topic of type t of the node that the session's will names.
func (s *session) nodeTopic(t sparkplug.MessageType) (string, bool) {
	if s.will == nil || !s.will.ok {
		return "", false
	}
	topic := s.will.topic
	topic.Type = t
	return topic.String(), true
}
