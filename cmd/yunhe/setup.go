package main

import (
	"fmt"
	"os"
	"os/user"
	"time"

	"yunhe/cmd/yunhe/internal/setup"
)

type setupCommand struct {
	Dir        string   `arg:"" help:"Folder to write; files that are there stay as they are." type:"path"`
	Site       string   `help:"Id of the site, such as tongzhou-park." required:""`
	Gateway    []string `help:"Id of a gateway; repeat for more." required:""`
	Admin      string   `help:"Person who gets the first API key; default: who runs this."`
	StateDir   string   `help:"Where the collector keeps its data, relative to the folder." default:"state"`
	Listen     string   `help:"Address of the API and the pages." default:"127.0.0.1:8480"`
	MQTT       string   `name:"mqtt" help:"URL of another broker, such as mqtt://mosquitto:1883; default: the embedded one."`
	Influx     string   `help:"URL of InfluxDB, such as http://influxdb:8086; default: SQLite."`
	Records    string   `help:"Address of the collector's records listener, for an API in a process of its own."`
	RecordsURL string   `help:"URL under which the API reaches the records listener."`

	EdgeDir   string `help:"Also configure an agent for the first gateway in this folder, with simulated devices." type:"path"`
	EdgeState string `help:"State folder of that agent." type:"path"`
	Simulator string `help:"Host of 'yunhe simulate' for that agent." default:"127.0.0.1"`
}

// Run writes the folder and says what comes next.
func (c setupCommand) Run(t *terminal) error {
	if c.Admin == "" {
		c.Admin = "administrator"
		if u, err := user.Current(); err == nil && u.Username != "" {
			c.Admin = u.Username
		}
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	written, err := setup.Write(setup.Options{
		Dir: c.Dir, Site: c.Site, Gateways: c.Gateway, Admin: c.Admin, StateDir: c.StateDir, Listen: c.Listen,
		MQTT: c.MQTT, Influx: c.Influx, RecordsListen: c.Records, RecordsURL: c.RecordsURL,
		EdgeDir: c.EdgeDir, EdgeState: c.EdgeState, Simulator: c.Simulator,
	}, time.Now())
	for _, path := range written {
		fmt.Fprintln(t.out, "wrote", path)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, `
Next:
  yunhe serve %[1]s
  sign in at http://%[2]s with the key in %[1]s/secrets/api-admin.key
  for each gateway, such as %[4]s:
  take %[1]s/secrets/mqtt-%[4]s.password to it as its broker password, mode 0600
  run 'yunhe-edge key' on it, then here
  yunhe gateway enroll --file %[1]s/gateways.yaml %[3]s %[4]s 'WHAT IT PRINTED'
`, c.Dir, c.Listen, c.Site, c.Gateway[0])
	if err == nil && c.MQTT == "" {
		_, err = fmt.Fprintf(t.out, "The broker is for this machine only: for gateways elsewhere add tls to %s/broker.yaml, see docs/operations.md\n", c.Dir)
	}
	return err
}
