package strictyaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxDepth bounds the nesting of a file, far above any file of ours.
const maxDepth = 32

// File is a file while it is read. It gathers faults.
type File struct {
	name     string
	faults   Faults
	lines    map[string]int  // line of each key seen
	reported map[string]bool // keys with a fault
}

// Node is a value at a place in a file; it may be absent.
type Node struct {
	file  *File
	key   string
	ast   ast.Node // nil: absent
	depth int
}

// Parse reads the one document of a file of at most maxBytes. If it cannot be
// read the fault is in Err and the node is absent.
func Parse(name string, b []byte, maxBytes int) (*File, Node) {
	f := &File{name: name, lines: map[string]int{}, reported: map[string]bool{}}
	root := Node{file: f}
	if len(b) > maxBytes {
		f.Fault("", "the file has %d bytes: at most %d are read", len(b), maxBytes)
		return f, root
	}
	parsed, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.notYAML(err)
		return f, root
	}
	for _, d := range parsed.Docs {
		switch {
		case d.Body == nil:
		case root.ast != nil:
			f.faultLine(lineOf(d.Body, 1), "a second document begins here: keep one")
		default:
			root.ast = d.Body
		}
	}
	if root.ast == nil {
		f.Fault("", "the file is empty")
	}
	return f, root
}

func (f *File) notYAML(err error) {
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
		f.faultLine(ye.GetToken().Position.Line, "is no YAML: "+ye.GetMessage())
		return
	}
	f.Fault("", "is no YAML: %s", err)
}

func (f *File) faultLine(line int, text string) {
	f.reported[""] = true
	f.faults = append(f.faults, Fault{File: f.name, Line: line, Text: text})
}

// Present reports whether there is a value.
func (n Node) Present() bool { return n.ast != nil }

// Key is the path of the node for people, e.g. buses[1].address.
func (n Node) Key() string { return n.key }

// Fault reports a fault at this node.
func (n Node) Fault(format string, args ...any) { n.file.Fault(n.key, format, args...) }

// Object is a mapping: its values by key.
type Object struct {
	node   Node
	values map[string]Node
	order  []string
}

// Object reads the node as a mapping whose keys are all in known; an unknown
// or repeated key is a fault. With no known keys every key is allowed. An
// absent node is an empty object.
func (n Node) Object(known ...string) Object {
	o := Object{node: n, values: map[string]Node{}}
	if n.ast == nil {
		return o
	}
	m, ok := n.ast.(ast.MapNode)
	if !ok {
		n.Fault("must be a mapping: write keys with values under it%s", hint(known))
		return o
	}
	if n.depth >= maxDepth {
		n.Fault("is nested deeper than %d levels", maxDepth)
		return o
	}
	for it := m.MapRange(); it.Next(); {
		name, ok := scalar(it.Key())
		if !ok {
			n.Fault("has a key that is no plain word")
			continue
		}
		key := join(n.key, name)
		_, twice := o.values[name]
		n.file.lines[key] = lineOf(it.Key(), n.file.line(n.key))
		switch {
		case twice:
			n.file.Fault(key, "is there twice: keep one")
		case len(known) > 0 && !slices.Contains(known, name):
			n.file.Fault(key, "is no known key%s", hint(known))
		default:
			o.values[name] = Node{file: n.file, key: key, ast: present(it.Value()), depth: n.depth + 1}
			o.order = append(o.order, name)
		}
	}
	return o
}

func hint(known []string) string {
	if len(known) == 0 {
		return ""
	}
	return ": use " + strings.Join(known, ", ")
}

// At returns the value of a key, absent if it is not there.
func (o Object) At(key string) Node {
	if n, ok := o.values[key]; ok {
		return n
	}
	return Node{file: o.node.file, key: join(o.node.key, key), depth: o.node.depth + 1}
}

// Keys returns the keys that are there, in the order of the file.
func (o Object) Keys() []string { return o.order }

// List reads the node as a sequence; an absent node is an empty list.
func (n Node) List() []Node {
	if n.ast == nil {
		return nil
	}
	s, ok := n.ast.(*ast.SequenceNode)
	if !ok {
		n.Fault("must be a list: begin each entry with -")
		return nil
	}
	out := make([]Node, 0, len(s.Values))
	for i, v := range s.Values {
		key := fmt.Sprintf("%s[%d]", n.key, i)
		n.file.lines[key] = entryLine(v, n.file.line(n.key))
		out = append(out, Node{file: n.file, key: key, ast: present(v), depth: n.depth + 1})
	}
	return out
}

func entryLine(v ast.Node, otherwise int) int {
	if m, ok := v.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			return lineOf(it.Key(), otherwise)
		}
	}
	return lineOf(v, otherwise)
}

func lineOf(n ast.Node, otherwise int) int {
	if n == nil {
		return otherwise
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return otherwise
}

// present turns an explicit null into an absent value.
func present(n ast.Node) ast.Node {
	if _, null := n.(*ast.NullNode); null {
		return nil
	}
	return n
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
