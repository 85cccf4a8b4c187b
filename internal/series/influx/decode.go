package influx

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// errStop ends a query early without an error.
var errStop = errors.New("enough")

// cursor is one part of an answer: rows of one series of one statement. A
// series may come in several parts.
type cursor struct {
	statement int
	name      string
	tags      map[string]string
	columns   []string
	values    []value // of the current row; holds until the next one

	s     *scanner
	first bool
	done  bool
	err   error
}

// next reads the next row into c.values.
func (c *cursor) next() bool {
	if c.done || c.err != nil {
		return false
	}
	more, err := c.s.more(&c.first, ']')
	if err != nil || !more {
		c.done, c.err = true, err
		return false
	}
	c.values = c.values[:0]
	c.err = c.s.list(func() error {
		v, err := c.s.value()
		if len(c.values) == len(c.columns) {
			return fmt.Errorf("a row has more than its %d columns", len(c.columns))
		}
		c.values = append(c.values, v)
		return err
	})
	if c.err == nil && len(c.values) != len(c.columns) {
		c.err = fmt.Errorf("a row has %d values for %d columns", len(c.values), len(c.columns))
	}
	return c.err == nil
}

// time returns the row's time in milliseconds: the first column.
func (c *cursor) time() (int64, bool) {
	if len(c.values) == 0 || c.values[0].kind != isNumber || math.Abs(c.values[0].number) > 1<<53 {
		return 0, false
	}
	return int64(c.values[0].number), true
}

// decode reads an answer of /query, whole or in chunks, and calls each for
// every part of a series that has rows.
func decode(r io.Reader, each func(*cursor) error) error {
	s := newScanner(r)
	for {
		if _, err := s.peek(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := decodeDocument(s, each); err != nil {
			return err
		}
	}
}

func decodeDocument(s *scanner, each func(*cursor) error) error {
	return s.object(func(key string) error {
		switch key {
		case "results":
			return s.list(func() error { return decodeResult(s, each) })
		case "error":
			return decodeError(s)
		default:
			return s.skip(0)
		}
	})
}

// decodeError reads the message of a server and returns it.
func decodeError(s *scanner) error {
	m, err := s.text()
	if err != nil {
		return err
	}
	return fmt.Errorf("InfluxDB answered: %.500s", m)
}

func decodeResult(s *scanner, each func(*cursor) error) error {
	statement := 0
	return s.object(func(key string) error {
		switch key {
		case "statement_id":
			v, err := s.value()
			statement = int(v.number)
			return err
		case "series":
			return s.list(func() error { return decodeSeries(s, statement, each) })
		case "error":
			return decodeError(s)
		default:
			return s.skip(0)
		}
	})
}

func decodeSeries(s *scanner, statement int, each func(*cursor) error) error {
	c := cursor{statement: statement, s: s, tags: map[string]string{}}
	return s.object(func(key string) error {
		var err error
		switch key {
		case "name":
			c.name, err = s.text()
			return err
		case "tags":
			return s.object(func(tag string) error {
				c.tags[tag], err = s.text()
				return err
			})
		case "columns":
			return s.list(func() error {
				name, err := s.text()
				c.columns = append(c.columns, name)
				return err
			})
		case "values":
			return decodeRows(s, &c, each)
		default:
			return s.skip(0)
		}
	})
}

func decodeRows(s *scanner, c *cursor, each func(*cursor) error) error {
	if len(c.columns) == 0 {
		return errors.New("rows come before their columns")
	}
	if err := s.take('['); err != nil {
		return err
	}
	c.first = true
	if err := each(c); err != nil {
		return err
	}
	for c.next() { // whatever each left
	}
	return c.err
}

// column returns the value in the column of this name, or null.
func (c *cursor) column(name string) value {
	for i := range c.columns {
		if c.columns[i] == name {
			return c.values[i]
		}
	}
	return value{}
}

// number returns the number in the column of this name, or 0.
func (c *cursor) number(name string) float64 { return c.column(name).number }
