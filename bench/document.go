package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// document is where the figures of the last run stand, between two marks.
const (
	document  = "docs/benchmarks.md"
	beginMark = "<!-- figures: written by go run ./bench -update -->"
	endMark   = "<!-- end of figures -->"
)

// update puts the figures into the document.
func (r *report) update(root string) error {
	path := filepath.Join(root, document)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for figures between %q and %q", document, beginMark, endMark)
	}
	return os.WriteFile(path, []byte(before+beginMark+"\n"+r.markdown()+endMark+after), 0o644)
}

func (r *report) markdown() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s, %s, %s. ", r.Date.Format(time.RFC3339), r.Machine, r.Disk)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&t, "%s %s; ", name, r.Versions[name])
	}
	fmt.Fprintf(&t, "the whole run took %.0f s. Load average before each group: %s.\n\n", r.Seconds, strings.Join(r.LoadBefore, ", "))
	t.WriteString("| | Figure | Median (min–max) | Unit | Goal |\n|---|---|---|---|---|\n")
	for _, f := range r.Figures {
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s |\n", f.Group, strings.TrimSpace(f.What), f.text(), f.Unit, f.Goal)
	}
	t.WriteString("\n")
	for _, n := range r.Notes {
		fmt.Fprintf(&t, "- %s\n", n)
	}
	return t.String()
}
