package sparkplugtest

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

var start = telemetry.FromMillis(1_790_000_000_000)

// script builds a conversation; each packet is a second after the one before.
type script struct {
	c Conversation
	s *sparkplug.Session
}

func (s *script) at() time.Time { return start.Add(time.Duration(len(s.c)) * time.Second) }

func (s *script) add(p Packet) {
	p.At = s.at()
	s.c = append(s.c, p)
}

func packet(m sparkplug.Message, fromNode bool) Packet {
	return Packet{Kind: Publish, FromNode: fromNode, Topic: m.Topic.String(), QoS: m.QoS, Retain: m.Retain, Payload: m.Payload}
}

func (s *script) publish(m sparkplug.Message) { s.add(packet(m, true)) }

func (s *script) connect(bdSeq uint64) {
	s.s = sparkplug.NewSession("site", "gw", bdSeq)
	p := packet(s.s.Will(s.at()), true)
	p.Kind, p.CleanSession = Connect, true
	s.add(p)
	s.add(Packet{Kind: Subscribe, FromNode: true, Filters: []Filter{
		{s.s.CommandFilter(), 1}, {"spBv1.0/site/DCMD/gw/#", 1},
	}})
}

func (s *script) births() {
	s.publish(s.s.NodeBirth(sparkplug.Status{ClockState: telemetry.Synchronised}, s.at()))
	for _, device := range []string{"meter", "tank"} {
		s.publish(s.s.DeviceBirth(device, []sparkplug.BirthPoint{
			{Name: "active_power", Type: telemetry.TypeFloat, Unit: "W"}, {Name: "running", Type: telemetry.TypeBool, Unit: "1"},
		}, s.at()))
	}
}

func (s *script) data(device string, read time.Time, historical bool) {
	s.publish(s.s.DeviceData(device, []telemetry.Reading{
		{Point: "active_power", Time: read, Type: telemetry.TypeFloat, Quality: telemetry.Bad},
		{Point: "running", Time: read, Type: telemetry.TypeBool, Value: telemetry.Bool(true), Quality: telemetry.Uncertain},
	}, []byte{0x8b}, historical, s.at()))
}

func (s *script) command(c sparkplug.Command) {
	s.add(packet(sparkplug.NewCommand("site", "gw", c, s.at()), false))
}

// Packets of goodConversation that the tests change.
const (
	pConnect = iota
	pSubscribe
	pNBirth
	pDBirth
	pDBirthTank
	pDData
	pNData
	pAck
	pHistory
	pDDeath
	pDBirthAgain
	pDataAgain
	pRebirth
	pNBirth2
	pDBirth2
	pDBirthTank2
	pDData2
	pNDeath
	pDisconnect
	pClosed
	pConnect2
)

// goodConversation has two sessions and everything that may happen in one.
func goodConversation() Conversation {
	s := new(script)
	s.connect(255)
	s.births()
	s.data("meter", s.at(), false)
	s.publish(s.s.NodeData(sparkplug.Status{}, s.at()))
	s.command(sparkplug.Command{Ack: "9:1-2"})
	s.data("meter", start.Add(-time.Hour), true)
	s.publish(s.s.DeviceDeath("tank", s.at()))
	s.publish(s.s.DeviceBirth("tank", []sparkplug.BirthPoint{
		{Name: "active_power", Type: telemetry.TypeFloat}, {Name: "running", Type: telemetry.TypeBool},
	}, s.at()))
	s.data("tank", s.at(), false)
	s.command(sparkplug.Command{Rebirth: true})
	s.births()
	s.data("meter", s.at(), false)
	s.publish(s.s.NodeDeath(s.at()))
	s.add(Packet{Kind: Disconnect, FromNode: true})
	s.add(Packet{Kind: Closed})
	s.connect(0)
	s.births()
	s.data("tank", s.at(), false)
	s.add(Packet{Kind: Closed})
	return s.c
}

func TestGoodConversation(t *testing.T) {
	for _, v := range Check(goodConversation()) {
		t.Error(v)
	}
}

// edit changes the payload of a packet.
func edit(c Conversation, i int, change func(*sparkplug.Payload)) {
	var p sparkplug.Payload
	if err := sparkplug.Decode(c[i].Payload, &p); err != nil {
		panic(err)
	}
	change(&p)
	c[i].Payload = p.Append(nil)
}

func metric(p *sparkplug.Payload, name string) *sparkplug.Metric { return p.Find(name) }

