package main

import (
	"fmt"
	"time"

	"yunhe/internal/simulate"
)

type simulateCommand struct {
	Listen []string `help:"Three addresses: heat pump, inverter, and the line of main meter, heat meter and level probe." default:"127.0.0.1:5021,127.0.0.1:5022,127.0.0.1:5023"`
	Seed   uint64   `help:"Of the weather and the people; the same seed is the same site." default:"1"`
}

// Run plays the devices until it is told to stop.
func (c simulateCommand) Run(t *terminal) error {
	s, err := simulate.NewSite(simulate.Options{Start: time.Now().UTC().AddDate(0, 0, -35).Truncate(time.Hour), Seed: c.Seed, Now: time.Now, Listen: c.Listen})
	if err != nil {
		return err
	}
	for _, e := range s.Endpoints() {
		fmt.Fprintf(t.out, "%-14s profile %-34s %s unit %d\n", e.Device, e.Profile, e.Address, e.Unit)
	}
	return s.Run(t.ctx)
}
