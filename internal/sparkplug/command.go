package sparkplug

import (
	"fmt"
	"time"

	"yunhe/internal/telemetry"
)

// Command is what a collector tells a gateway by NCMD. The range sets are in
// the grammar of evidence.Ranges; empty ones are not sent.
type Command struct {
	Ack     string // stored: stop sending
	Reject  string // held: keep them to the floor, stop sending
	Replay  string // send again
	Define  string // hash of a definition that the collector lacks
	Rebirth bool   // send all births again
}

// NewCommand returns the NCMD for a gateway.
func NewCommand(group, node string, c Command, at time.Time) Message {
	p := Payload{Time: at}
	for _, m := range []Metric{
		textMetric(NameAck, c.Ack, at), textMetric(NameReject, c.Reject, at),
		textMetric(NameReplay, c.Replay, at), textMetric(NameDefine, c.Define, at),
	} {
		if text, _ := m.Value.AsString(); text != "" {
			p.Metrics = append(p.Metrics, m)
		}
	}
	if c.Rebirth {
		p.Metrics = append(p.Metrics, Metric{Name: NameRebirth, Time: at, Type: Boolean, Value: telemetry.Bool(true)})
	}
	topic := Topic{Group: group, Type: NCMD, Node: node}
	return Message{Topic: topic, Payload: p.Append(make([]byte, 0, p.sizeHint()))}
}

// ParseCommand reads an NCMD; metrics it does not know are ignored, one of
// another type than declared is an error.
func ParseCommand(p *Payload) (Command, error) {
	var c Command
	for i := range p.Metrics {
		m := &p.Metrics[i]
		var text *string
		switch m.Name {
		case NameAck:
			text = &c.Ack
		case NameReject:
			text = &c.Reject
		case NameReplay:
			text = &c.Replay
		case NameDefine:
			text = &c.Define
		case NameRebirth:
			b, ok := m.Value.AsBool()
			if !ok {
				return Command{}, fmt.Errorf("parse command: %s is no Boolean", m.Name)
			}
			c.Rebirth = c.Rebirth || b
			continue
		default:
			continue
		}
		var ok bool
		if *text, ok = m.Value.AsString(); !ok {
			return Command{}, fmt.Errorf("parse command: %s is no String", m.Name)
		}
	}
	return c, nil
}
