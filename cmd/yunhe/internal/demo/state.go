package demo

import (
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"yunhe/collector"
	"yunhe/edge"
	"yunhe/internal/access"
	"yunhe/internal/catalog"
	"yunhe/internal/simulate"
	"yunhe/internal/telemetry"
)

// historyEvery is the period of the polls of the past.
const historyEvery = 5 * time.Minute

// state is what a second start must know of the first: the world begins at
// the same instant, and the past is made once.
type state struct {
	Start time.Time `json:"start"` // of the world and of the history
	// Until is where the history ends: the first start.
	Until time.Time `json:"until"`
	// Made is how far the history is journalled.
	Made time.Time `json:"made"`
}

// loadState reads the state of an earlier start or begins a new one.
func loadState(dir string, now time.Time, days int) (s state, err error) {
	path := filepath.Join(dir, "demo.json")
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Until = now.UTC().Truncate(historyEvery)
		s.Start = s.Until.AddDate(0, 0, -days)
		s.Made = s.Start
		return s, s.save(dir)
	case err != nil:
		return s, fmt.Errorf("read state of the demo: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read %s: %w: remove the folder %s to begin anew", path, err, dir)
	}
	return s, nil
}

func (s state) save(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	path := filepath.Join(dir, "demo.json")
	if err == nil {
		err = os.WriteFile(path+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("save state of the demo: %w", err)
	}
	return nil
}

//go:embed catalog.yaml
var catalogText []byte

// loadCatalog writes the demo's catalog where people can look at it and reads
// it back.
func loadCatalog(path string) (*catalog.Catalog, error) {
	if err := os.WriteFile(path, catalogText, 0o644); err != nil {
		return nil, err
	}
	return catalog.Load(path)
}

// enrol trusts the agent's key, once.
func enrol(path string, k edge.PublicKey) error {
	all, err := collector.ListKeys(path)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Fingerprint == k.Fingerprint && e.Revoked == nil {
			return nil
		}
	}
	_, err = collector.Enroll(path, site, gateway, k.Text, time.Now())
	return err
}

// apiKey returns the demo's API key, made at the first start.
func apiKey(keysFile, keyFile string, now time.Time) (string, error) {
	if b, err := os.ReadFile(keyFile); err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	secret, _, err := access.Create(keysFile, access.Request{Person: "demo", Role: access.Admin, AllSites: true}, now)
	if err != nil {
		return "", err
	}
	return secret, os.WriteFile(keyFile, []byte(secret+"\n"), 0o600)
}

// gatewayConfig turns the endpoints of a simulated site into what the agent
// reads: a bus for each address, named by its order, so that the past's buses
// have the names of the present's.
func gatewayConfig(ends []simulate.Endpoint) (buses []edge.Bus, devices []edge.Device) {
	names := map[string]string{}
	for _, e := range ends {
		if names[e.Address] == "" {
			names[e.Address] = fmt.Sprintf("bus-%d", len(names)+1)
			buses = append(buses, edge.Bus{ID: names[e.Address], Address: e.Address})
		}
		devices = append(devices, edge.Device{ID: e.Device, Profile: e.Profile, Bus: names[e.Address], Unit: e.Unit, I2CAddress: e.I2C})
	}
	return buses, devices
}

// clock is the machine's clock as the demo vouches for it: informative,
// because nobody has compared it with anything.
type clock struct {
	boot  [16]byte
	start time.Time
}

func newClock() clock {
	c := clock{start: time.Now()}
	_, _ = rand.Read(c.boot[:]) // never fails
	return c
}

// Now returns the machine's time.
func (c clock) Now() time.Time { return time.Now().UTC() }

// Clock returns the state that is signed with each batch.
func (c clock) Clock() telemetry.Clock {
	return telemetry.Clock{State: telemetry.Informative, BootID: c.boot, Mono: time.Since(c.start)}
}
