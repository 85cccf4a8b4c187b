// Package sparkplug is the only package that knows the wire: the topics,
// payloads and sessions of Sparkplug B 3.0, as far as Yunhe speaks and reads
// it. Its codec is written by hand on protowire, because the collector decodes
// every message with it. It performs no I/O.
package sparkplug

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Namespace is the first level of every topic.
const Namespace = "spBv1.0"

// MaxTopic is the longest topic accepted, in bytes.
const MaxTopic = 512

// MessageType is the third level of a topic.
type MessageType uint8

// The eight message types of edge nodes and devices. The zero value is none.
const (
	NBIRTH MessageType = iota + 1
	NDEATH
	NDATA
	NCMD
	DBIRTH
	DDEATH
	DDATA
	DCMD
)

// String returns the level as it stands in the topic.
func (m MessageType) String() string {
	switch m {
	case NBIRTH:
		return "NBIRTH"
	case NDEATH:
		return "NDEATH"
	case NDATA:
		return "NDATA"
	case NCMD:
		return "NCMD"
	case DBIRTH:
		return "DBIRTH"
	case DDEATH:
		return "DDEATH"
	case DDATA:
		return "DDATA"
	case DCMD:
		return "DCMD"
	default:
		return fmt.Sprintf("invalid message type %d", uint8(m))
	}
}

// OfDevice reports whether topics of the type end with a device.
func (m MessageType) OfDevice() bool { return m >= DBIRTH && m <= DCMD }

// HasSeq reports whether payloads of the type carry a sequence number.
func (m MessageType) HasSeq() bool {
	return m != NDEATH && m != NCMD && m != DCMD
}

func parseMessageType(s string) (MessageType, bool) {
	for m := NBIRTH; m <= DCMD; m++ {
		if s == m.String() {
			return m, true
		}
	}
	return 0, false
}

// Topic is spBv1.0/group/type/node[/device]. In Yunhe's own topics the group
// is the site, the node the gateway. The topic routes; it proves nothing.
type Topic struct {
	Group  string
	Type   MessageType
	Node   string
	Device string // empty for node messages
}

// ParseTopic reads the topic of an edge node or device.
func ParseTopic(s string) (Topic, error) {
	if len(s) > MaxTopic {
		return Topic{}, fmt.Errorf("parse topic: %d bytes, at most %d are accepted", len(s), MaxTopic)
	}
	t, reason := parseTopic(s)
	if reason != "" {
		return Topic{}, fmt.Errorf("parse topic %q: %s", s, reason)
	}
	return t, nil
}

func parseTopic(s string) (t Topic, reason string) {
	rest, ok := strings.CutPrefix(s, Namespace+"/")
	if !ok {
		return t, "not below " + Namespace + "/"
	}
	var levels [4]string
	n := 0
	for more := true; more; n++ {
		if n == len(levels) {
			return t, "too many levels"
		}
		levels[n], rest, more = strings.Cut(rest, "/")
		if !validLevel(levels[n]) {
			return t, "a level is empty or holds + or #"
		}
	}
	if t.Type, ok = parseMessageType(levels[1]); !ok {
		return t, "unknown message type"
	}
	want := 3
	if t.Type.OfDevice() {
		want = 4
	}
	if n != want {
		return t, fmt.Sprintf("%s has %d levels below %s, not %d", t.Type, want, Namespace, n)
	}
	t.Group, t.Node, t.Device = levels[0], levels[2], levels[3]
	return t, ""
}

func validLevel(s string) bool {
	return s != "" && !strings.ContainsAny(s, "+#\x00") && utf8.ValidString(s)
}

// String returns the topic as published.
func (t Topic) String() string {
	s := Namespace + "/" + t.Group + "/" + t.Type.String() + "/" + t.Node
	if t.Device != "" {
		s += "/" + t.Device
	}
	return s
}

// StateTopic returns the topic on which a host application tells its state.
func StateTopic(host string) string { return Namespace + "/STATE/" + host }

// ParseStateTopic returns the host of a STATE topic.
func ParseStateTopic(s string) (host string, ok bool) {
	host, ok = strings.CutPrefix(s, Namespace+"/STATE/")
	return host, ok && len(s) <= MaxTopic && validLevel(host) && !strings.Contains(host, "/")
}
