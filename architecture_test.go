// Package yunhe_test holds the rules of docs/architecture.md against the code.
package yunhe_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

type goPackage struct {
	ImportPath string
	Imports    []string
}

// packages lists the module's packages with what their product code imports.
func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// under reports whether path is the package dir or below it.
func under(path string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return path == d || strings.HasPrefix(path, d+"/") })
}

// testOnly are packages that serve tests, simulators and benchmarks.
var testOnly = []string{
	"yunhe/internal/simulate", "yunhe/internal/sparkplug/sparkplugtest", "yunhe/internal/series/seriestest",
	"yunhe/internal/series/influxtest", "yunhe/edge/internal/publish/publishtest",
	"yunhe/internal/browsertest", "yunhe/e2e", "yunhe/bench",
}

func TestImportsPointDown(t *testing.T) {
	forbidden := []struct {
		from, to []string
		why      string
	}{
		{[]string{"yunhe/edge"}, []string{"yunhe/collector", "yunhe/api", "yunhe/cmd"}, "programs do not import each other"},
		{[]string{"yunhe/collector"}, []string{"yunhe/edge", "yunhe/api", "yunhe/cmd"}, "programs do not import each other"},
		{[]string{"yunhe/api"}, []string{"yunhe/edge", "yunhe/collector", "yunhe/cmd"}, "programs do not import each other"},
		{[]string{"yunhe/internal"}, []string{"yunhe/edge", "yunhe/collector", "yunhe/api", "yunhe/cmd"}, "shared packages are below the programs"},
		{[]string{"yunhe/internal/telemetry"}, []string{"yunhe", "github.com", "golang.org", "periph.io"}, "telemetry stands on the standard library alone"},
		{[]string{"yunhe/api"}, []string{"yunhe/internal/seglog", "yunhe/internal/sparkplug"}, "the API never opens ledger files and never speaks MQTT"},
	}
	for _, p := range packages(t) {
		for _, f := range forbidden {
			if !under(p.ImportPath, f.from...) {
				continue
			}
			for _, i := range p.Imports {
				if under(i, f.to...) {
					t.Errorf("%s imports %s: %s", p.ImportPath, i, f.why)
				}
			}
		}
	}
}

func TestClientsHaveOneImporter(t *testing.T) {
	clients := []struct {
		module string
		home   []string // packages that may import it
	}{
		{"github.com/gin-gonic/gin", []string{"yunhe/api/internal/httpapi"}},
		{"github.com/danielgtaylor/huma/v2", []string{"yunhe/api/internal/httpapi"}},
		{"github.com/eclipse/paho.mqtt.golang", []string{"yunhe/edge/internal/publish", "yunhe/collector/internal/host"}},
		{"github.com/influxdata/influxdb-client-go/v2", []string{"yunhe/internal/series/influx"}},
		{"github.com/grid-x/modbus", []string{"yunhe/edge/internal/bus"}},
		{"github.com/mochi-mqtt/server/v2", []string{"yunhe/internal/broker"}},
		{"modernc.org/sqlite", []string{"yunhe/internal/series/sqlite", "yunhe/collector/internal/records"}},
		{"github.com/veraison/go-cose", []string{"yunhe/internal/evidence"}},
		// Two files are written by machine; whoever reads what people write uses strictyaml.
		{"github.com/goccy/go-yaml", []string{"yunhe/internal/strictyaml", "yunhe/internal/access", "yunhe/collector/internal/keys"}},
		{"google.golang.org/protobuf", []string{"yunhe/internal/sparkplug"}},
	}
	for _, p := range packages(t) {
		if under(p.ImportPath, testOnly...) {
			continue
		}
		for _, i := range p.Imports {
			for _, c := range clients {
				if under(i, c.module) && !under(p.ImportPath, c.home...) {
					t.Errorf("%s imports %s, which belongs to %s", p.ImportPath, i, strings.Join(c.home, ", "))
				}
			}
		}
	}
}
