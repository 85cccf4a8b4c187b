package sparkplug

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/telemetry"
)

func decoded(t *testing.T, m Message) *Payload {
	t.Helper()
	p := new(Payload)
	if err := Decode(m.Payload, p); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTopic(m.Topic.String()); err != nil {
		t.Error(err)
	}
	return p
}

func TestSessionNumbersItsMessages(t *testing.T) {
	s := NewSession("site", "gw", 255)
	death := decoded(t, s.Will(at))
	if n, ok := death.BdSeq(); !ok || n != 255 || death.HasSeq || len(death.Metrics) != 1 {
		t.Errorf("will: %+v", death)
	}
	seq := func(m Message) uint64 {
		p := decoded(t, m)
		if !p.HasSeq || !p.Time.Equal(at) || m.QoS != 0 || m.Retain {
			t.Errorf("%s: %+v", m.Topic, p)
		}
		return p.Seq
	}
	if n := seq(s.NodeBirth(Status{}, at)); n != 0 {
		t.Errorf("NBIRTH: %d", n)
	}
	want := uint64(1)
	for _, m := range []Message{
		s.DeviceBirth("meter", nil, at), s.DeviceData("meter", testReadings(), nil, false, at), s.NodeData(Status{}, at),
		s.Attached("", "event", []byte{1}, false, at), s.Attached("meter", "definition", []byte{1}, true, at), s.DeviceDeath("meter", at),
	} {
		if n := seq(m); n != want {
			t.Errorf("%s: seq %d, want %d", m.Topic, n, want)
		}
		want++
	}
	for range 256 - want {
		s.NodeData(Status{}, at)
	}
	if n := seq(s.NodeData(Status{}, at)); n != 0 {
		t.Errorf("after 255 comes %d", n)
	}
	s.NodeData(Status{}, at)
	birth := decoded(t, s.NodeBirth(Status{}, at))
	if n, ok := birth.BdSeq(); !ok || n != 255 || birth.Seq != 0 {
		t.Errorf("rebirth: bdSeq %d, seq %d", n, birth.Seq)
	}
	if m := s.NodeDeath(at); m.QoS != 1 || m.Retain || decoded(t, m).HasSeq {
		t.Errorf("NDEATH: %+v", m)
	}
	if NextBdSeq(255) != 0 || NextBdSeq(0) != 1 {
		t.Error("bdSeq does not go from 255 to 0")
	}
}

func TestDeviceBirthAnnouncesEveryPoint(t *testing.T) {
	last := testReadings()[0]
	p := decoded(t, NewSession("site", "gw", 0).DeviceBirth("meter", []BirthPoint{
		{Name: "active_power", Type: telemetry.TypeFloat, Unit: "W", Last: &last},
		{Name: "running", Type: telemetry.TypeBool, Unit: "1"},
	}, at))
	want := []Metric{
		{Name: "active_power", Time: last.Time, Type: Double, Value: last.Value, Unit: "W"},
		{Name: "running", Time: at, Type: Boolean, Null: true, Quality: telemetry.Bad, Unit: "1"},
		textMetric("Evidence/Record", "", at),
	}
	if diff := cmp.Diff(want, p.Metrics, ignoreWire); diff != "" {
		t.Error(diff)
	}
}

func TestStatusSurvives(t *testing.T) {
	offset := -1500 * time.Millisecond
	for _, want := range []Status{
		{NextSeq: "9:12;11:4", OldestUnacked: "9:3", KeyID: "00ff", Version: "0.1.0", ClockState: telemetry.Relative,
			ClockOffset: &offset, Backlog: 1 << 60, LastError: "bus 1: no answer"},
		{ClockState: telemetry.Unsynchronised},
		{},
	} {
		s := NewSession("site", "gw", 0)
		for _, m := range []Message{s.NodeBirth(want, at), s.NodeData(want, at)} {
			got, ok := ParseStatus(decoded(t, m))
			if diff := cmp.Diff(want, got); diff != "" || !ok {
				t.Errorf("%s: %v %s", m.Topic, ok, diff)
			}
		}
	}
	if _, ok := ParseStatus(decoded(t, NewSession("site", "gw", 0).Attached("", "event", []byte{1}, false, at))); ok {
		t.Error("a record is taken for a status")
	}
	long := NewSession("site", "gw", 0).NodeData(Status{LastError: strings.Repeat("错", 2000)}, at)
	if got, _ := ParseStatus(decoded(t, long)); len(got.LastError) != 1023 {
		t.Errorf("a long error became %d bytes", len(got.LastError))
	}
}

func TestCommandSurvives(t *testing.T) {
	for _, want := range []Command{
		{Ack: "9:1-200,300;11:4", Reject: "9:201", Replay: "9:202-204", Define: strings.Repeat("ab", 32), Rebirth: true},
		{Ack: strings.Repeat("9", MaxRanges)},
		{Rebirth: true},
		{},
	} {
		m := NewCommand("site", "gw", want, at)
		if m.Topic.String() != CommandFilter("site", "gw") || m.QoS != 0 || m.Retain {
			t.Errorf("%+v", m)
		}
		p := decoded(t, m)
		if p.HasSeq || !p.Time.Equal(at) {
			t.Errorf("%+v", p)
		}
		got, err := ParseCommand(p)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, m := range []Metric{
		{Name: NameAck, Type: UInt64, Value: telemetry.Uint(4), Time: at},
		{Name: NameReplay, Type: String, Null: true, Time: at},
		{Name: NameRebirth, Type: String, Value: telemetry.String("true"), Time: at},
	} {
		if c, err := ParseCommand(&Payload{Metrics: []Metric{m}}); err == nil || !strings.Contains(err.Error(), m.Name) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	c, err := ParseCommand(&Payload{Metrics: []Metric{textMetric("Node Control/Reboot", "now", at)}})
	if err != nil || c != (Command{}) {
		t.Errorf("%+v %v", c, err)
	}
}

func TestState(t *testing.T) {
	for _, s := range []State{{true, at}, {false, at}} {
		got, err := DecodeState(s.Encode())
		if err != nil || got != s {
			t.Errorf("%+v %v", got, err)
		}
	}
	for _, s := range []string{"", "OFFLINE", "{}", `{"online":true}`, `{"online":1,"timestamp":2}`, `{"online":true,"timestamp":-1}`, strings.Repeat(" ", 2000)} {
		if got, err := DecodeState([]byte(s)); err == nil {
			t.Errorf("%s: %+v", s, got)
		}
	}
}
