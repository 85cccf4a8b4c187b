package main

import (
	"fmt"
	"net"
	"path/filepath"

	"yunhe/cmd/yunhe/internal/demo"
)

type demoCommand struct {
	Dir    string `help:"Where the demo keeps its state." default:"data/demo" type:"path"`
	Listen string `help:"Address of the page and the API; loopback only." default:"127.0.0.1:8480"`
	Days   int    `help:"Days of history made at the first start." default:"35"`
}

// Run runs the demo until Ctrl-C.
func (c demoCommand) Run(t *terminal) error {
	name, _, err := net.SplitHostPort(c.Listen)
	if ip := net.ParseIP(name); err != nil || (name != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return fmt.Errorf("the demo has a known key and listens on loopback only: use --listen 127.0.0.1:PORT, not %q", c.Listen)
	}
	if c.Days < 0 || c.Days > 400 {
		return fmt.Errorf("--days %d: give 0 to 400", c.Days)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	return demo.Run(t.ctx, demo.Options{Dir: dir, Listen: c.Listen, Days: c.Days, Out: t.out, Logger: t.logger, Version: version})
}
