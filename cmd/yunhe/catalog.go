package main

import (
	"fmt"

	"yunhe/internal/catalog"
)

type catalogCommand struct {
	Check catalogCheck `cmd:"" help:"Read a catalog and report every fault."`
}

type catalogCheck struct {
	File string `arg:"" help:"The catalog." type:"path"`
}

// Run reports every fault, or what the catalog holds.
func (c catalogCheck) Run(t *terminal) error {
	cat, err := catalog.Load(c.File)
	if err != nil {
		return err
	}
	for _, s := range cat.Sites {
		devices := 0
		for _, g := range s.Gateways {
			devices += len(g.Devices)
		}
		fmt.Fprintf(t.out, "%s: %d gateways, %d devices, %d meters, %d storages\n", s.ID, len(s.Gateways), devices, len(s.Meters), len(s.Storages))
	}
	return nil
}
