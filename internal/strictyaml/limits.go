package strictyaml

import (
	"bytes"
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// What a file may have beside its size. The parser's time grows with the
// square of these and evenly with all else; a million open brackets would
// keep it busy for an hour. Within the limits it needs about 12 µs and 3.5 kB
// a line: measured 0.2 s for a catalog of 20,000 lines (0.7 MB), 3 s and
// 0.8 GB allocated for one of 8 MiB (234,000 lines).
const (
	maxLine      = 8192 // bytes
	maxDepth     = 32   // mappings and lists within one another
	maxKeys      = 1000 // of one mapping
	maxDocuments = 8    // more than one is refused anyway, with a better word
)

// longLine returns the first line that is too long, 0 for none.
func longLine(b []byte) int {
	n := 0
	for line := range bytes.Lines(b) {
		if n++; len(line) > maxLine {
			return n
		}
	}
	return 0
}

// level is a mapping or list in block style that is open at a token.
type level struct{ column, keys int }

// shape follows the structure of a file over its tokens.
type shape struct {
	levels    []level
	brackets  int // open ones
	documents int
}

// tangled returns the first token at which a file is past the limits and
// which of them it is; nil for a file the parser may see.
func tangled(tokens token.Tokens) (*token.Token, string) {
	var s shape
	for _, t := range tokens {
		if t.Position == nil {
			continue
		}
		if text := s.step(t); text != "" {
			return t, text
		}
	}
	return nil, ""
}

// step takes the next token; the text says which limit it breaks.
func (s *shape) step(t *token.Token) string {
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		s.brackets++
	case token.SequenceEndType, token.MappingEndType:
		s.brackets = max(s.brackets-1, 0)
	case token.DocumentHeaderType, token.DocumentEndType:
		s.documents++
		s.levels = s.levels[:0]
	case token.SequenceEntryType:
		if s.brackets == 0 {
			s.enter(t.Position.Column)
		}
	case token.MappingKeyType:
		if s.brackets == 0 {
			s.enter(t.Position.Column).keys++
		}
	case token.MappingValueType:
		if s.brackets == 0 {
			s.enter(keyColumn(t)).keys++
		}
	}
	switch {
	case s.brackets+len(s.levels) > maxDepth:
		return fmt.Sprintf("is nested deeper than %d levels: no file needs that", maxDepth)
	case s.documents > maxDocuments:
		return "has many documents: keep one"
	case len(s.levels) > 0 && s.levels[len(s.levels)-1].keys > maxKeys:
		return fmt.Sprintf("is a mapping with more than %d keys: no file needs that", maxKeys)
	}
	return ""
}

// enter closes what stands further right than column and returns the level
// that stands there.
func (s *shape) enter(column int) *level {
	for len(s.levels) > 0 && s.levels[len(s.levels)-1].column > column {
		s.levels = s.levels[:len(s.levels)-1]
	}
	if n := len(s.levels); n == 0 || s.levels[n-1].column < column {
		s.levels = append(s.levels, level{column: column})
	}
	return &s.levels[len(s.levels)-1]
}

// keyColumn returns where the key before a colon stands.
func keyColumn(colon *token.Token) int {
	if k := colon.Prev; k != nil && k.Position != nil && k.Position.Line == colon.Position.Line {
		return k.Position.Column
	}
	return colon.Position.Column
}
