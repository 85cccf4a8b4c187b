package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"yunhe/edge"
)

// cli is the command line.
type cli struct {
	Version kong.VersionFlag `help:"Print the version."`

	Run    runCommand    `cmd:"" help:"Read devices and send until stopped."`
	Check  checkCommand  `cmd:"" help:"Check config, profiles, secrets and device files; touches no device."`
	Plan   planCommand   `cmd:"" help:"Show what is read in how many requests, how busy the buses get, and the volume of a month."`
	Key    keyCommand    `cmd:"" help:"Print the public key to enrol; makes the key if there is none."`
	Status statusCommand `cmd:"" help:"Show the state of the running agent."`
}

// output is where commands write.
type output struct{ stdout, stderr io.Writer }

// json writes v, indented.
func (o *output) json(v any) error {
	e := json.NewEncoder(o.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// configFlag is shared by all commands.
type configFlag struct {
	Config string `short:"c" default:"/etc/yunhe-edge/edge.yaml" placeholder:"FILE" help:"Config file (${default})."`
}

// load reads the config; its faults have an exit code of their own.
func (f configFlag) load() (edge.Config, error) {
	cfg, err := edge.Load(f.Config)
	if err != nil {
		return cfg, exitError{err, exitConfig}
	}
	return cfg, nil
}

// Small gateways have 64 to 256 MB of memory in all. What lives is small (2 MB
// with fifty meters) and what is thrown away is much (1.5 MB a second), so the
// collector of garbage may let the heap grow to three times what lives; it then
// runs every few seconds and not twice a second. The limit keeps the whole
// near what it would have had; it grows with the devices, because one below
// what lives would make the collector run all the time.
const (
	gcPercent       = 200
	memoryBase      = 10 << 20
	memoryPerDevice = 64 << 10
)

// limitMemory sets the limits for an agent of so many devices and gives back
// what reading the config and the profiles took.
func limitMemory(devices int) {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryBase + int64(devices)*memoryPerDevice)
	debug.FreeOSMemory()
}

type runCommand struct {
	configFlag
	LogLevel slog.Level `default:"info" help:"debug, info, warn or error."`
}

// Run runs the agent.
func (c *runCommand) Run(ctx context.Context, o *output) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(o.stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	agent, err := edge.Open(ctx, cfg, edge.Deps{Logger: log, Version: programVersion()})
	if err != nil {
		return err
	}
	limitMemory(len(cfg.Devices))
	return agent.Run(ctx)
}

type checkCommand struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

// Run checks and fails with exit code 4 if anything but the config is wrong.
func (c *checkCommand) Run(o *output) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	findings, ok := edge.Check(cfg)
	if c.JSON {
		if err := o.json(findings); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			state, fault := "ok   ", ""
			if f.Fault != "" {
				state, fault = "FAULT", ": "+f.Fault
			}
			fmt.Fprintf(o.stdout, "%s  %s%s\n", state, f.What, fault)
		}
	}
	if !ok {
		return exitError{fmt.Errorf("%s: the agent would not work as it should", c.Config), exitCheck}
	}
	return nil
}

type keyCommand struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the public key.
func (c *keyCommand) Run(o *output) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	key, err := edge.Key(cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		return o.json(key)
	}
	if key.Created {
		fmt.Fprintf(o.stderr, "made a new key in %s\n", cfg.KeyFile)
	}
	fmt.Fprintf(o.stdout, "%s\n%s\n", key.Text, key.Fingerprint)
	return nil
}

type planCommand struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the plan.
func (c *planCommand) Run(o *output) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	p, err := edge.Plan(cfg)
	if err != nil {
		return exitError{err, exitConfig}
	}
	if c.JSON {
		return o.json(p)
	}
	for _, b := range p.Buses {
		fmt.Fprintf(o.stdout, "bus %s  %s  busy %.1f %%  slowest cycle %.0f ms\n", b.ID, b.Address, 100*b.Load, b.SlowestCycleMs)
		w := tabwriter.NewWriter(o.stdout, 2, 0, 2, ' ', 0)
		fmt.Fprintln(w, "  device\tprofile\tfast\tslow\tpoints\treads\tms\tMB a month\t")
		for _, d := range b.Devices {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%d\t%d\t%.0f\t%.1f\t%s\n", d.ID, d.Profile, d.Fast, d.Slow, d.Points, len(d.Reads), d.CycleMs, d.MonthMB, d.Note)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if b.Load > 1 {
			fmt.Fprintf(o.stdout, "  the bus cannot carry this: polls will be skipped; read less often or fewer points\n")
		}
	}
	fmt.Fprintf(o.stdout, "the link carries about %.1f MB a month\n", p.MonthMB)
	return nil
}

type statusCommand struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

// Run asks the running agent.
func (c *statusCommand) Run(ctx context.Context, o *output) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := edge.QueryStatus(ctx, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		return o.json(s)
	}
	return printStatus(o.stdout, s)
}
