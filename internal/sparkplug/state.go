package sparkplug

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"yunhe/internal/telemetry"
)

// maxState bounds the JSON of a STATE message, in bytes.
const maxState = 1024

// State is what a host application tells on its STATE topic.
type State struct {
	Online bool
	// Time is that of the CONNECT, in will and birth alike.
	Time time.Time
}

type stateForm struct {
	Online    *bool  `json:"online"`
	Timestamp *int64 `json:"timestamp"`
}

// Encode returns the JSON form, to be published at QoS 1, retained.
func (s State) Encode() []byte {
	return fmt.Appendf(nil, `{"online":%t,"timestamp":%d}`, s.Online, telemetry.Millis(s.Time))
}

// DecodeState reads the JSON form.
func DecodeState(b []byte) (State, error) {
	if len(b) > maxState {
		return State{}, fmt.Errorf("decode state: %d bytes, at most %d are accepted", len(b), maxState)
	}
	var form stateForm
	if err := json.Unmarshal(b, &form); err != nil {
		return State{}, fmt.Errorf("decode state: %w", err)
	}
	if form.Online == nil || form.Timestamp == nil || *form.Timestamp < 0 || *form.Timestamp > maxMillis {
		return State{}, errors.New("decode state: online and timestamp (ms since 1970) are needed")
	}
	return State{*form.Online, telemetry.FromMillis(*form.Timestamp)}, nil
}