// appendMetric appends a metric to the encoded payload by hand, for what our
// own encoder cannot say.
func appendMetric(c Conversation, i int, fields func(b []byte) []byte) {
	b := protowire.AppendTag(slices.Clone(c[i].Payload), 2, protowire.BytesType)
	c[i].Payload = protowire.AppendBytes(b, fields(nil))
}

func str(b []byte, n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func num(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

// withQuality appends a bad metric whose Quality has another type or value.
func withQuality(c Conversation, i int, typ, value uint64) {
	appendMetric(c, i, func(b []byte) []byte {
		b = num(num(num(str(b, 1, "running"), 3, uint64(start.UnixMilli())), 4, 11), 7, 1)
		set := protowire.AppendBytes(protowire.AppendTag(str(nil, 1, "Quality"), 2, protowire.BytesType), num(num(nil, 1, typ), 3, value))
		return protowire.AppendBytes(protowire.AppendTag(b, 9, protowire.BytesType), set)
	})
}

func remove(c *Conversation, i int) { *c = slices.Delete(*c, i, i+1) }

func noTime(p *sparkplug.Payload) { p.Time = time.Time{} }

// removeMetric takes the metric of that name away.
func removeMetric(name string) func(*sparkplug.Payload) {
	return func(p *sparkplug.Payload) {
		p.Metrics = slices.DeleteFunc(p.Metrics, func(m sparkplug.Metric) bool { return m.Name == name })
	}
}

// breaks says for each requirement how to break it.
var breaks = map[string]func(c *Conversation){
	"principles-persistence-clean-session-311":                        func(c *Conversation) { (*c)[pConnect].CleanSession = false },
	"message-flow-edge-node-birth-publish-will-message":               func(c *Conversation) { (*c)[pConnect].Topic = "" },
	"message-flow-edge-node-birth-publish-will-message-topic":         func(c *Conversation) { (*c)[pConnect].Topic = "spBv1.0/site/NDATA/gw" },
	"payloads-ndeath-will-message-qos":                                func(c *Conversation) { (*c)[pConnect].QoS = 0 },
	"payloads-ndeath-will-message-retain":                             func(c *Conversation) { (*c)[pConnect].Retain = true },
	"message-flow-edge-node-birth-publish-will-message-payload-bdSeq": func(c *Conversation) { edit(*c, pConnect, removeMetric("bdSeq")) },
	"topics-nbirth-bdseq-increment": func(c *Conversation) {
		edit(*c, pConnect2, func(p *sparkplug.Payload) { metric(p, "bdSeq").Value = telemetry.Uint(255) })
	},
	"topics-ndeath-payload":                                            func(c *Conversation) { edit(*c, pNDeath, removeMetric("bdSeq")) },
	"topics-ndeath-seq":                                                func(c *Conversation) { edit(*c, pNDeath, func(p *sparkplug.Payload) { p.HasSeq = true }) },
	"message-flow-edge-node-ncmd-subscribe":                            func(c *Conversation) { (*c)[pSubscribe].Filters[0].QoS = 0 },
	"message-flow-device-dcmd-subscribe":                               func(c *Conversation) { (*c)[pSubscribe].Filters[1].QoS = 0 },
	"payloads-ndeath-will-message-publisher-disconnect-mqtt311":        func(c *Conversation) { remove(c, pNDeath) },
	"topic-structure":                                                  func(c *Conversation) { (*c)[pNData].Topic = "spBv1.0/site/NOTE/gw" },
	"topic-structure-namespace-a":                                      func(c *Conversation) { (*c)[pNData].Topic = "spAv1.0/site/NDATA/gw" },
	"topic-structure-namespace-valid-group-id":                         func(c *Conversation) { (*c)[pNData].Topic = "spBv1.0/si+te/NDATA/gw" },
	"topic-structure-namespace-valid-edge-node-id":                     func(c *Conversation) { (*c)[pNData].Topic = "spBv1.0/site/NDATA/#gw" },
	"topic-structure-namespace-valid-device-id":                        func(c *Conversation) { (*c)[pDData].Topic = "spBv1.0/site/DDATA/gw/" },
	"topic-structure-namespace-device-id-associated-message-types":     func(c *Conversation) { (*c)[pDData].Topic = "spBv1.0/site/DDATA/gw" },
	"topic-structure-namespace-device-id-non-associated-message-types": func(c *Conversation) { (*c)[pNData].Topic = "spBv1.0/site/NDATA/gw/meter" },
	"topic-structure-namespace-unique-edge-node-descriptor":            func(c *Conversation) { (*c)[pNData].Topic = "spBv1.0/site/NDATA/gw-2" },
	"topic-structure-namespace-unique-device-id":                       func(c *Conversation) { remove(c, pDDeath) },
	"case-sensitivity-sparkplug-ids":                                   func(c *Conversation) { (*c)[pDBirthTank].Topic = "spBv1.0/site/DBIRTH/gw/Meter" },
	"topics-nbirth-mqtt":                                               func(c *Conversation) { (*c)[pNBirth].QoS = 1 },
	"topics-dbirth-mqtt":                                               func(c *Conversation) { (*c)[pDBirth].Retain = true },
	"topics-ndata-mqtt":                                                func(c *Conversation) { (*c)[pNData].QoS = 2 },
	"topics-ddata-mqtt":                                                func(c *Conversation) { (*c)[pDData].QoS = 1 },
	"topics-ddeath-mqtt":                                               func(c *Conversation) { (*c)[pDDeath].Retain = true },
	"topics-nbirth-timestamp":                                          func(c *Conversation) { edit(*c, pNBirth, noTime) },
	"topics-dbirth-timestamp":                                          func(c *Conversation) { edit(*c, pDBirth, noTime) },
	"topics-ndata-timestamp":                                           func(c *Conversation) { edit(*c, pNData, noTime) },
	"topics-ddata-timestamp":                                           func(c *Conversation) { edit(*c, pDData, noTime) },
	"payloads-ddeath-timestamp":                                        func(c *Conversation) { edit(*c, pDDeath, noTime) },
	"payloads-name-requirement": func(c *Conversation) {
		appendMetric(*c, pDData, func(b []byte) []byte { return num(num(num(b, 2, 7), 3, uint64(start.UnixMilli())), 14, 1) })
	},
	"payloads-name-birth-data-requirement": func(c *Conversation) {
		edit(*c, pDData, func(p *sparkplug.Payload) { p.Metrics[0].Time = time.Time{} })
	},
	"payloads-metric-timestamp-in-UTC": func(c *Conversation) {
		edit(*c, pDData, func(p *sparkplug.Payload) { p.Metrics[0].Time = start.Add(8 * time.Hour) })
	},
	"payloads-propertyset-quality-value-type":  func(c *Conversation) { withQuality(*c, pDData, 7, 0) },
	"payloads-propertyset-quality-value-value": func(c *Conversation) { withQuality(*c, pDData, 3, 64) },
	"topics-ncmd-mqtt":                         func(c *Conversation) { (*c)[pAck].Retain = true },
	"payloads-ncmd-timestamp":                  func(c *Conversation) { edit(*c, pAck, noTime) },
	"payloads-ncmd-seq":                        func(c *Conversation) { edit(*c, pAck, func(p *sparkplug.Payload) { p.HasSeq = true }) },
	"topics-nbirth-metrics": func(c *Conversation) {
		appendMetric(*c, pNBirth, func(b []byte) []byte { return num(num(str(b, 1, "x"), 3, 1), 4, 10) })
	},
	"topics-dbirth-metrics": func(c *Conversation) {
		appendMetric(*c, pDBirth, func(b []byte) []byte { return num(num(str(b, 1, "x"), 3, 1), 4, 10) })
	},
	"payloads-metric-datatype-req": func(c *Conversation) {
		edit(*c, pDBirth, func(p *sparkplug.Payload) { p.Metrics[0].Type = 0 })
	},
	"case-sensitivity-metric-names": func(c *Conversation) {
		edit(*c, pDBirth, func(p *sparkplug.Payload) { p.Metrics[0].Name = "Running" })
	},
	"topics-nbirth-bdseq-included": func(c *Conversation) { edit(*c, pNBirth, removeMetric("bdSeq")) },
	"topics-nbirth-bdseq-matching": func(c *Conversation) {
		edit(*c, pNBirth, func(p *sparkplug.Payload) { metric(p, "bdSeq").Value = telemetry.Uint(3) })
	},
	"operational-behavior-data-commands-rebirth-name": func(c *Conversation) { edit(*c, pNBirth, removeMetric(sparkplug.NameRebirth)) },
	"operational-behavior-data-commands-rebirth-datatype": func(c *Conversation) {
		edit(*c, pNBirth, func(p *sparkplug.Payload) {
			m := metric(p, sparkplug.NameRebirth)
			m.Type, m.Value = sparkplug.String, telemetry.String("false")
		})
	},
	"operational-behavior-data-commands-rebirth-value": func(c *Conversation) {
		edit(*c, pNBirth, func(p *sparkplug.Payload) { metric(p, sparkplug.NameRebirth).Value = telemetry.Bool(true) })
	},
	"operational-behavior-data-commands-rebirth-name-aliases": func(c *Conversation) {
		edit(*c, pNBirth, removeMetric(sparkplug.NameRebirth))
		appendMetric(*c, pNBirth, func(b []byte) []byte {
			return num(num(num(num(str(b, 1, sparkplug.NameRebirth), 2, 1), 3, 1), 4, 11), 14, 0)
		})
	},
	"principles-birth-certificates-order": func(c *Conversation) { remove(c, pNBirth) },
	"topics-nbirth-seq-num":               func(c *Conversation) { edit(*c, pNBirth, func(p *sparkplug.Payload) { p.Seq = 1 }) },
	"topics-dbirth-seq":                   func(c *Conversation) { edit(*c, pDBirth, func(p *sparkplug.Payload) { p.Seq = 7 }) },
	"topics-ndata-seq-num":                func(c *Conversation) { edit(*c, pNData, func(p *sparkplug.Payload) { p.HasSeq = false }) },
	"topics-ddata-seq-num":                func(c *Conversation) { edit(*c, pDData, func(p *sparkplug.Payload) { p.Seq++ }) },
	"topics-ddeath-seq-num":               func(c *Conversation) { edit(*c, pDDeath, func(p *sparkplug.Payload) { p.Seq = 0 }) },
	"payloads-dbirth-order":               func(c *Conversation) { (*c)[pDBirthTank], (*c)[pDData] = (*c)[pDData], (*c)[pDBirthTank] },
	"payloads-ndata-order":                func(c *Conversation) { (*c)[pNBirth], (*c)[pNData] = (*c)[pNData], (*c)[pNBirth] },
	"payloads-ddata-order":                func(c *Conversation) { remove(c, pDBirth) },
	"operational-behavior-data-publish-nbirth": func(c *Conversation) {
		edit(*c, pNBirth, removeMetric(sparkplug.NameBacklog))
	},
	"operational-behavior-data-publish-dbirth": func(c *Conversation) { edit(*c, pDBirth, removeMetric("running")) },
	"operational-behavior-data-publish-nbirth-order": func(c *Conversation) {
		edit(*c, pNData, func(p *sparkplug.Payload) { p.Metrics[0].Time = start.Add(-time.Hour) })
	},
	"operational-behavior-data-publish-dbirth-order": func(c *Conversation) {
		edit(*c, pHistory, func(p *sparkplug.Payload) { p.Metrics[0].Historical = false })
	},
	"operational-behavior-data-commands-rebirth-action-1": func(c *Conversation) {
		p := (*c)[pDataAgain]
		p.At = (*c)[pRebirth].At.Add(reaction)
		*c = slices.Insert(*c, pRebirth+1, p)
	},
	"operational-behavior-data-commands-rebirth-action-2": func(c *Conversation) { remove(c, pDBirthTank2) },
	"operational-behavior-data-commands-rebirth-action-3": func(c *Conversation) {
		edit(*c, pNBirth2, func(p *sparkplug.Payload) { metric(p, "bdSeq").Value = telemetry.Uint(0) })
	},
}

// Every requirement finds the conversation that breaks it, so none is unable
// to fail.
func TestEveryRequirementCanFail(t *testing.T) {
	known := make(map[string]bool)
	for _, r := range Requirements() {
		if known[r.ID] || r.Meaning == "" {
			t.Errorf("%s stands twice or without a meaning", r.ID)
		}
		known[r.ID] = true
		t.Run(r.ID, func(t *testing.T) {
			change, ok := breaks[r.ID]
			if !ok {
				t.Fatal("no conversation breaks it")
			}
			c := goodConversation()
			change(&c)
			found := false
			for _, v := range Check(c) {
				t.Log(v)
				found = found || v.ID == r.ID
			}
			if !found {
				t.Error("not found")
			}
		})
	}
	for id := range breaks {
		if !known[id] {
			t.Errorf("%s is no requirement", id)
		}
	}
}

// A rebirth that never comes is found as well as an incomplete one.
func TestRebirthThatNeverComes(t *testing.T) {
	c := goodConversation()[:pRebirth+1]
	vs := Check(c)
	if len(vs) != 1 || vs[0].ID != "operational-behavior-data-commands-rebirth-action-2" {
		t.Errorf("%v", vs)
	}
}

func TestCheckSurvivesRubbish(t *testing.T) {
	for i := range goodConversation() {
		c := goodConversation()
		c[i].Topic, c[i].Payload = "", []byte{0xff}
		Check(c)
		c[i].Kind = 0
		Check(c)
	}
	Check(nil)
	Check(goodConversation()[pNBirth:])
}
