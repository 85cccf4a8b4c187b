package e2e

import (
	"fmt"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
)

// client is a hand at the broker: whoever has the password of an account.
type client struct {
	t    testing.TB
	mqtt mqtt.Client
	// heard gets every message of the topics listened to.
	heard chan mqtt.Message
}

// dial connects under an account of the site.
func (s *site) dial(account, password string, filters ...string) *client {
	s.t.Helper()
	c := &client{t: s.t, heard: make(chan mqtt.Message, 4096)}
	o := mqtt.NewClientOptions().AddBroker(fmt.Sprintf("mqtt://127.0.0.1:%d", s.mqttPort)).SetClientID(account).
		SetUsername(account).SetPassword(password).SetProtocolVersion(4).SetAutoReconnect(false).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			select {
			case c.heard <- m:
			default:
			}
		})
	c.mqtt = mqtt.NewClient(o)
	c.wait(c.mqtt.Connect())
	for _, f := range filters {
		c.wait(c.mqtt.Subscribe(f, 1, nil))
	}
	s.t.Cleanup(func() { c.mqtt.Disconnect(0) })
	return c
}

func (c *client) wait(token mqtt.Token) {
	c.t.Helper()
	if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		c.t.Fatalf("broker: %v", token.Error())
	}
}

// send publishes at QoS 1, so that the broker has it when send returns.
func (c *client) send(topic string, payload []byte) {
	c.t.Helper()
	c.wait(c.mqtt.Publish(topic, 1, false, payload))
}

// commands gathers what the commands heard within a time say. It ends early
// when enough says so.
func (c *client) commands(limit time.Duration, enough func(ack, reject evidence.Ranges) bool) (ack, reject evidence.Ranges) {
	c.t.Helper()
	end := time.After(limit)
	for !enough(ack, reject) {
		select {
		case <-end:
			return ack, reject
		case m := <-c.heard:
			var p sparkplug.Payload
			if err := sparkplug.Decode(m.Payload(), &p); err != nil {
				c.t.Fatal(err)
			}
			cmd, err := sparkplug.ParseCommand(&p)
			if err != nil {
				c.t.Fatal(err)
			}
			for to, text := range map[*evidence.Ranges]string{&ack: cmd.Ack, &reject: cmd.Reject} {
				r, err := evidence.ParseRanges(text)
				if err != nil {
					c.t.Fatal(err)
				}
				to.Union(r)
			}
		}
	}
	return ack, reject
}

// next returns the topic of the next message, empty if none comes.
func (c *client) next(limit time.Duration) string {
	select {
	case m := <-c.heard:
		return m.Topic()
	case <-time.After(limit):
		return ""
	}
}

// heardBatches returns the numbers up to the newest batch heard.
func (c *client) heardBatches() (all evidence.Span) {
	c.t.Helper()
	for {
		select {
		case m := <-c.heard:
			var p sparkplug.Payload
			if err := sparkplug.Decode(m.Payload(), &p); err != nil {
				c.t.Fatal(err)
			}
			if !evidence.IsDetached(p.Body) {
				continue
			}
			rs, _ := p.Readings(nil)
			e, err := evidence.Rebuild(p.Body, rs)
			if err != nil {
				c.t.Fatal(err)
			}
			all = evidence.Span{JID: e.Content.JID, Lo: 1, Hi: max(all.Hi, e.Content.JSeq)}
		default:
			if all.Hi == 0 {
				c.t.Fatal("no batch was heard")
			}
			return all
		}
	}
}

// ack acknowledges entries as the collector would.
func (c *client) ack(gateway string, all evidence.Span) {
	c.t.Helper()
	var r evidence.Ranges
	r.AddSpan(all)
	m := sparkplug.NewCommand(siteID, gateway, sparkplug.Command{Ack: r.String()}, time.Now())
	c.send(m.Topic.String(), m.Payload)
}
