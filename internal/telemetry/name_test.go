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

func TestNamesThatStoresNeedAreRefused(t *testing.T) {
	for _, s := range []string{"time", "site", "gateway", "device", "clock_failed", "voltage_q", "a_q"} {
		if CheckPoint(s) == nil || CheckReserved(s) == nil {
			t.Errorf("%q may name a point", s)
		}
	}
	for _, s := range []string{"times", "q", "aq", "voltage_q_l1", "device_temperature"} {
		if err := CheckPoint(s); err != nil {
			t.Error(err)
		}
	}
	if CheckReserved("Flow/Now") != nil {
		t.Error("a foreign name is not reserved")
	}
}
