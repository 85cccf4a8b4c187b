package edge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

type node = ast.Node

// document is a config file while it is being read: it gathers faults and
// remembers the line of each key.
type document struct {
	path   string
	lines  map[string]int
	faults Faults
}

func (d *document) fault(key string, line int, format string, args ...any) {
	d.faults = append(d.faults, Fault{File: d.path, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// line returns where key stands, or the nearest key above it that is there.
func (d *document) line(key string) int {
	for ; key != ""; key = parentKey(key) {
		if n, ok := d.lines[key]; ok {
			return n
		}
	}
	return 1
}

func countDocs(f *ast.File) int {
	n := 0
	for _, d := range f.Docs {
		if d.Body != nil {
			n++
		}
	}
	return n
}

// section is one mapping of the file. Keys nobody asked for are faults.
type section struct {
	*document
	key    string
	values map[string]node
	asked  []string
}

// section reads n as a mapping with fn and reports what fn did not ask for.
func (d *document) section(n node, key string, fn func(*section)) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		d.fault(orFile(key), nodeLine(n), "is no mapping; write keys with values under it")
		return
	}
	s := &section{document: d, key: key, values: make(map[string]node, len(pairs))}
	order := make([]string, 0, len(pairs))
	for _, p := range pairs {
		name := p.Key.GetToken().Value
		s.values[name] = p.Value
		d.lines[s.path(name)] = p.Key.GetToken().Position.Line
		order = append(order, name)
	}
	fn(s)
	for _, name := range order {
		if !slices.Contains(s.asked, name) {
			d.fault(s.path(name), d.lines[s.path(name)], "is unknown; use one of %s", strings.Join(s.asked, ", "))
		}
	}
}

func orFile(key string) string {
	if key == "" {
		return "file"
	}
	return key
}

func nodeLine(n node) int {
	if n == nil || n.GetToken() == nil {
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

// scalar returns the text of a key as it stands in the file.
func (s *section) scalar(name string) (string, bool) {
	s.asked = append(s.asked, name)
	n, ok := s.values[name]
	if !ok {
		return "", false
	}
	text, fault := scalarText(n)
	if fault != "" {
		s.wrong(name, "%s", fault)
		return "", false
	}
	return text, true
}

func scalarText(n node) (text, fault string) {
	switch n := n.(type) {
	case *ast.NullNode:
		return "", "has no value; give one or remove the key"
	case *ast.LiteralNode:
		return n.Value.Value, ""
	case ast.ScalarNode:
		if n.GetToken().Value == "" {
			return "", "is empty; give a value or remove the key"
		}
		return n.GetToken().Value, ""
	default:
		return "", "is no single value; anchors, lists and mappings are not allowed here"
	}
}

func (s *section) text(name string, to *string) {
	if v, ok := s.scalar(name); ok {
		*to = v
	}
}

func (s *section) texts(name string, to *[]string) {
	s.list(name, func(i int, n node) {
		key := fmt.Sprintf("%s[%d]", s.path(name), i)
		s.lines[key] = nodeLine(n)
		text, fault := scalarText(n)
		if fault != "" {
			s.fault(key, nodeLine(n), "%s", fault)
		}
		*to = append(*to, text)
	})
}

func (s *section) integer(name string, to *uint64, most uint64) {
	v, ok := s.scalar(name)
	if !ok {
		return
	}
	u, err := strconv.ParseUint(v, 0, 64)
	if err != nil || u > most {
		s.wrong(name, "%q is no number from 0 to %d", v, most)
		return
	}
	*to = u
}

func (s *section) duration(name string, to *time.Duration) {
	v, ok := s.scalar(name)
	if !ok {
		return
	}
	d, err := ParseDuration(v)
	if err != nil {
		s.wrong(name, "%s", err)
		return
	}
	*to = d
}

func (s *section) size(name string, to *int64) {
	v, ok := s.scalar(name)
	if !ok {
		return
	}
	n, err := ParseSize(v)
	if err != nil {
		s.wrong(name, "%s", err)
		return
	}
	*to = n
}

// fraction reads 5% or 0.05.
func (s *section) fraction(name string, to *float64) {
	v, ok := s.scalar(name)
	if !ok {
		return
	}
	number, percent := strings.CutSuffix(v, "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || f != f {
		s.wrong(name, "%q is no share; write 5%% or 0.05", v)
		return
	}
	if percent {
		f /= 100
	}
	*to = f
}

func (s *section) sub(name string, fn func(*section)) {
	s.asked = append(s.asked, name)
	if n, ok := s.values[name]; ok {
		s.section(n, s.path(name), fn)
	}
}

func (s *section) list(name string, fn func(int, node)) {
	s.asked = append(s.asked, name)
	n, ok := s.values[name]
	if !ok {
		return
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		s.wrong(name, "is no list; write entries that start with -")
		return
	}
	for i, n := range seq.Values {
		fn(i, n)
	}
}

// each reads a list of mappings.
func (s *section) each(name string, fn func(*section)) {
	s.list(name, func(i int, n node) {
		key := fmt.Sprintf("%s[%d]", s.path(name), i)
		s.lines[key] = nodeLine(n)
		s.section(n, key, fn)
	})
}
