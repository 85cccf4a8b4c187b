package strictyaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// File is a file while it is read. It gathers faults.
type File struct {
	name     string
	faults   Faults
	places   map[string]place // of each key seen
	reported map[string]bool  // keys with a fault
	columns  bool             // faults carry columns
}

// place is where something stands in a file, counted from 1.
type place struct{ line, column int }

// Node is a value at a place in a file; it may be absent.
type Node struct {
	file  *File
	key   string
	ast   ast.Node // nil: absent
	depth int
}

// Option changes what a file reports.
type Option func(*File)

// WithColumns gives faults their column: for files with several keys a line.
func WithColumns() Option { return func(f *File) { f.columns = true } }

// Parse reads the one document of a file of at most maxBytes. If it cannot be
// read the fault is in Err and the node is absent. A file that is nested
// deeper than 32 levels or has a mapping of more than 1000 keys is refused
// before the parser sees it; Parse then takes about 12 µs a line, 3 s for
// 8 MiB.
func Parse(name string, b []byte, maxBytes int, options ...Option) (*File, Node) {
	f := &File{name: name, places: map[string]place{}, reported: map[string]bool{}}
	for _, o := range options {
		o(f)
	}
	root := Node{file: f}
	if len(b) > maxBytes {
		f.Fault("", "the file has %d bytes: at most %d are read", len(b), maxBytes)
		return f, root
	}
	parsed := f.parse(b)
	if parsed == nil {
		return f, root
	}
	for _, d := range parsed.Docs {
		switch {
		case d.Body == nil:
		case root.ast != nil:
			f.faultAt(entryPlace(d.Body, place{1, 1}), "a second document begins here: keep one")
		default:
			root.ast = d.Body
		}
	}
	if root.ast == nil {
		f.Fault("", "the file is empty")
	}
	return f, root
}

// parse returns the tree of a file, nil with a fault if there is none.
func (f *File) parse(b []byte) (parsed *ast.File) {
	defer func() {
		if p := recover(); p != nil { // third-party code on text from outside
			parsed = nil
			f.Fault("", "is no YAML that can be read (%v)", p)
		}
	}()
	if n := longLine(b); n > 0 {
		f.faultAt(place{n, 1}, fmt.Sprintf("is longer than %d bytes: break the line", maxLine))
		return nil
	}
	tokens := lexer.Tokenize(string(b))
	if t, text := tangled(tokens); t != nil {
		f.faultAt(place{t.Position.Line, t.Position.Column}, text)
		return nil
	}
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.notYAML(err)
		return nil
	}
	return parsed
}

func (f *File) notYAML(err error) {
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
		p := ye.GetToken().Position
		f.faultAt(place{p.Line, p.Column}, "is no YAML: "+ye.GetMessage())
		return
	}
	f.Fault("", "is no YAML: %s", err)
}

// faultAt reports a fault of the file as a whole that has a place.
func (f *File) faultAt(at place, text string) {
	f.reported[""] = true
	f.add(at, "", text)
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
		n.file.places[key] = placeOf(it.Key(), n.file.place(n.key))
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
		n.file.places[key] = entryPlace(v, n.file.place(n.key))
		out = append(out, Node{file: n.file, key: key, ast: present(v), depth: n.depth + 1})
	}
	return out
}

func entryPlace(v ast.Node, otherwise place) place {
	if m, ok := v.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			return placeOf(it.Key(), otherwise)
		}
	}
	return placeOf(v, otherwise)
}

func placeOf(n ast.Node, otherwise place) place {
	if n == nil {
		return otherwise
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return place{t.Position.Line, t.Position.Column}
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
