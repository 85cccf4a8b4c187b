package sparkplug

import (
	"errors"
	"time"

	"yunhe/internal/telemetry"
)

var errStub = errors.New("not written yet")

type wireValue struct{}

// String returns the name in the specification.
func (d DataType) String() string { return "" }

// Append appends the encoded payload to b; Body comes last.
func (p *Payload) Append(b []byte) []byte { return b }

// Decode decodes b into p, whose memory it reuses. p.Body becomes a part of b.
func Decode(b []byte, p *Payload) error { return errStub }

// Decoder decodes many payloads and keeps the metric names it has seen, so
// that a name is allocated once. Not for concurrent use.
type Decoder struct{}

// Decode decodes b into p, whose memory it reuses. p.Body becomes a part of b.
func (d *Decoder) Decode(b []byte, p *Payload) error { return errStub }

// FromReadings appends one metric a reading to dst.
func FromReadings(dst []Metric, rs []telemetry.Reading, historical bool) []Metric { return dst }

// Readings appends to dst the readings that the metrics are, without Raw, and
// returns what could not become a reading. Point names of foreign nodes are
// as sent.
func (p *Payload) Readings(dst []telemetry.Reading) ([]telemetry.Reading, []Unsupported) {
	return dst, nil
}

// Find returns the first metric of that name, nil if there is none.
func (p *Payload) Find(name string) *Metric { return nil }

// Names of the metrics that Yunhe gives a meaning.
const (
	NameBdSeq         = "bdSeq"
	NameRebirth       = "Node Control/Rebirth"
	NameNextSeq       = "Evidence/Next Seq"
	NameOldestUnacked = "Evidence/Oldest Unacked"
	NameKeyID         = "Evidence/Key ID"
	NameRecord        = "Evidence/Record"
	NameAck           = "Evidence/Ack"
	NameReject        = "Evidence/Reject"
	NameReplay        = "Evidence/Replay"
	NameDefine        = "Evidence/Define"
	NameVersion       = "Agent/Version"
	NameLastError     = "Agent/Last Error"
	NameClockState    = "Clock/State"
	NameClockOffset   = "Clock/Offset ms"
	NameBacklog       = "Journal/Backlog"
)

// Message is one MQTT message, with the QoS and retain flag that the
// specification demands.
type Message struct {
	Topic   Topic
	QoS     byte
	Retain  bool
	Payload []byte
}

// Status is what a gateway tells about itself in NBIRTH and NDATA.
type Status struct {
	NextSeq       string // range set, one number a journal
	OldestUnacked string // range set, one number an epoch
	KeyID         string // hexadecimal
	Version       string
	ClockState    telemetry.ClockState
	ClockOffset   *time.Duration // nil if unknown
	Backlog       uint64         // entries not acknowledged
	LastError     string
}

// ParseStatus reads the status of an NBIRTH or NDATA; what is absent stays
// zero. ok is false if no metric of a status is there.
func ParseStatus(p *Payload) (s Status, ok bool) { return s, false }

// BirthPoint is a point of a device as its DBIRTH announces it.
type BirthPoint struct {
	Name string
	Type telemetry.Type
	Unit telemetry.Unit
	Last *telemetry.Reading // the newest reading; nil before the first
}

// Session numbers and builds the messages of one MQTT session of one edge
// node. Not for concurrent use; the order of calls is the order to publish.
type Session struct{}

// NewSession starts a session. bdSeq is 0 to 255, one more than in the CONNECT
// before (NextBdSeq), and is kept on disk by the caller.
func NewSession(group, node string, bdSeq uint64) *Session { return nil }

// NextBdSeq returns the bdSeq of the next CONNECT.
func NextBdSeq(last uint64) uint64 { return 0 }

// Will returns the NDEATH to register in CONNECT.
func (s *Session) Will(at time.Time) Message { return Message{} }

// NodeBirth returns the NBIRTH; seq starts at 0 again. DBIRTHs of all devices
// follow, then data.
func (s *Session) NodeBirth(st Status, at time.Time) Message { return Message{} }

// NodeData returns an NDATA with the status.
func (s *Session) NodeData(st Status, at time.Time) Message { return Message{} }

// NodeDeath returns the NDEATH to publish before a DISCONNECT.
func (s *Session) NodeDeath(at time.Time) Message { return Message{} }

// DeviceBirth returns the DBIRTH of a device.
func (s *Session) DeviceBirth(device string, points []BirthPoint, at time.Time) Message {
	return Message{}
}

// DeviceDeath returns the DDEATH of a device.
func (s *Session) DeviceDeath(device string, at time.Time) Message { return Message{} }

// DeviceData returns the DDATA of one batch: body is its detached evidence.
func (s *Session) DeviceData(device string, rs []telemetry.Reading, body []byte, historical bool, at time.Time) Message {
	return Message{}
}

// Attached returns the message of one entry that is no batch, body its
// attached form, kind the text of its kind: a DDATA, or an NDATA if device is
// empty.
func (s *Session) Attached(device, kind string, body []byte, historical bool, at time.Time) Message {
	return Message{}
}

// Command is what a collector tells a gateway by NCMD.
type Command struct {
	Ack, Reject, Replay string // range sets
	Define              string // hash of a definition that the collector lacks
	Rebirth             bool
}

// NewCommand returns the NCMD for a gateway.
func NewCommand(group, node string, c Command, at time.Time) Message { return Message{} }

// ParseCommand reads an NCMD; metrics it does not know are ignored, one of
// another type than declared is an error.
func ParseCommand(p *Payload) (Command, error) { return Command{}, errStub }

// CommandFilter returns the filter a gateway subscribes to, at QoS 1.
func CommandFilter(group, node string) string { return "" }

// State is what a host application tells on its STATE topic.
type State struct {
	Online bool
	Time   time.Time
}

// Encode returns the JSON form, to be published at QoS 1, retained.
func (s State) Encode() []byte { return nil }

// DecodeState reads the JSON form.
func DecodeState(b []byte) (State, error) { return State{}, errStub }
