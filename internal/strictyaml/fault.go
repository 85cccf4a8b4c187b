// Package strictyaml reads the files people write: an unknown key, a repeated
// key, a value of another kind are faults, and all faults of a file come at
// once, each with file, line, key and a sentence that says what to do.
//
//	file, root := strictyaml.Parse("edge.yaml", text, 1<<20)
//	o := root.Object("gateway", "site", "buses")
//	c.Gateway, _ = o.At("gateway").Text("the id of this gateway")
//	for _, n := range o.At("buses").List() { … }
//	if err := file.Err(); err != nil { … }
//
// Anchors, aliases, merges and tags are refused, so that a file says what it
// means in one place.
package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxFaults bounds the report on a file that is something else altogether.
const maxFaults = 200

// Fault is one thing that is wrong in a file.
type Fault struct {
	File   string
	Line   int    // counted from 1
	Column int    // counted from 1; 0 without WithColumns
	Key    string // e.g. buses[1].address; empty for the file as a whole
	Text   string // cause and remedy, one sentence
}

// Error gives "file:line: key: sentence", or "file:line:column: …".
func (f Fault) Error() string {
	at := fmt.Sprintf("%s:%d: ", f.File, f.Line)
	if f.Column > 0 {
		at = fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	}
	if f.Key != "" {
		at += f.Key + ": "
	}
	return at + f.Text
}

// Faults is every fault of a file, by line.
type Faults []Fault

// Error gives one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, 0, len(fs)+1)
	for i, f := range fs {
		if i == maxFaults {
			lines = append(lines, fmt.Sprintf("… and %d more", len(fs)-maxFaults))
			break
		}
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// Fault reports a fault at a key that Object has seen, or at the nearest key
// above it that is in the file. A second fault of one key is dropped: one
// mistake is reported once.
func (f *File) Fault(key, format string, args ...any) {
	if f.reported[key] {
		return
	}
	f.reported[key] = true
	f.add(f.place(key), key, fmt.Sprintf(format, args...))
}

func (f *File) add(at place, key, text string) {
	if !f.columns {
		at.column = 0
	}
	f.faults = append(f.faults, Fault{File: f.name, Line: at.line, Column: at.column, Key: key, Text: text})
}

// Faulty reports whether a key or one above it has a fault: what follows from
// that would only be noise.
func (f *File) Faulty(key string) bool {
	for ; key != ""; key = above(key) {
		if f.reported[key] {
			return true
		}
	}
	return false
}

// Err returns the faults so far, sorted by place; nil if there are none.
func (f *File) Err() error {
	if len(f.faults) == 0 {
		return nil
	}
	fs := slices.Clone(f.faults)
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return fs
}

// place returns where key stands, or the nearest key above it.
func (f *File) place(key string) place {
	for ; key != ""; key = above(key) {
		if p, ok := f.places[key]; ok {
			return p
		}
	}
	return place{1, 1}
}

func above(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }
