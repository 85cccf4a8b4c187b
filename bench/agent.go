package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"yunhe/edge"
)

// agentSetup says how an agent of a run is set up.
type agentSetup struct {
	name   string // of its state folder; its gateway id is gw-<name>
	broker string // with scheme
	caFile string
	link   string // section link, empty means ethernet
	sync   string // of the journal
	poll   string // period of all points
	meters int
	lines  []string // sockets that the meters are behind
}

// agentConfig writes the configuration of an agent and loads it.
func (b *bench) agentConfig(s agentSetup) (path string, cfg edge.Config, err error) {
	profile, err := fastProfile()
	if err != nil {
		return "", cfg, err
	}
	file, err := b.file(filepath.Join("profiles", meterProfile+".yaml"), profile)
	if err != nil {
		return "", cfg, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "gateway: gw-%s\nsite: %s\nstate_dir: %s\nprofile_dir: %s\n", s.name, site, filepath.Join(b.dir, b.group, "edge-"+s.name), filepath.Dir(file))
	fmt.Fprintf(&text, "broker:\n  url: %s\n", s.broker)
	if s.caFile != "" {
		fmt.Fprintf(&text, "  ca_file: %s\n", s.caFile)
	}
	if s.link != "" {
		fmt.Fprintf(&text, "link: %s\n", s.link)
	}
	fmt.Fprintf(&text, "journal: {sync: %s}\npoll: {fast: %s, slow: %s}\nbuses:\n", s.sync, s.poll, s.poll)
	for i, address := range s.lines {
		fmt.Fprintf(&text, "  - {id: line-%d, address: \"tcp://%s\"}\n", i+1, address)
	}
	text.WriteString("devices:\n")
	for i := range s.meters {
		fmt.Fprintf(&text, "  - {id: meter-%d, profile: %s, bus: line-%d, unit: %d, points: [%s]}\n", i+1, meterProfile, i/metersPerLine+1, i%metersPerLine+1, strings.Join(meterPoints(), ", "))
	}
	if path, err = b.file(filepath.Join(b.group, "edge-"+s.name+".yaml"), text.String()); err != nil {
		return "", cfg, err
	}
	cfg, err = edge.Load(path)
	return path, cfg, err
}

// enrollAgent makes the agent's key and makes it known to a collector.
func (b *bench) enrollAgent(cfg edge.Config, c collectorSetup) error {
	key, err := edge.Key(cfg)
	if err != nil {
		return err
	}
	return b.enroll(c, cfg.Gateway, key.Text)
}

// startAgent runs `yunhe-edge run` and waits until it is connected.
func (b *bench) startAgent(name, path string, cfg edge.Config) (*process, error) {
	cmd := exec.Command(b.tools.edge, "run", "-c", path)
	if b.profile != "" {
		cmd = b.ownMode(modeEdge, path, filepath.Join(b.profile, "edge-"+name+".pprof"))
	}
	p, err := b.start("edge-"+name, cmd)
	if err != nil {
		return nil, err
	}
	return p, b.until("the agent is connected and acknowledged", 60*time.Second, p, func() bool {
		s, err := edge.QueryStatus(b.ctx, cfg)
		return err == nil && s.Session.Connected && s.Session.Acked > 0
	})
}

// backlogOf is the number of entries that are not acknowledged.
func backlogOf(s edge.Status) (n uint64) {
	for _, j := range s.Journals {
		n += j.Backlog
	}
	return n
}

// pollsOf are the polls of all devices, and those left out.
func pollsOf(s edge.Status) (polls, skipped uint64) {
	for _, d := range s.Devices {
		polls, skipped = polls+d.Polls, skipped+d.Skipped
	}
	return polls, skipped
}
