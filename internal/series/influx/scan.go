package influx

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// scanner reads JSON token by token, since a general decoder makes garbage of
// every value. It bounds what it holds: one string of maxString bytes, nesting
// of maxDepth.
type scanner struct {
	r   *bufio.Reader
	buf []byte
}

const (
	maxString = 1 << 20
	maxDepth  = 16
)

var errTooLong = errors.New("a string or number is too long")

func newScanner(r io.Reader) *scanner { return &scanner{r: bufio.NewReaderSize(r, 64<<10)} }

// peek returns the next byte that is no white space, without taking it.
func (s *scanner) peek() (byte, error) {
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c, s.r.UnreadByte()
		}
	}
}

// take reads the byte c.
func (s *scanner) take(c byte) error {
	got, err := s.peek()
	if err != nil {
		return noEOF(err)
	}
	if got != c {
		return fmt.Errorf("%q where %q should be", got, c)
	}
	_, err = s.r.ReadByte()
	return err
}

// more is called before each element of a list or object that ends with end:
// it takes the comma or the end.
func (s *scanner) more(first *bool, end byte) (bool, error) {
	c, err := s.peek()
	if err != nil {
		return false, noEOF(err)
	}
	switch {
	case c == end:
		return false, s.take(end)
	case *first:
		*first = false
		return true, nil
	default:
		return true, s.take(',')
	}
}

// text reads a string.
func (s *scanner) text() (string, error) {
	if err := s.take('"'); err != nil {
		return "", err
	}
	s.buf = append(s.buf[:0], '"')
	escaped := false
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return "", noEOF(err)
		}
		s.buf = append(s.buf, c)
		switch {
		case c == '"':
			if !escaped {
				return string(s.buf[1 : len(s.buf)-1]), nil
			}
			var out string
			err := json.Unmarshal(s.buf, &out)
			return out, err
		case c == '\\':
			escaped = true
			if c, err = s.r.ReadByte(); err != nil {
				return "", noEOF(err)
			}
			s.buf = append(s.buf, c)
		case len(s.buf) > maxString:
			return "", errTooLong
		}
	}
}

// word reads a number, true, false or null, as text that holds until the next
// call.
func (s *scanner) word() ([]byte, error) {
	if _, err := s.peek(); err != nil {
		return nil, noEOF(err)
	}
	s.buf = s.buf[:0]
	for {
		c, err := s.r.ReadByte()
		if err == io.EOF {
			return s.buf, nil
		}
		if err != nil {
			return nil, err
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'E' {
			if s.buf = append(s.buf, c); len(s.buf) > 64 {
				return nil, errTooLong
			}
			continue
		}
		return s.buf, s.r.UnreadByte()
	}
}

// valueKind says what a value is; the zero kind is null.
type valueKind uint8

const (
	isNull valueKind = iota
	isNumber
	isBool
	isText
)

// value is one value of an answer.
type value struct {
	kind   valueKind
	number float64
	on     bool
	text   string
}

func (s *scanner) value() (value, error) {
	c, err := s.peek()
	if err != nil {
		return value{}, noEOF(err)
	}
	if c == '"' {
		t, err := s.text()
		return value{kind: isText, text: t}, err
	}
	w, err := s.word()
	if err != nil {
		return value{}, err
	}
	switch string(w) {
	case "null":
		return value{}, nil
	case "true", "false":
		return value{kind: isBool, on: w[0] == 't'}, nil
	}
	n, err := strconv.ParseFloat(string(w), 64)
	if err != nil {
		return value{}, fmt.Errorf("%q is no value", w)
	}
	return value{kind: isNumber, number: n}, nil
}

// skip passes over any value.
func (s *scanner) skip(depth int) error {
	c, err := s.peek()
	if err != nil {
		return noEOF(err)
	}
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	switch c {
	case '{':
		return s.object(func(string) error { return s.skip(depth + 1) })
	case '[':
		return s.list(func() error { return s.skip(depth + 1) })
	default:
		_, err := s.value()
		return err
	}
}

// object reads an object; member reads the value of a key.
func (s *scanner) object(member func(key string) error) error {
	if err := s.take('{'); err != nil {
		return err
	}
	for first := true; ; {
		more, err := s.more(&first, '}')
		if err != nil || !more {
			return err
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
}

// list reads a list; element reads one element.
func (s *scanner) list(element func() error) error {
	if err := s.take('['); err != nil {
		return err
	}
	for first := true; ; {
		more, err := s.more(&first, ']')
		if err != nil || !more {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
