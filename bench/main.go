// Command bench measures the figures of docs/benchmarks.md: real processes, a
// real mosquitto, a real InfluxDB and, if it is there, Telegraf beside them on
// the same machine in the same run. `make bench` runs all of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// benchmark is one group of figures.
type benchmark struct {
	name string
	text string
	run  func(*bench) error
}

func benchmarks() []benchmark {
	return []benchmark{
		{"collector", "signed messages from MQTT into a store, beside Telegraf", (*bench).collector},
		{"edge", "50 meters x 20 values each second", (*bench).edge},
		{"metered", "megabytes of a 20-value meter on a SIM", (*bench).metered},
		{"backlog", "24 hours of backlog beside live readings", (*bench).backlog},
		{"export", "a month of 100 channels as CSV", (*bench).export},
	}
}

// options are the command line.
type options struct {
	only    string
	short   bool
	json    string
	update  bool
	dir     string
	profile string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if mode := os.Getenv(modeVariable); mode != "" {
		exit(runMode(ctx, mode, os.Args[1:]))
	}
	var o options
	var names []string
	for _, b := range benchmarks() {
		names = append(names, b.name)
	}
	flag.StringVar(&o.only, "only", "", "run only these, separated by commas: "+strings.Join(names, ", "))
	flag.BoolVar(&o.short, "short", false, "a smoke test: less data, figures that mean little")
	flag.StringVar(&o.json, "json", "", "also write the figures to this `file`")
	flag.BoolVar(&o.update, "update", false, "write the figures of a whole run into "+document)
	flag.StringVar(&o.dir, "dir", "", "work in this `folder` of a real disk; default: bin/bench of the module")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of collector and agent into this `folder`; the figures then hold only for themselves")
	flag.Parse()
	if flag.NArg() > 0 {
		exit(fmt.Errorf("unknown argument %q: see -help", flag.Arg(0)))
	}
	if o.update && (o.short || o.only != "" || o.profile != "") {
		exit(errors.New("-update takes the figures of a whole run only"))
	}
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run measures what is asked for and prints the table, also when one of the
// benchmarks failed.
func run(ctx context.Context, o options) (err error) {
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	b, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(err != nil)) }()
	began := time.Now()
	for _, c := range chosen {
		fmt.Fprintf(os.Stderr, "%5.0fs %s: %s\n", time.Since(began).Seconds(), c.name, c.text)
		b.group = c.name
		b.report.LoadBefore = append(b.report.LoadBefore, c.name+" "+loadAverage())
		if e := c.run(b); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c.name, e))
		}
		if e := b.stopServers(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c.name, e))
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	b.report.Seconds = time.Since(began).Seconds()
	b.report.print(os.Stdout)
	if o.json != "" {
		err = errors.Join(err, b.report.write(o.json))
	}
	if err == nil && o.update {
		err = b.report.update(b.root)
	}
	return err
}

func choose(only string) ([]benchmark, error) {
	all := benchmarks()
	if only == "" {
		return all, nil
	}
	var out []benchmark
	for _, name := range strings.Split(only, ",") {
		i := slices.IndexFunc(all, func(b benchmark) bool { return b.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no benchmark %q: see -help", name)
		}
		out = append(out, all[i])
	}
	return out, nil
}
