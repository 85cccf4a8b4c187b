// Package setup writes a working configuration folder for a site: every
// secret is random and made here, there is no default password.
package setup

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"yunhe/collector"
	"yunhe/internal/access"
	"yunhe/internal/broker"
	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

//go:embed templates
var templates embed.FS

// The collector's names in what setup writes.
const (
	collectorAccount = "collector"
	host             = "yunhe"
)

// Options say what kind of installation is written.
type Options struct {
	Dir      string   // configuration folder; made if it is not there
	Site     string   // id of the first site
	Gateways []string // ids of gateways that get an account at the broker
	Admin    string   // person who gets the first API key
	StateDir string   // of the collector; relative to Dir
	Listen   string   // host:port of the API
	// MQTT is the broker's URL; empty means the embedded one, on loopback.
	MQTT string
	// Influx is the URL of InfluxDB; empty means SQLite.
	Influx string
	// RecordsListen and RecordsURL make collector and API two processes.
	RecordsListen, RecordsURL string
	// EdgeDir is the configuration folder of a gateway agent on this machine,
	// the first of Gateways, that reads the devices of `yunhe simulate` on host
	// Simulator; empty means none. Its key is made and enrolled.
	EdgeDir, EdgeState, Simulator string
}

// page is what the templates see.
type page struct {
	Options
	Host, MQTTListen string
}

// Write fills the folder. A file that is there already is left as it is, so a
// second run adds what is missing and changes nothing. It returns the paths
// that it wrote.
func Write(o Options, now time.Time) (written []string, err error) {
	if err := check(o); err != nil {
		return nil, err
	}
	w := &writer{dir: o.Dir}
	w.makeDir("secrets", 0o700)
	p := page{Options: o, Host: host}
	embedded := o.MQTT == ""
	if embedded {
		p.MQTT, p.MQTTListen = "mqtt://127.0.0.1:1883", "127.0.0.1:1883"
	}
	w.render("collector.yaml", p)
	w.render("api.yaml", p)
	w.render("catalog.yaml", p)
	if embedded {
		w.render("broker.yaml", p)
	} else {
		w.render("mosquitto.conf", p)
	}
	w.accounts(o)
	if o.RecordsListen != "" {
		w.secret("secrets/records.token")
	}
	if o.Influx != "" {
		w.secret("secrets/influx.token")
		w.secret("secrets/influx.password")
	}
	w.adminKey(o, now)
	if o.EdgeDir != "" {
		w.edge(p, now)
	}
	return w.written, w.err
}

func check(o Options) error {
	var errs []error
	for _, id := range append([]string{o.Site}, o.Gateways...) {
		errs = append(errs, telemetry.CheckID(id))
	}
	if o.Dir == "" || o.StateDir == "" || o.Listen == "" || o.Admin == "" {
		errs = append(errs, errors.New("a folder, a state folder, an address to listen on and an administrator's name are needed"))
	}
	if o.EdgeDir != "" && (len(o.Gateways) == 0 || o.EdgeState == "" || o.Simulator == "") {
		errs = append(errs, errors.New("a gateway on this machine needs its id, a state folder and the host of the simulated devices"))
	}
	return errors.Join(errs...)
}

// ACL writes mosquitto's acl_file for the gateways of an installation.
func ACL(o Options) error {
	users := make([]collector.ACLUser, 0, len(o.Gateways))
	for _, g := range o.Gateways {
		users = append(users, collector.ACLUser{User: broker.AccountName(o.Site, g), Site: o.Site, Gateway: g})
	}
	text, err := collector.GatewayACL(collectorAccount, host, []string{o.Site}, users)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.Dir, "mqtt-acl"), []byte(text), 0o644)
}

// writer writes files until the first error.
type writer struct {
	dir     string
	written []string
	err     error
}

func (w *writer) makeDir(name string, mode fs.FileMode) {
	if w.err == nil {
		w.err = os.MkdirAll(filepath.Join(w.dir, name), mode)
	}
}

// file writes a file that is not there yet and reports whether it did.
func (w *writer) file(name string, text []byte, mode fs.FileMode) bool {
	if w.err != nil {
		return false
	}
	path := filepath.Join(w.dir, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return false
	}
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		w.err = fmt.Errorf("write configuration: %w", err)
		return false
	}
	w.written = append(w.written, path)
	return true
}

