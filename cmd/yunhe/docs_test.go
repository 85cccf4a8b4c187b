package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"yunhe/cmd/yunhe/internal/server"
	"yunhe/collector"
	"yunhe/internal/catalog"
)

var example = regexp.MustCompile("(?s)```yaml\n# ([a-z]+\\.yaml)\n(.*?)```")

// TestExamplesOfOperations: a configuration that docs/operations.md shows is
// one that the programs read.
func TestExamplesOfOperations(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]func(string) error{
		server.CollectorFile: func(p string) error { _, err := collector.Load(p); return err },
		server.APIFile:       func(p string) error { _, err := server.LoadAPI(p, true); return err },
		server.BrokerFile:    func(p string) error { _, err := server.LoadBroker(p); return err },
		"catalog.yaml":       func(p string) error { _, err := catalog.Load(p); return err },
	}
	for _, m := range example.FindAllSubmatch(text, -1) {
		name := string(m[1])
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, m[2], 0o600); err != nil {
			t.Fatal(err)
		}
		load, ok := read[name]
		if !ok {
			t.Errorf("%s: no program reads it", name)
			continue
		}
		if err := load(path); err != nil {
			t.Error(err)
		}
		delete(read, name)
	}
	for name := range read {
		t.Errorf("docs/operations.md shows no %s", name)
	}
}
