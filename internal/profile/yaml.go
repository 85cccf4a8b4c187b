package profile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxText bounds a profile: the longest known one has under 64 KiB.
const maxText = 256 << 10

// reader walks a YAML tree by hand, so that it can report every fault with
// its place instead of the first one.
type reader struct {
	file   string
	faults Faults
	place  placeMap // of every key met, for faults found later
	broken map[string]bool
}

type placeMap map[string]token.Position

// fault notes what is wrong at node n.
func (r *reader) fault(n ast.Node, key, format string, args ...any) {
	f := Fault{File: r.file, Key: key, Text: fmt.Sprintf(format, args...)}
	if t := nodeToken(n); t != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	r.faults = append(r.faults, f)
	if r.broken == nil {
		r.broken = map[string]bool{}
	}
	r.broken[key] = true
}

// told reports whether a key, or what it is part of, has a fault already:
// what follows from that would only be noise.
func (r *reader) told(key string) bool {
	for ; key != ""; key = parent(key) {
		if r.broken[key] {
			return true
		}
	}
	return false
}

func parent(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }

// faultAt notes what is wrong at a key that was met before.
func (r *reader) faultAt(key, text string) {
	f := Fault{File: r.file, Key: key, Text: text}
	for k := key; ; k = parent(k) {
		if p, ok := r.place[k]; ok || k == "" {
			f.Line, f.Column = max(p.Line, 1), max(p.Column, 1)
			break
		}
	}
	r.faults = append(r.faults, f)
}

// err returns the faults sorted by place, or nil.
func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
	return slices.Compact(r.faults)
}

func nodeToken(n ast.Node) *token.Token {
	if n == nil {
		return nil
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t
	}
	return nil
}

// parseYAML returns the root of a text with one document.
func (r *reader) parseYAML(text []byte) (root ast.Node) {
	defer func() {
		if p := recover(); p != nil { // the parser is third-party code and the text comes from outside
			root = nil
			r.faultAt("", fmt.Sprintf("this is not YAML the parser can read (%v)", p))
		}
	}()
	if len(text) > maxText {
		r.faultAt("", fmt.Sprintf("the file has %d bytes: a profile has at most %d", len(text), maxText))
		return nil
	}
	if line := tangled(text); line > 0 {
		r.faults = append(r.faults, Fault{File: r.file, Line: line, Column: 1,
			Text: fmt.Sprintf("the line is longer than %d bytes, nested deeper than %d brackets or behind line %d: no profile has that", maxLineBytes, maxBrackets, maxLines)})
		return nil
	}
	f, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntaxFault(err)
		return nil
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		r.faultAt("", "a profile is one YAML document that starts with \"profile: <id>\"")
		return nil
	}
	return f.Docs[0].Body
}

const (
	maxLineBytes = 2000
	maxBrackets  = 32
	maxLines     = 5000
)

// tangled returns the first line that would cost the YAML parser more than
// the size of the file allows for: its time grows with the square of nesting
// and of keys. 0: none. Brackets in texts count too, which no real text minds.
func tangled(text []byte) int {
	line, length, depth := 1, 0, 0
	for _, c := range text {
		length++
		switch c {
		case '\n':
			line, length = line+1, 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if length > maxLineBytes || depth > maxBrackets || line > maxLines {
			return line
		}
	}
	return 0
}

// syntaxFault notes an error of the YAML parser with its place.
func (r *reader) syntaxFault(err error) {
	var e interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &e) {
		r.faultAt("", "this is not YAML: "+err.Error())
		return
	}
	f := Fault{File: r.file, Line: 1, Column: 1, Text: "this is not YAML: " + e.GetMessage()}
	if t := e.GetToken(); t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	r.faults = append(r.faults, f)
}

// fields are the keys a mapping may have.
type fields map[string]func(n ast.Node, key string)

