package profile

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Sentinel is a raw value by which a device says "not available". It is
// compared before any scaling; a number also with the whole word when the
// point is a bit field of it.
type Sentinel struct {
	kind sentinelKind
	word uint64 // two's complement when negative
}

type sentinelKind uint8

const (
	sentinelWord sentinelKind = iota
	sentinelNegative
	sentinelNaN   // any NaN of a float register
	sentinelEmpty // a text of NULs and spaces alone
)

// ErrNotAvailable is what decoding gives for a sentinel.
var ErrNotAvailable = errors.New("the device says: not available")

// ParseSentinel reads nan, empty, -9999, 65535 or 0xFFFF.
func ParseSentinel(s string) (Sentinel, error) {
	switch {
	case s == "nan":
		return Sentinel{kind: sentinelNaN}, nil
	case s == "empty":
		return Sentinel{kind: sentinelEmpty}, nil
	case strings.HasPrefix(s, "-"):
		if i, err := strconv.ParseInt(s, 10, 64); err == nil && i < 0 {
			return Sentinel{sentinelNegative, uint64(i)}, nil
		}
	default:
		if u, err := strconv.ParseUint(s, 0, 64); err == nil {
			return Sentinel{sentinelWord, u}, nil
		}
	}
	return Sentinel{}, fmt.Errorf("%q is not a raw value: use a whole number such as 0x8000 or -9999, nan or empty", s)
}

// String writes s in the form ParseSentinel reads.
func (s Sentinel) String() string {
	switch s.kind {
	case sentinelNaN:
		return "nan"
	case sentinelEmpty:
		return "empty"
	case sentinelNegative:
		return strconv.FormatInt(int64(s.word), 10)
	default:
		return fmt.Sprintf("0x%X", s.word)
	}
}

// fits reports whether s can occur in the operand at all.
func (s Sentinel) fits(o operand) bool {
	switch s.kind {
	case sentinelNaN:
		return o.typ.float()
	case sentinelEmpty:
		return o.typ.text()
	case sentinelNegative:
		return o.typ.signed() && int64(s.word) >= -1<<(o.width()-1)
	default:
		return !o.typ.text() && s.word <= mask(8*o.size)
	}
}

// hits reports whether raw is the sentinel.
func (s Sentinel) hits(o operand, raw []byte) bool {
	if !s.fits(o) || len(raw) != o.size {
		return false
	}
	switch s.kind {
	case sentinelNaN:
		return math.IsNaN(o.binary(raw))
	case sentinelEmpty:
		return strings.Trim(string(raw), "\x00 ") == ""
	case sentinelNegative:
		return o.field(o.word(raw)) == s.word&mask(o.width())
	default:
		w := o.word(raw)
		return w == s.word || (o.bits != nil && o.field(w) == s.word)
	}
}
