package telemetry

import (
	"regexp"
	"strings"
	"testing"
)

// The patterns are the written contract of names; the checks are faster.
func TestNamesMatchTheirPatterns(t *testing.T) {
	id := regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	point := regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	names := []string{"", "-", "_", "运", "ab\n", strings.Repeat("a", 63), strings.Repeat("a", 64)}
	for a := range rune(128) {
		names = append(names, string(a))
		for b := range rune(128) {
			names = append(names, string([]rune{a, b}))
		}
	}
	for _, s := range names {
		if got, want := CheckID(s) == nil, id.MatchString(s); got != want {
			t.Errorf("CheckID(%q): %v, want %v", s, got, want)
		}
		if got, want := CheckPoint(s) == nil, point.MatchString(s); got != want {
			t.Errorf("CheckPoint(%q): %v, want %v", s, got, want)
		}
	}
}