func (w *writer) render(name string, p page) {
	if w.err != nil {
		return
	}
	t, err := template.ParseFS(templates, "templates/"+name)
	var text bytes.Buffer
	if err == nil {
		err = t.Execute(&text, p)
	}
	if err != nil {
		w.err = fmt.Errorf("write %s: %w", name, err)
		return
	}
	w.file(name, text.Bytes(), 0o644)
}

// secret writes 256 random bits.
func (w *writer) secret(name string) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil && w.err == nil {
		w.err = fmt.Errorf("make secret: %w", err)
		return
	}
	w.file(name, []byte(base64.RawURLEncoding.EncodeToString(b)+"\n"), 0o600)
}

// accounts gives the collector and each gateway an account at the broker; the
// gateway's password is in secrets/mqtt-GATEWAY.password, to be taken there.
func (w *writer) accounts(o Options) {
	path := filepath.Join(o.Dir, "mqtt-passwords")
	all, err := broker.ReadPasswords(path)
	if err != nil && w.err == nil {
		w.err = err
	}
	add := func(account, file string) {
		if _, there := all[account]; there || w.err != nil {
			return
		}
		password, err := all.Set(account)
		if err != nil {
			w.err = err
			return
		}
		if !w.file(file, []byte(password+"\n"), 0o600) && w.err == nil {
			w.err = fmt.Errorf("give %s an account: %s is there, but the account is not in %s: remove the file and run setup again", account, filepath.Join(o.Dir, file), path)
		}
	}
	add(collectorAccount, "secrets/mqtt-collector.password")
	for _, g := range o.Gateways {
		add(broker.AccountName(o.Site, g), "secrets/mqtt-"+g+".password")
	}
	if w.err == nil {
		w.err = all.Write(path)
	}
	if w.err == nil && o.MQTT != "" {
		w.err = ACL(o)
	}
}

// adminKey makes the first API key.
func (w *writer) adminKey(o Options, now time.Time) {
	path := filepath.Join(o.Dir, "api-keys.yaml")
	if _, err := os.Stat(path); err == nil || w.err != nil {
		return
	}
	const file = "secrets/api-admin.key"
	if _, err := os.Lstat(filepath.Join(w.dir, file)); err == nil {
		w.err = fmt.Errorf("make the first API key: %s is there, but %s is not: remove it and run setup again", filepath.Join(w.dir, file), path)
		return
	}
	secret, _, err := access.Create(path, access.Request{Person: o.Admin, Role: access.Admin, AllSites: true}, now)
	if err != nil {
		w.err = err
		return
	}
	w.written = append(w.written, path)
	w.file(file, []byte(secret+"\n"), 0o600)
}

// edge writes the folder of a gateway agent, makes its key and enrols it.
func (w *writer) edge(p page, now time.Time) {
	if w.err != nil {
		return
	}
	gateway := p.Gateways[0]
	password, err := os.ReadFile(filepath.Join(p.Dir, "secrets", "mqtt-"+gateway+".password"))
	if err != nil {
		w.err = fmt.Errorf("take the gateway's password: %w", err)
		return
	}
	own := &writer{dir: p.EdgeDir}
	own.makeDir(".", 0o755)
	own.render("edge.yaml", p)
	own.file("mqtt.password", password, 0o600)
	w.written = append(w.written, own.written...)
	if w.err = own.err; w.err != nil {
		return
	}
	if w.err = os.MkdirAll(p.EdgeState, 0o700); w.err != nil {
		return
	}
	key, _, err := evidence.LoadOrCreateKey(filepath.Join(p.EdgeState, "gateway.key"))
	if err == nil {
		err = enrol(filepath.Join(p.Dir, "gateways.yaml"), p.Site, gateway, key.Public(), now)
	}
	if err != nil {
		w.err = fmt.Errorf("enrol the gateway: %w", err)
	}
}

// enrol trusts a key that was never enrolled; one that was revoked stays so.
func enrol(path, site, gateway string, k evidence.PublicKey, now time.Time) error {
	all, err := collector.ListKeys(path)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Fingerprint == k.Fingerprint() {
			return nil
		}
	}
	_, err = collector.Enroll(path, site, gateway, k.String(), now)
	return err
}
