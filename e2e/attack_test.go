package e2e

import (
	"strings"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
)

// thief is a gateway's account in the hands of the test, with the gateway's
// enrolled key.
func (s *site) thief(gateway string) (*forger, *client) {
	s.t.Helper()
	f := newForger(s.t, gateway, newKey(s.t))
	s.enroll(gateway, f.key.Public().String())
	account := siteID + "." + gateway
	return f, s.dial(account, s.secret("mqtt-"+gateway+".password"), sparkplug.CommandFilter(siteID, gateway))
}

// TestEquivocation: the same number signed twice with different content. The
// first is stored, the second is quarantined, alarmed and not acknowledged;
// the first once more is a duplicate.
func TestEquivocation(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.start()
	f, c := s.thief("gw-1")
	send := func(e evidence.Entry) {
		m := f.message("m-1", e)
		c.send(m.Topic.String(), m.Payload)
	}
	for _, e := range f.opening("m-1") {
		send(e)
	}
	first := f.sign(f.power(1000))
	send(first)
	ack, _ := c.commands(10*time.Second, func(ack, _ evidence.Ranges) bool { return ack.Contains(f.jid, 3) })
	if ack.Len() != 3 {
		t.Fatalf("acknowledged: %s", ack)
	}

	other := f.power(9999)
	other.JID, other.JSeq, other.Prev = f.jid, 3, first.Content.Prev
	send(f.signAs(other))
	ack, reject := c.commands(10*time.Second, func(_, reject evidence.Ranges) bool { return reject.Contains(f.jid, 3) })
	if !ack.Empty() || reject.Len() != 1 {
		t.Errorf("the second entry 3: acknowledged %q, rejected %q", ack, reject)
	}
	s.refusal("equivocation", 5*time.Second)
	if a := s.alarms("equivocation"); len(a) != 1 || !strings.Contains(a[0], "signed twice") {
		t.Errorf("alarms: %q", a)
	}

	send(first)
	if ack, _ = c.commands(10*time.Second, func(ack, _ evidence.Ranges) bool { return !ack.Empty() }); !ack.Contains(f.jid, 3) {
		t.Error("the entry that is stored is not acknowledged again")
	}
	c.mqtt.Disconnect(100)
	s.collector.stop()
	if k := keptBy(t, s); len(k.entries) != 3 || k.entries[number{f.jid, 3}].Hash != first.Hash {
		t.Errorf("%d entries are stored, entry 3 is the first one: %v", len(k.entries), k.entries[number{f.jid, 3}].Hash == first.Hash)
	}
}

// TestForeignTopic: mosquitto keeps a stolen credential to its own topics; and
// what would get through all the same is quarantined, because identity is what
// was signed.
func TestForeignTopic(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	// The rights as `yunhe gateway acl` writes them from the enrolled keys.
	victim := newForger(t, "gw-1", newKey(t))
	s.enroll("gw-1", victim.key.Public().String())
	second := newForger(t, "gw-2", newKey(t))
	s.enroll("gw-2", second.key.Public().String())
	s.write("mqtt-acl", s.yunhe("gateway", "acl", "--file", s.path("gateways.yaml"), "--host", "yunhe", "--site", siteID))
	mallory := s.grant("mallory", "topic readwrite spBv1.0/#")
	s.start()
	watch := s.dial("mallory", mallory, "spBv1.0/+/DDATA/#", "spBv1.0/+/NDATA/#", "spBv1.0/+/NCMD/#")
	thief := s.dial(siteID+".gw-2", s.secret("mqtt-gw-2.password"), "spBv1.0/"+siteID+"/NCMD/gw-1", "spBv1.0/#")

	// gw-2's account on gw-1's topic, then on its own: only the second is heard.
	opening := second.opening("m-1")
	foreign := strings.Replace(second.message("m-1", opening[1]).Topic.String(), "gw-2", "gw-1", 1)
	thief.send(foreign, second.message("m-1", opening[1]).Payload)
	own := second.message("m-1", opening[0])
	thief.send(own.Topic.String(), own.Payload)
	if m := watch.next(10 * time.Second); m != own.Topic.String() {
		t.Errorf("the broker passes on %q, sent with the credential of gw-2", m)
	}
	command := sparkplug.NewCommand(siteID, "gw-1", sparkplug.Command{Rebirth: true}, time.Now())
	watch.send(command.Topic.String(), command.Payload)
	for m := thief.next(time.Second); m != ""; m = thief.next(time.Second) {
		// Its own commands, and whether the collector is there, it may hear.
		if m != "spBv1.0/STATE/yunhe" && m != sparkplug.CommandFilter(siteID, "gw-2") {
			t.Errorf("gw-2 hears %s", m)
		}
	}

	// Past the access list, by an account that may do everything.
	m := second.message("m-1", opening[1])
	watch.send(strings.Replace(m.Topic.String(), "gw-2", "gw-1", 1), m.Payload)
	s.refusal("it came on the topic of park/gw-1, its key is enrolled for park/gw-2", 10*time.Second)
	eventually(t, "what came on its own topic is stored", 5*time.Second, func() bool {
		return s.storedOf(evidence.Span{JID: second.jid, Lo: 1, Hi: 9}) == 1
	})
}

// TestForgedAck: whoever may write to a gateway's command topic acknowledges
// what was never stored. Nothing is deleted, the collector notices the hole
// and asks for it, and the data arrive; also when the agent has begun another
// epoch since.
func TestForgedAck(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"same epoch": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{})
			mallory := s.grant("mallory", "topic readwrite spBv1.0/#")
			g := s.newGateway("gw-1", gatewayOptions{devices: newMeters(t, 1).config()})
			g.enroll()
			s.startBroker()
			forger := s.dial("mallory", mallory, "spBv1.0/"+siteID+"/DDATA/gw-1/#")
			g.start()
			g.await("entries wait", 20*time.Second, func(c counts) bool { return c.backlog > 20 })
			forged := forger.heardBatches()
			forger.ack("gw-1", forged)
			g.await("the forged acknowledgement is believed", 10*time.Second, func(c counts) bool { return c.backlog < 20 })
			if restart {
				g.stop()
				g.start()
			}
			s.collector.start()
			s.awaitCollector()
			eventually(t, "what a stranger acknowledged is stored", 100*time.Second, func() bool {
				return s.storedOf(forged) == int(forged.Hi)
			})
			if len(s.alarms("chain_gap")) == 0 {
				t.Error("nobody is told of the gap")
			}
			s.complete(g)
		})
	}
}