// mapping calls the field of each key of n; an unknown key is a fault.
func (r *reader) mapping(n ast.Node, key string, known fields) {
	seen := map[string]bool{}
	for _, kv := range r.pairs(n, key) {
		name := kv.Key.String()
		if t := nodeToken(kv.Key); t != nil {
			name = t.Value
		}
		path := join(key, name)
		read, ok := known[name]
		switch {
		case !ok:
			r.fault(kv.Key, path, "unknown key: use one of %s", strings.Join(sortedKeys(known), ", "))
			continue
		case seen[name]:
			r.fault(kv.Key, path, "this key stands here twice: remove one")
			continue
		}
		seen[name] = true
		if t := nodeToken(kv.Key); t != nil {
			r.place[path] = *t.Position
		}
		read(kv.Value, path)
	}
}

// pairs returns the entries of a mapping node.
func (r *reader) pairs(n ast.Node, key string) []*ast.MappingValueNode {
	if t := nodeToken(n); t != nil && key != "" {
		if _, ok := r.place[key]; !ok {
			r.place[key] = *t.Position
		}
	}
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}
	default:
		r.fault(n, key, "a mapping of keys and values is expected here")
		return nil
	}
}

func join(key, name string) string {
	if key == "" || name == "" {
		return key + name
	}
	return key + "." + name
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// list calls each for every element of a sequence.
func (r *reader) list(n ast.Node, key string, each func(n ast.Node, key string)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(n, key, "a list is expected here")
		return
	}
	for i, v := range s.Values {
		k := fmt.Sprintf("%s[%d]", key, i)
		if t := nodeToken(v); t != nil {
			r.place[k] = *t.Position
		}
		each(v, k)
	}
}

// scalar returns the text of a plain value as it stands in the file, so that
// 0.0001 stays what was written. Anchors, aliases, tags and null are refused.
func (r *reader) scalar(n ast.Node, key string) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NanNode, *ast.InfinityNode:
		return n.GetToken().Value, true
	default:
		r.fault(n, key, "a plain value is expected here")
		return "", false
	}
}

// maxLine bounds every text of a profile.
const maxLine = 2000

func (r *reader) text(n ast.Node, key string) string {
	s, _ := r.scalar(n, key)
	if len(s) > maxLine {
		r.fault(n, key, "the text has %d bytes: at most %d are allowed", len(s), maxLine)
		return ""
	}
	return strings.TrimSpace(s)
}

func (r *reader) whole(n ast.Node, key string, lo, hi uint64) uint64 {
	s, ok := r.scalar(n, key)
	if !ok {
		return 0
	}
	u, err := strconv.ParseUint(s, 0, 64)
	if err != nil || u < lo || u > hi || (len(s) > 1 && s[0] == '0' && s[1] != 'x') {
		r.fault(n, key, "%q is not a whole number from %d to %d", clip(s), lo, hi)
		return lo
	}
	return u
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

func (r *reader) flag(n ast.Node, key string) bool {
	s, ok := r.scalar(n, key)
	if ok && s != "true" && s != "false" {
		r.fault(n, key, "%q is neither true nor false", clip(s))
	}
	return s == "true"
}

func (r *reader) duration(n ast.Node, key string) time.Duration {
	s, ok := r.scalar(n, key)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > 5*time.Minute {
		r.fault(n, key, "%q is not a duration from 0s to 5m: write it like 100ms or 2s", clip(s))
		return 0
	}
	return d
}

// parsed reads a value by a parser of text.
func parsed[T any](r *reader, n ast.Node, key string, parse func(string) (T, error)) T {
	var zero T
	s, ok := r.scalar(n, key)
	if !ok {
		return zero
	}
	v, err := parse(s)
	if err != nil {
		r.fault(n, key, "%v", err)
		return zero
	}
	return v
}

// oneOf reads one of a few words.
func oneOf[T any](r *reader, n ast.Node, key string, words map[string]T) T {
	return parsed(r, n, key, func(s string) (T, error) {
		v, ok := words[s]
		if !ok {
			return v, fmt.Errorf("%q is unknown: use %s", clip(s), strings.Join(sortedKeys(words), ", "))
		}
		return v, nil
	})
}
