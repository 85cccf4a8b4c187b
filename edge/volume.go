package edge

import (
	"fmt"
	"time"

	"yunhe/edge/internal/poll"
	"yunhe/internal/evidence"
	"yunhe/internal/profile"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// What a message costs beside its payload, in bytes.
const (
	mqttHeader = 5  // fixed header and length of the topic
	tlsRecord  = 22 // TLS 1.3: header, type, tag
	tcpSegment = 52 // IPv4 and TCP with timestamps; its acknowledgement costs the same
	perMessage = mqttHeader + tlsRecord + 2*tcpSegment
	// ackPayload is an NCMD with one range.
	ackPayload = 75
	pings      = 2 * (2 + tlsRecord + tcpSegment + tcpSegment/2)
)

// volume measures messages by making them, with a key of its own.
type volume struct {
	cfg   Config
	key   *evidence.PrivateKey
	wire  *sparkplug.Session
	topic int
}

func newVolume(cfg Config) (*volume, error) {
	key, err := evidence.NewKeyFromSeed(make([]byte, 32)) // signs nothing that leaves this process
	if err != nil {
		return nil, err
	}
	wire := sparkplug.NewSession(cfg.Site, cfg.Gateway, 0)
	wire.NodeBirth(sparkplug.Status{}, sampleTime())
	return &volume{cfg: cfg, key: key, wire: wire, topic: len(sparkplug.CommandFilter(cfg.Site, cfg.Gateway))}, nil
}

// sampleTime is a time of the usual length.
func sampleTime() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// sample returns rows readings of the points, in turn.
func sample(points []*profile.Point, rows int) []telemetry.Reading {
	out := make([]telemetry.Reading, rows)
	for i := range out {
		p := points[i%len(points)]
		r := telemetry.Reading{Point: p.Name, Type: p.Type(), Time: sampleTime().Add(time.Duration(i/len(points)) * time.Minute)}
		switch p.Type() {
		case telemetry.TypeFloat:
			r.Value = telemetry.Float(1234.5678)
		case telemetry.TypeUint:
			r.Value = telemetry.Uint(123456)
		case telemetry.TypeBool:
			r.Value = telemetry.Bool(true)
		default:
			r.Value = telemetry.String("AAAAAAAA")
		}
		if p.Class() == telemetry.Counter {
			r.Raw = make([]byte, 4)
		}
		out[i] = r
	}
	telemetry.SortReadings(out)
	return out
}

// message returns the bytes on the link of one batch of rows readings of the
// points, and of its acknowledgement.
func (v *volume) message(device string, points []*profile.Point, rows int) (float64, error) {
	offset := time.Millisecond
	e, err := v.key.Sign(evidence.Content{
		Kind: evidence.KindBatch, JID: evidence.MaxNumber, JSeq: 100_000, Prev: evidence.Hash{1}, DefHash: evidence.Hash{2},
		Recorded: sampleTime(), Clock: telemetry.Clock{State: telemetry.Synchronised, Offset: &offset, Mono: 1000 * time.Hour},
		Readings: sample(points, rows),
	})
	if err != nil {
		return 0, fmt.Errorf("estimate volume: %w", err)
	}
	body, err := e.Detached()
	if err != nil {
		return 0, fmt.Errorf("estimate volume: %w", err)
	}
	m := v.wire.DeviceData(device, e.Content.Readings, body, false, sampleTime())
	return float64(len(m.Payload)+len(m.Topic.String())+perMessage) + v.ack(), nil
}

func (v *volume) ack() float64 { return float64(ackPayload + v.topic + perMessage) }

// gathered returns the bytes a day of the batches of a metered link, every one
// as full as it may be.
func (v *volume) gathered(d resolved) (float64, error) {
	o := poll.Selection(d.profile, d.Points)
	o.Counters = profile.NoCounters
	pl, err := d.profile.Plan(o)
	if err != nil {
		return 0, err
	}
	gauges := pl.Points()
	if len(gauges) == 0 {
		return 0, nil
	}
	bytes, err := v.message(d.ID, gauges, max(len(gauges), v.cfg.Link.MaxRows))
	return bytes * float64(24*time.Hour) / float64(v.cfg.Link.Batch), err
}

// gateway returns the megabytes a month of status and keep-alive.
func (v *volume) gateway() float64 {
	status, ping := time.Minute, 30*time.Second
	if v.cfg.Link.Kind == Metered {
		status, ping = time.Hour, 15*time.Minute
	}
	m := v.wire.NodeData(sparkplug.Status{
		NextSeq: "9007199254740991:100000;9007199254740991:1000", OldestUnacked: "9007199254740991:100000", KeyID: "00112233445566778899aabbccddeeff",
		Version: "v1.0.0", ClockState: telemetry.Synchronised,
	}, sampleTime())
	one := float64(len(m.Payload) + len(m.Topic.String()) + perMessage)
	return (one*float64(month/status) + pings*float64(month/ping)) / 1e6
}
