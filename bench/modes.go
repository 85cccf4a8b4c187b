package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"yunhe/collector"
	"yunhe/edge"
	"yunhe/internal/series"
	"yunhe/internal/series/influx"
	"yunhe/internal/series/sqlite"
)

// modeVariable makes this program something else than the benchmark: a process
// of its own whose CPU time is not that of the others.
const modeVariable = "YUNHE_BENCH_MODE"

// The modes.
const (
	modeMeters    = "meters"    // FILE NUMBER: serve meters, write their addresses to FILE
	modeCollector = "collector" // CONFIG PROFILE: a collector under a CPU profile
	modeEdge      = "edge"      // CONFIG PROFILE: an agent under a CPU profile
)

// ownMode is a command that runs this program in a mode.
func (b *bench) ownMode(mode string, args ...string) *exec.Cmd {
	cmd := exec.Command(b.tools.self, args...)
	cmd.Env = append(os.Environ(), modeVariable+"="+mode)
	return cmd
}

func runMode(ctx context.Context, mode string, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("mode %s needs two arguments", mode)
	}
	switch mode {
	case modeMeters:
		return serveMeters(ctx, args[0], args[1])
	case modeCollector:
		return profiled(args[1], func() error { return profiledCollector(ctx, args[0]) })
	case modeEdge:
		return profiled(args[1], func() error { return profiledEdge(ctx, args[0]) })
	default:
		return fmt.Errorf("there is no mode %q", mode)
	}
}

func profiled(path string, fn func() error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = fn()
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

// profiledCollector does what `yunhe collector` does.
func profiledCollector(ctx context.Context, path string) error {
	cfg, err := collector.Load(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return err
	}
	var store interface {
		series.Store
		Close() error
	}
	if cfg.Series.Kind == collector.SeriesSQLite {
		store, err = sqlite.Open(ctx, cfg.Series.Path)
	} else {
		store, err = influx.Open(influx.Options{URL: cfg.Series.URL, Bucket: cfg.Series.Bucket})
	}
	if err != nil {
		return err
	}
	err = collector.Run(ctx, cfg, collector.Deps{Series: store, Logger: slog.Default(), Registry: prometheus.NewRegistry()})
	return errors.Join(err, store.Close())
}

// profiledEdge does what `yunhe-edge run` does.
func profiledEdge(ctx context.Context, path string) error {
	cfg, err := edge.Load(path)
	if err != nil {
		return err
	}
	debug.SetGCPercent(50)
	return edge.Run(ctx, cfg, edge.Deps{Logger: slog.Default(), Version: "profiled"})
}

// ownCPU is the CPU time of this process.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
