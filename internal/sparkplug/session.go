package sparkplug

import (
	"time"

	"yunhe/internal/telemetry"
)

// Message is one MQTT message, with the QoS and retain flag that the
// specification demands.
type Message struct {
	Topic   Topic
	QoS     byte
	Retain  bool
	Payload []byte
}

// BirthPoint is a point of a device as its DBIRTH announces it.
type BirthPoint struct {
	Name string
	Type telemetry.Type
	Unit telemetry.Unit
	Last *telemetry.Reading // the newest reading; nil before the first
}

// Session numbers and builds the messages of one MQTT session of one edge
// node. Not for concurrent use; the order of calls is the order to publish.
type Session struct {
	group, node string
	bdSeq       uint64
	seq         uint8 // of the next message
}

// NewSession starts a session. bdSeq is 0 to 255, one more than in the CONNECT
// before (NextBdSeq), and is kept on disk by the caller.
func NewSession(group, node string, bdSeq uint64) *Session {
	return &Session{group: group, node: node, bdSeq: bdSeq & 0xff}
}

// NextBdSeq returns the bdSeq of the next CONNECT; 0 follows 255. The very
// first CONNECT has 0.
func NextBdSeq(last uint64) uint64 { return (last + 1) & 0xff }

// CommandFilter returns the filter of a gateway's commands, to subscribe to at
// QoS 1.
func (s *Session) CommandFilter() string { return CommandFilter(s.group, s.node) }

// CommandFilter returns the filter of a gateway's commands.
func CommandFilter(group, node string) string {
	return Topic{Group: group, Type: NCMD, Node: node}.String()
}

// Will returns the NDEATH to register in CONNECT; the broker publishes it when
// the gateway is gone.
func (s *Session) Will(at time.Time) Message { return s.NodeDeath(at) }

// NodeDeath returns the NDEATH to publish before a DISCONNECT. The
// specification names no QoS for it: the one of the will serves.
func (s *Session) NodeDeath(at time.Time) Message {
	p := Payload{Time: at, Metrics: []Metric{bdSeqMetric(s.bdSeq, at)}}
	m := s.message(NDEATH, "", &p)
	m.QoS = 1
	return m
}

func bdSeqMetric(n uint64, at time.Time) Metric {
	return Metric{Name: NameBdSeq, Time: at, Type: Int64, Value: telemetry.Uint(n)}
}

// NodeBirth returns the NBIRTH; seq starts at 0 again. DBIRTHs of all devices
// follow, then data. After a rebirth command the same order is sent again,
// with the same bdSeq.
func (s *Session) NodeBirth(st Status, at time.Time) Message {
	s.seq = 0
	p := Payload{Metrics: []Metric{
		bdSeqMetric(s.bdSeq, at),
		{Name: NameRebirth, Time: at, Type: Boolean, Value: telemetry.Bool(false)},
	}}
	// What may be written or sent later is declared with an empty text: some
	// readers refuse a null in a birth.
	for _, name := range []string{NameAck, NameReject, NameReplay, NameDefine, NameRecord} {
		p.Metrics = append(p.Metrics, textMetric(name, "", at))
	}
	p.Metrics = st.append(p.Metrics, at)
	return s.numbered(NBIRTH, "", &p, at)
}

// NodeData returns an NDATA with the status.
func (s *Session) NodeData(st Status, at time.Time) Message {
	return s.numbered(NDATA, "", &Payload{Metrics: st.append(nil, at)}, at)
}

// DeviceBirth returns the DBIRTH of a device.
func (s *Session) DeviceBirth(device string, points []BirthPoint, at time.Time) Message {
	p := Payload{Metrics: make([]Metric, 0, len(points)+1)}
	for _, point := range points {
		m := Metric{Name: point.Name, Time: at, Type: DataTypeOf(point.Type), Unit: string(point.Unit), Null: true, Quality: telemetry.Bad}
		if r := point.Last; r != nil {
			m.Time, m.Value, m.Null, m.Quality = r.Time, r.Value, r.Value.IsZero(), r.Quality
		}
		p.Metrics = append(p.Metrics, m)
	}
	p.Metrics = append(p.Metrics, textMetric(NameRecord, "", at))
	return s.numbered(DBIRTH, device, &p, at)
}

// DeviceDeath returns the DDEATH of a device.
func (s *Session) DeviceDeath(device string, at time.Time) Message {
	return s.numbered(DDEATH, device, &Payload{}, at)
}

// DeviceData returns the DDATA of one batch: body is its detached evidence.
func (s *Session) DeviceData(device string, rs []telemetry.Reading, body []byte, historical bool, at time.Time) Message {
	p := Payload{Metrics: FromReadings(make([]Metric, 0, len(rs)), rs, historical), Body: body}
	return s.numbered(DDATA, device, &p, at)
}

// Attached returns the message of one entry that is no batch, body its
// attached form, kind the text of its kind: a DDATA, or an NDATA if device is
// empty.
func (s *Session) Attached(device, kind string, body []byte, historical bool, at time.Time) Message {
	m := textMetric(NameRecord, kind, at)
	m.Historical = historical
	p := Payload{Metrics: []Metric{m}, Body: body}
	if device == "" {
		return s.numbered(NDATA, "", &p, at)
	}
	return s.numbered(DDATA, device, &p, at)
}

// numbered gives the payload its time and the next seq.
func (s *Session) numbered(t MessageType, device string, p *Payload, at time.Time) Message {
	p.Time, p.Seq, p.HasSeq = at, uint64(s.seq), true
	s.seq++ // 0 follows 255
	return s.message(t, device, p)
}

func (s *Session) message(t MessageType, device string, p *Payload) Message {
	topic := Topic{Group: s.group, Type: t, Node: s.node, Device: device}
	return Message{Topic: topic, Payload: p.Append(make([]byte, 0, p.sizeHint()))}
}

// sizeHint is a little more than the encoded size of p.
func (p *Payload) sizeHint() int {
	n := 32 + len(p.Body)
	for i := range p.Metrics {
		m := &p.Metrics[i]
		n += 32 + len(m.Name) + len(m.Unit)
		if m.Quality != telemetry.Good || m.Unit != "" {
			n += 48
		}
		if s, ok := m.Value.AsString(); ok {
			n += len(s)
		}
	}
	return n
}

func textMetric(name, value string, at time.Time) Metric {
	return Metric{Name: name, Time: at, Type: String, Value: telemetry.String(value)}
}
