package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxFaults bounds the report on a file that is no catalog at all.
const maxFaults = 200

// Fault is one thing that is wrong in a catalog file.
type Fault struct {
	File string
	Line int    // counted from 1; 0 for the file as a whole
	Key  string // e.g. sites[0].gateways[1].id
	Text string // place, cause and remedy, one sentence
}

// Error gives "file:line: key: sentence".
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	b.WriteString(": ")
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Text)
	return b.String()
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

// err returns the faults sorted by line, nil if there are none.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	slices.SortStableFunc(fs, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return fs
}
