// Command yunhe is the server side of Yunhe: collector, API, and the commands
// with which people look after keys, gateways and the catalog. `yunhe demo`
// shows all of it on one machine.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

// commands is the command line; each command has a Run method.
type commands struct {
	Log     string           `help:"Log level: debug, info, warn or error; default: info, for the demo warn." enum:"debug,info,warn,error," default:"" env:"YUNHE_LOG"`
	Version kong.VersionFlag `help:"Print the version."`

	Demo      demoCommand      `cmd:"" help:"Run everything on this machine with simulated devices."`
	Serve     serveCommand     `cmd:"" help:"Run collector, API and, if configured, the embedded broker in one process."`
	Collector collectorCommand `cmd:"" help:"Run the collector alone."`
	API       apiCommand       `cmd:"" name:"api" help:"Run the API alone."`

	Key        keyCommand        `cmd:"" help:"API keys: create, list, revoke."`
	Gateway    gatewayCommand    `cmd:"" help:"Gateways: enroll, list, revoke, account, acl."`
	Quarantine quarantineCommand `cmd:"" help:"Refused messages: list, replay."`
	Catalog    catalogCommand    `cmd:"" help:"The catalog: check."`
	Simulate   simulateCommand   `cmd:"" help:"Play the devices of the demonstration site on fixed ports."`

	Setup  setupCommand  `cmd:"" help:"Write a configuration folder with fresh secrets."`
	Health healthCommand `cmd:"" help:"Ask a running server whether it is well."`
}

// terminal is what a command may talk to.
type terminal struct {
	ctx    context.Context
	out    io.Writer // answers
	logger *slog.Logger
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line. Exit codes: 0 done, 1 failed, 2 wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	var cli commands
	exit := -1
	parser, err := kong.New(&cli, kong.Name("yunhe"), kong.UsageOnError(),
		kong.Description("Telemetry gateway backend: verified readings from meters to accounts."),
		kong.Vars{"version": version}, kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }))
	if err != nil {
		fmt.Fprintln(stderr, "yunhe:", err)
		return 1
	}
	call, err := parser.Parse(args)
	if exit >= 0 { // help or version was printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "yunhe: %s; add --help to see what the command takes\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	level := cli.level(call.Command())
	t := &terminal{ctx: ctx, out: stdout, logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))}
	if err := call.Run(t); err != nil {
		fmt.Fprintln(stderr, "yunhe:", err)
		return 1
	}
	return 0
}

// level is the log level of a command. The demo talks to a person, so there
// only what somebody should look at is logged.
func (c commands) level(command string) slog.Level {
	var level slog.Level
	if c.Log == "" {
		if command == "demo" {
			return slog.LevelWarn
		}
		return slog.LevelInfo
	}
	if err := level.UnmarshalText([]byte(c.Log)); err != nil {
		return slog.LevelInfo // kong has checked the word
	}
	return level
}
