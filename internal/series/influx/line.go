package influx

import (
	"strconv"
	"strings"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// Escapes of line protocol. A backslash stands for itself unless it comes
// before one of the escaped characters; the contract refuses names that end in
// one.
var (
	measurementEscaper = strings.NewReplacer(`,`, `\,`, ` `, `\ `)
	nameEscaper        = strings.NewReplacer(`,`, `\,`, `=`, `\=`, ` `, `\ `)
	textEscaper        = strings.NewReplacer(`"`, `\"`, `\`, `\\`)
)

// appendLine appends r as one line, without a line end. With explicit set, a
// good quality and a good clock are written too, over what may stand there.
func appendLine(b []byte, r *series.Row, explicit bool) []byte {
	d := &r.Device
	b = append(b, measurementEscaper.Replace(d.Measurement())...)
	b = append(b, ",device="...)
	b = append(b, nameEscaper.Replace(d.ID)...)
	b = append(b, ",gateway="...)
	b = append(b, nameEscaper.Replace(d.Gateway)...)
	b = append(b, ",site="...)
	b = append(b, nameEscaper.Replace(d.Site)...)
	sep := byte(' ')
	for i := range r.Fields {
		f := &r.Fields[i]
		name := nameEscaper.Replace(f.Point)
		if !f.Value.IsZero() {
			b = append(b, sep)
			b = append(b, name...)
			b = appendValue(append(b, '='), f.Value)
			sep = ','
		}
		if f.Quality != telemetry.Good || explicit {
			b = append(b, sep)
			b = append(b, name...)
			b = append(b, series.QualitySuffix...)
			b = append(b, '=')
			b = strconv.AppendUint(b, uint64(f.Quality), 10)
			b = append(b, 'i')
			sep = ','
		}
	}
	if r.ClockFailed || explicit {
		b = append(b, sep)
		b = append(b, series.ClockField+"="...)
		b = strconv.AppendBool(b, r.ClockFailed)
	}
	b = append(b, ' ')
	return strconv.AppendInt(b, telemetry.Millis(r.Time), 10)
}

func appendValue(b []byte, v telemetry.Value) []byte {
	if n, ok := v.Number(); ok {
		return strconv.AppendFloat(b, n, 'g', -1, 64)
	}
	if on, ok := v.AsBool(); ok {
		return strconv.AppendBool(b, on)
	}
	s, _ := v.AsString()
	b = append(b, '"')
	b = append(b, textEscaper.Replace(s)...)
	return append(b, '"')
}
