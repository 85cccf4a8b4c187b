package collector

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// document is a config file while it is read: it gathers faults and remembers
// the line of each key.
type document struct {
	file   string
	lines  map[string]int
	faults Faults
}

func (d *document) fault(key string, line int, format string, args ...any) {
	d.faults = append(d.faults, Fault{d.file, line, key, fmt.Sprintf(format, args...)})
}

// line returns where key stands, or the nearest key above it that is there.
func (d *document) line(key string) int {
	for key != "" {
		if n, ok := d.lines[key]; ok {
			return n
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 1
}

// section is one mapping of the file. Keys nobody asked for are faults.
type section struct {
	*document
	key    string
	values map[string]ast.Node
	asked  []string
}

// mapping reads n with fn and reports what fn did not ask for.
func (d *document) mapping(n ast.Node, key string, fn func(*section)) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.fault(orFile(key), nodeLine(n), "is no mapping: write keys with values under it")
		return
	}
	s := &section{document: d, key: key, values: map[string]ast.Node{}}
	var order []string
	for it := m.MapRange(); it.Next(); {
		t := it.Key().GetToken()
		if t == nil || t.Position == nil {
			continue
		}
		d.lines[s.path(t.Value)] = t.Position.Line
		s.values[t.Value] = it.Value()
		order = append(order, t.Value)
	}
	fn(s)
	for _, name := range order {
		if !slices.Contains(s.asked, name) {
			d.fault(s.path(name), d.lines[s.path(name)], "is unknown: use one of %s", strings.Join(s.asked, ", "))
		}
	}
}

func orFile(key string) string {
	if key == "" {
		return "file"
	}
	return key
}

func nodeLine(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1
	}
	return n.GetToken().Position.Line
}

func (s *section) path(name string) string {
	if s.key == "" {
		return name
	}
	return s.key + "." + name
}

func (s *section) wrong(name, format string, args ...any) {
	s.fault(s.path(name), s.line(s.path(name)), format, args...)
}

func (s *section) sub(name string, fn func(*section)) {
	s.asked = append(s.asked, name)
	if n, ok := s.values[name]; ok {
		s.mapping(n, s.path(name), fn)
	}
}

// text reads one plain value; an absent key leaves *to as it is.
func (s *section) text(name string, to *string) {
	s.asked = append(s.asked, name)
	n, ok := s.values[name]
	if !ok {
		return
	}
	v, ok := scalar(n)
	if !ok {
		s.wrong(name, "has no plain value: give one, or remove the key")
		return
	}
	*to = v
}

func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, n.Value != ""
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

func (s *section) texts(name string, to *[]string) {
	s.asked = append(s.asked, name)
	n, ok := s.values[name]
	if !ok {
		return
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		s.wrong(name, "is no list: write each value on a line that begins with -")
		return
	}
	for i, e := range seq.Values {
		key := fmt.Sprintf("%s[%d]", s.path(name), i)
		s.lines[key] = nodeLine(e)
		v, ok := scalar(e)
		if !ok {
			s.fault(key, nodeLine(e), "has no plain value: give one, or remove the line")
		}
		*to = append(*to, v)
	}
}

func (s *section) integer(name string, to *int, lo, hi int) {
	var v string
	if s.text(name, &v); v == "" {
		return
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		s.wrong(name, "%q is not a whole number from %d to %d", v, lo, hi)
		return
	}
	*to = n
}

func (s *section) duration(name string, to *time.Duration) {
	var v string
	if s.text(name, &v); v == "" {
		return
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		s.wrong(name, "%q is not a duration: write it as 50ms, 10s or 5m", v)
		return
	}
	*to = d
}

// size reads bytes as 64MiB, 10GiB or a plain number.
func (s *section) size(name string, to *int64) {
	var v string
	if s.text(name, &v); v == "" {
		return
	}
	digits, unit := v, int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if d, ok := strings.CutSuffix(v, suffix); ok {
			digits, unit = d, bytes
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/unit {
		s.wrong(name, "%q is not a size: write it as 256MiB or 10GiB", v)
		return
	}
	*to = n * unit
}
