package profile

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with a profile.
type Fault struct {
	File         string
	Line, Column int    // from 1; 0: the whole file
	Key          string // for example points[3].scale
	Text         string // one sentence: the cause and the remedy
}

// Error returns file:line:col: key: sentence.
func (f Fault) Error() string {
	if f.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Key, f.Text)
}

// Faults is every fault of a profile, in the order of the file.
type Faults []Fault

// Error returns one line a fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}
