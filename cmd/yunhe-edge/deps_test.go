package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// forbidden are modules and packages that a gateway must not carry, each with
// its reason.
var forbidden = map[string]string{
	"github.com/gin-gonic/gin":                    "the API is not part of a gateway",
	"github.com/danielgtaylor/huma/v2":            "the API is not part of a gateway",
	"github.com/influxdata/influxdb-client-go/v2": "a gateway stores nothing but its journal",
	"modernc.org/sqlite":                          "a gateway stores nothing but its journal; it adds megabytes",
	"github.com/mochi-mqtt/server/v2":             "a gateway is a client of the broker",
	"github.com/prometheus/client_golang":         "a gateway has no HTTP listener; it tells its state by Sparkplug and socket",
	"github.com/simonvetter/modbus":               "simulators are not part of a gateway",
	"github.com/chromedp/chromedp":                "for tests only",
}

// notYet are forbidden too, and enter go.mod with the ledger.
var notYet = map[string]string{
	"github.com/transparency-dev/tessera": "the ledger is the collector's",
}

// ours are packages of this module that a gateway must not carry.
var ours = map[string]string{
	"yunhe/dashboards":        "pages are served by the API",
	"yunhe/collector":         "the programs share words, not each other",
	"yunhe/api":               "the programs share words, not each other",
	"yunhe/internal/broker":   "a gateway is a client of the broker",
	"yunhe/internal/series":   "a gateway stores nothing but its journal",
	"yunhe/internal/simulate": "simulators are not part of a gateway",
}

func TestForbiddenImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "yunhe/edge") {
		t.Fatal("the list of imports lacks yunhe/edge: this test looks at the wrong thing")
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for name := range forbidden {
		if !strings.Contains(string(mod), "\t"+name+" v") {
			t.Errorf("%s is not in go.mod any more: forbid what took its place", name)
		}
	}
	for _, rules := range []map[string]string{forbidden, notYet, ours} {
		for name, reason := range rules {
			for _, d := range deps {
				if d == name || strings.HasPrefix(d, name+"/") {
					t.Errorf("yunhe-edge imports %s: %s", d, reason)
				}
			}
		}
	}
}
