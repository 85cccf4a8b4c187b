package sparkplug

import (
	"strings"
	"time"

	"yunhe/internal/telemetry"
)

// Names of the metrics that Yunhe gives a meaning.
const (
	evidencePrefix = "Evidence/"

	NameBdSeq         = "bdSeq"
	NameRebirth       = "Node Control/Rebirth"
	NameNextSeq       = evidencePrefix + "Next Seq"
	NameOldestUnacked = evidencePrefix + "Oldest Unacked"
	NameKeyID         = evidencePrefix + "Key ID"
	NameRecord        = evidencePrefix + "Record"
	NameAck           = evidencePrefix + "Ack"
	NameReject        = evidencePrefix + "Reject"
	NameReplay        = evidencePrefix + "Replay"
	NameDefine        = evidencePrefix + "Define"
	NameVersion       = "Agent/Version"
	NameLastError     = "Agent/Last Error"
	NameClockState    = "Clock/State"
	NameClockOffset   = "Clock/Offset ms"
	NameBacklog       = "Journal/Backlog"
)

// maxLastError bounds the text of the last error, in bytes.
const maxLastError = 1024

// Status is what a gateway tells about itself in NBIRTH and NDATA. It is not
// signed.
type Status struct {
	NextSeq       string // range set, one number a journal
	OldestUnacked string // range set, one number an epoch
	KeyID         string // hexadecimal
	Version       string
	ClockState    telemetry.ClockState
	ClockOffset   *time.Duration // nil if unknown; whole milliseconds on the wire
	Backlog       uint64         // entries not acknowledged
	LastError     string
}

func (s Status) append(ms []Metric, at time.Time) []Metric {
	clock := ""
	if s.ClockState.Valid() {
		clock = s.ClockState.String()
	}
	offset := Metric{Name: NameClockOffset, Time: at, Type: Double, Null: true, Quality: telemetry.Bad}
	if s.ClockOffset != nil {
		offset.Null, offset.Quality = false, telemetry.Good
		offset.Value = telemetry.Float(float64(s.ClockOffset.Milliseconds()))
	}
	lastError := s.LastError
	if len(lastError) > maxLastError {
		lastError = lastError[:maxLastError]
	}
	return append(ms,
		textMetric(NameNextSeq, s.NextSeq, at),
		textMetric(NameOldestUnacked, s.OldestUnacked, at),
		textMetric(NameKeyID, s.KeyID, at),
		textMetric(NameVersion, s.Version, at),
		textMetric(NameLastError, strings.ToValidUTF8(lastError, ""), at),
		textMetric(NameClockState, clock, at),
		offset,
		Metric{Name: NameBacklog, Time: at, Type: UInt64, Value: telemetry.Uint(s.Backlog)},
	)
}

// ParseStatus reads the status of an NBIRTH or NDATA; what is absent or of
// another type stays zero. ok is false if no metric of a status is there.
func ParseStatus(p *Payload) (s Status, ok bool) {
	for i := range p.Metrics {
		m := &p.Metrics[i]
		text, isText := m.Value.AsString()
		known := true
		switch m.Name {
		case NameNextSeq:
			s.NextSeq = text
		case NameOldestUnacked:
			s.OldestUnacked = text
		case NameKeyID:
			s.KeyID = text
		case NameVersion:
			s.Version = text
		case NameLastError:
			s.LastError = text
		case NameClockState:
			if c := telemetry.ClockState(append([]byte(text), 0)[0]); isText && len(text) == 1 && c.Valid() {
				s.ClockState = c
			}
		case NameClockOffset:
			// Beyond 292 years a Duration overflows; such an offset says nothing.
			if ms, isFloat := m.Value.AsFloat(); isFloat && ms > -9e12 && ms < 9e12 {
				offset := time.Duration(ms) * time.Millisecond
				s.ClockOffset = &offset
			}
		case NameBacklog:
			s.Backlog, _ = m.Value.AsUint()
		default:
			known = false
		}
		ok = ok || known
	}
	return s, ok
}
