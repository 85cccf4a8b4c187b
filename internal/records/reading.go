package records

import (
	"encoding/json"
	"fmt"

	"yunhe/internal/telemetry"
)

// wireReading is the JSON form of a Reading: the value's type is written, so
// that a uint stays a uint.
type wireReading struct {
	Point   string          `json:"point"`
	Type    string          `json:"type,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
	Quality string          `json:"quality"`
}

// MarshalJSON writes {"point","type","value","quality"}; type and value are
// missing when there is no value.
func (r Reading) MarshalJSON() ([]byte, error) {
	w := wireReading{Point: r.Point, Quality: r.Quality.String()}
	if !r.Value.IsZero() {
		w.Type = r.Value.Type().String()
		v, err := json.Marshal(plain(r.Value))
		if err != nil {
			return nil, fmt.Errorf("encode point %s: %w", r.Point, err)
		}
		w.Value = v
	}
	return json.Marshal(w)
}

// plain returns the Go value inside v.
func plain(v telemetry.Value) any {
	switch v.Type() {
	case telemetry.TypeUint:
		u, _ := v.AsUint()
		return u
	case telemetry.TypeBool:
		b, _ := v.AsBool()
		return b
	case telemetry.TypeString:
		s, _ := v.AsString()
		return s
	default:
		f, _ := v.AsFloat()
		return f
	}
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *Reading) UnmarshalJSON(b []byte) error {
	var w wireReading
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	q, err := telemetry.ParseQuality(w.Quality)
	if err != nil {
		return fmt.Errorf("decode point %s: %w", w.Point, err)
	}
	v, err := parseValue(w.Type, w.Value)
	if err != nil {
		return fmt.Errorf("decode point %s: %w", w.Point, err)
	}
	*r = Reading{Point: w.Point, Value: v, Quality: q}
	return nil
}

// parseValue reads a value of the named type; no type is no value.
func parseValue(typ string, raw json.RawMessage) (telemetry.Value, error) {
	var err error
	switch typ {
	case "":
		return telemetry.Value{}, nil
	case telemetry.TypeFloat.String():
		var f float64
		err = json.Unmarshal(raw, &f)
		return telemetry.Float(f), err
	case telemetry.TypeUint.String():
		var u uint64
		err = json.Unmarshal(raw, &u)
		return telemetry.Uint(u), err
	case telemetry.TypeBool.String():
		var b bool
		err = json.Unmarshal(raw, &b)
		return telemetry.Bool(b), err
	case telemetry.TypeString.String():
		var s string
		err = json.Unmarshal(raw, &s)
		return telemetry.String(s), err
	default:
		return telemetry.Value{}, fmt.Errorf("type %q is not float, uint, bool or string", typ)
	}
}
