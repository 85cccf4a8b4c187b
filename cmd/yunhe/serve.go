package main

import (
	"yunhe/cmd/yunhe/internal/server"
	"yunhe/collector"
	"yunhe/internal/catalog"
)

type serveCommand struct {
	Dir string `arg:"" help:"Configuration folder, as yunhe setup writes it." type:"existingdir"`
}

// Run serves until it is told to stop.
func (c serveCommand) Run(t *terminal) error {
	return t.program().Serve(t.ctx, c.Dir)
}

type collectorCommand struct {
	Config  string `help:"Configuration file." required:"" type:"existingfile"`
	Catalog string `help:"Catalog; names the former ids of gateways and devices." type:"existingfile"`
}

// Run collects until it is told to stop.
func (c collectorCommand) Run(t *terminal) error {
	cfg, err := collector.Load(c.Config)
	if err != nil {
		return err
	}
	var cat *catalog.Catalog
	if c.Catalog != "" {
		if cat, err = catalog.Load(c.Catalog); err != nil {
			return err
		}
	}
	return t.program().Collector(t.ctx, cfg, cat)
}

type apiCommand struct {
	Config string `help:"Configuration file." required:"" type:"existingfile"`
}

// Run answers until it is told to stop.
func (c apiCommand) Run(t *terminal) error {
	cfg, err := server.LoadAPI(c.Config, true)
	if err != nil {
		return err
	}
	return t.program().API(t.ctx, cfg)
}

func (t *terminal) program() server.Program {
	return server.Program{Logger: t.logger, Version: version}
}
