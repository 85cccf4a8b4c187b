package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxText is the longest text value, in bytes.
const maxText = 1024

// reader walks a YAML tree and gathers faults instead of stopping at the
// first. It knows plain mappings, lists and scalars; anchors, aliases, merges
// and tags are refused, so a file says what it means in one place.
type reader struct {
	file   string
	faults Faults
}

// node is a value at a place in the file.
type node struct {
	key   string // path for people
	line  int
	ast   ast.Node // nil: not there
	quiet bool     // what holds it is already reported
}

func (r *reader) fault(n node, format string, args ...any) {
	if n.quiet {
		return
	}
	r.faults = append(r.faults, Fault{File: r.file, Line: n.line, Key: n.key, Text: fmt.Sprintf(format, args...)})
}

// parse returns the root value of the file.
func (r *reader) parse(b []byte) (root node, ok bool) {
	f, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
			r.fault(node{line: ye.GetToken().Position.Line}, "is not YAML: %s", ye.GetMessage())
		} else {
			r.fault(node{}, "is not YAML: %s", err)
		}
		return node{}, false
	}
	var docs []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	switch len(docs) {
	case 0:
		r.fault(node{}, "the file is empty: it needs the key sites")
		return node{}, false
	case 1:
		return node{line: lineOf(docs[0], 1), ast: docs[0]}, true
	default:
		r.fault(node{line: lineOf(docs[1], 1)}, "a second document begins here: a catalog is one document")
		return node{}, false
	}
}

func lineOf(n ast.Node, otherwise int) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return otherwise
}

// object returns the values of a mapping by key and reports unknown and
// repeated keys. Every name in known is in the result; one that is not in
// the file has a nil ast and the line of the mapping.
func (r *reader) object(n node, known ...string) map[string]node {
	out := make(map[string]node, len(known))
	for _, k := range known {
		out[k] = node{key: join(n.key, k), line: n.line}
	}
	if n.ast == nil {
		return out
	}
	m, ok := n.ast.(ast.MapNode)
	if !ok {
		r.fault(n, "must be a mapping with the keys %s", strings.Join(known, ", "))
		for k := range out {
			out[k] = node{key: out[k].key, quiet: true}
		}
		return out
	}
	for it := m.MapRange(); it.Next(); {
		key, val := it.Key(), it.Value()
		at := node{line: lineOf(key, n.line)}
		name, ok := scalarText(key)
		at.key = join(n.key, name)
		switch {
		case !ok:
			at.key = n.key
			r.fault(at, "a key must be a plain word")
		case !slices.Contains(known, name):
			r.fault(at, "unknown key: use one of %s", strings.Join(known, ", "))
		case out[name].ast != nil:
			r.fault(at, "the key is there twice: keep one")
		default:
			if _, null := val.(*ast.NullNode); !null {
				at.ast = val
			}
			out[name] = at
		}
	}
	return out
}

// list returns the entries of a sequence; nothing is an empty list.
func (r *reader) list(n node) []node {
	if n.ast == nil {
		return nil
	}
	s, ok := n.ast.(*ast.SequenceNode)
	if !ok {
		r.fault(n, "must be a list, each entry beginning with -")
		return nil
	}
	out := make([]node, 0, len(s.Values))
	for i, v := range s.Values {
		e := node{key: fmt.Sprintf("%s[%d]", n.key, i), line: lineOf(v, n.line)}
		if m, ok := v.(*ast.MappingNode); ok && len(m.Values) > 0 {
			e.line = lineOf(m.Values[0].Key, e.line)
		}
		if mv, ok := v.(*ast.MappingValueNode); ok {
			e.line = lineOf(mv.Key, e.line)
		}
		if _, null := v.(*ast.NullNode); !null {
			e.ast = v
		}
		out = append(out, e)
	}
	return out
}

// text returns a scalar as it is written; missing is a fault that says what
// the key is for.
func (r *reader) text(n node, purpose string) (string, bool) {
	if n.ast == nil {
		r.fault(n, "is missing: give %s", purpose)
		return "", false
	}
	s, ok := scalarText(n.ast)
	switch {
	case !ok:
		r.fault(n, "must be plain text: give %s", purpose)
		return "", false
	case strings.TrimSpace(s) == "":
		r.fault(n, "is empty: give %s", purpose)
		return "", false
	case len(s) > maxText:
		r.fault(n, "is longer than %d bytes: shorten it", maxText)
		return "", false
	}
	return s, true
}

// optional is text for a key that may be left out.
func (r *reader) optional(n node, purpose string) string {
	if n.ast == nil {
		return ""
	}
	s, _ := r.text(n, purpose)
	return s
}

// number returns a positive, finite decimal.
func (r *reader) number(n node, purpose string) float64 {
	s, ok := r.text(n, purpose)
	if !ok {
		return 0
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 0) || f > 1e12 {
		r.fault(n, "%q is not a number above 0: give %s", s, purpose)
		return 0
	}
	return f
}

// moment reads a date, meaning midnight in zone, or an RFC 3339 time.
func (r *reader) moment(n node, zone *time.Location, purpose string) (time.Time, bool) {
	s, ok := r.text(n, purpose)
	if !ok {
		return time.Time{}, false
	}
	if zone == nil {
		zone = time.UTC // the zone's own fault is already reported
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		r.fault(n, "%q is no date: write 2026-11-23, or a time with its offset as 2026-11-23T14:30:00+08:00", s)
		return time.Time{}, false
	}
	return t.UTC(), true
}

func scalarText(n ast.Node) (string, bool) {
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

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
