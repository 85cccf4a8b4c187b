// Command yunhe-edge is the gateway agent: it reads the devices of one
// building and sends what they say, signed, until it is acknowledged.
//
// Exit codes: 0 done, 1 failed, 2 wrong use, 3 the config has faults, 4 check
// found something else that the agent would stumble over.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 3
	exitCheck  = 4
)

// version is set at build time with -ldflags "-X main.version=v1.2.3".
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }

// run is the program but for os.Exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var commands cli
	asked := false // for help or version
	parser, err := kong.New(&commands, kong.Name("yunhe-edge"),
		kong.Description("Gateway agent of Yunhe: reads devices, signs and journals readings, sends them until they are acknowledged."),
		kong.Vars{"version": programVersion()}, kong.Writers(stdout, stderr), kong.UsageOnError(),
		kong.Exit(func(int) { asked = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&output{stdout, stderr}))
	if err != nil {
		fmt.Fprintln(stderr, "yunhe-edge:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if asked {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "yunhe-edge: %s; see yunhe-edge --help\n", err)
		return exitUsage
	}
	if err := k.Run(); err != nil {
		fmt.Fprintln(stderr, err)
		if e := (exitError{}); errors.As(err, &e) {
			return e.code
		}
		return exitFailed
	}
	return 0
}

// programVersion is the tag set at build time, else the commit.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "dev-" + s.Value[:12]
			}
		}
	}
	return "dev"
}
