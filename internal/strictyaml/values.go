package strictyaml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// maxText is the longest text value, in bytes.
const maxText = 4096

// Text returns a scalar as it is written. If it is missing or empty that is a
// fault; purpose says what to give, e.g. "the id of this gateway".
func (n Node) Text(purpose string) (s string, ok bool) {
	if n.ast == nil {
		n.Fault("is missing: give %s", purpose)
		return "", false
	}
	s, ok = scalar(n.ast)
	switch {
	case !ok:
		n.Fault("must be a single value: give %s", purpose)
	case strings.TrimSpace(s) == "":
		n.Fault("is empty: give %s", purpose)
	case len(s) > maxText:
		n.Fault("is longer than %d bytes: shorten it", maxText)
	default:
		return s, true
	}
	return "", false
}

// Into reads a text that may be left out into to, which keeps its value then.
func (n Node) Into(to *string, purpose string) {
	if n.ast == nil {
		return
	}
	if s, ok := n.Text(purpose); ok {
		*to = s
	}
}

// Texts reads a list of texts into to; absent leaves it as it is.
func (n Node) Texts(to *[]string, purpose string) {
	for _, e := range n.List() {
		if s, ok := e.Text(purpose); ok {
			*to = append(*to, s)
		}
	}
}

// Bool reads true or false into to; absent leaves it as it is.
func (n Node) Bool(to *bool) {
	if n.ast == nil {
		return
	}
	switch s, _ := scalar(n.ast); s {
	case "true":
		*to = true
	case "false":
		*to = false
	default:
		n.Fault("%q is neither true nor false", s)
	}
}

// Uint reads a whole number from lo to hi, decimal or 0x…, into to; absent
// leaves it as it is.
func (n Node) Uint(to *uint64, lo, hi uint64) {
	n.Parse(func(s string) error {
		u, err := parseUint(s)
		if err != nil || u < lo || u > hi {
			return fmt.Errorf("%q is no whole number from %d to %d", s, lo, hi)
		}
		*to = u
		return nil
	})
}

// parseUint reads decimal or 0x…. Leading zeros are refused: to some readers
// they are octal.
func parseUint(s string) (uint64, error) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strconv.ParseUint(hex, 16, 64)
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 10, 64)
}

// Number reads a finite decimal from lo to hi into to; absent leaves it.
func (n Node) Number(to *float64, lo, hi float64) {
	n.Parse(func(s string) error {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || f < lo || f > hi {
			return fmt.Errorf("%q is no number from %g to %g", s, lo, hi)
		}
		*to = f
		return nil
	})
}

// Duration reads a period (500ms, 10s, 15m, 24h, 7d) into to; absent leaves it.
func (n Node) Duration(to *time.Duration) {
	n.Parse(func(s string) error {
		d, err := ParseDuration(s)
		if err == nil {
			*to = d
		}
		return err
	})
}

// Size reads a number of bytes (512MB, 2GiB) into to; absent leaves it.
func (n Node) Size(to *int64) {
	n.Parse(func(s string) error {
		b, err := ParseSize(s)
		if err == nil {
			*to = b
		}
		return err
	})
}

// Parse hands the text of a value that is there to fn; its error is a fault.
func (n Node) Parse(fn func(string) error) {
	if n.ast == nil {
		return
	}
	if s, ok := n.Text("a value or remove the key"); ok {
		if err := fn(s); err != nil {
			n.Fault("%s", err)
		}
	}
}

// ParseDuration reads Go's syntax for periods (100ms, 90s, 1h30m) and whole
// days (7d); negative periods are refused.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is no period: write 500ms, 10s, 15m, 24h or 7d", s)
}

// ParseSize reads a number of bytes: 64MB (10^6), 64MiB (2^20); units are B,
// kB, MB, GB, KiB, MiB, GiB.
func ParseSize(s string) (int64, error) {
	units := []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("%q is no size: write a whole number with a unit, such as 512MB or 2GiB", s)
}

// scalar returns the text of a plain value as it is written.
func scalar(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		if v.Value == nil {
			return "", false
		}
		return strings.TrimRight(v.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if t := n.GetToken(); t != nil {
			return t.Value, true
		}
	}
	return "", false
}
