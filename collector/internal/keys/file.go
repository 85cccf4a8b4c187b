package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

// maxFile bounds the enrolment file: 50,000 keys.
const maxFile = 16 << 20

// header begins the file.
const header = "# Written by `yunhe gateway`. Do not edit: a running collector reads it again when it changes.\n"

// Enrolment is one line of the file's life: a key bound to a gateway.
type Enrolment struct {
	Site             string     `yaml:"site"`
	Gateway          string     `yaml:"gateway"`
	Key              string     `yaml:"key"`         // one-line public key
	Fingerprint      string     `yaml:"fingerprint"` // SHA256:<base64>, for people
	From             time.Time  `yaml:"from"`
	Revoked          *time.Time `yaml:"revoked,omitempty"`
	CompromisedSince *time.Time `yaml:"compromised_since,omitempty"`
}

func (e Enrolment) revoked() time.Time     { return value(e.Revoked) }
func (e Enrolment) compromised() time.Time { return value(e.CompromisedSince) }

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

type document struct {
	Version int         `yaml:"version"`
	Keys    []Enrolment `yaml:"keys"`
}

// Load reads the file; a missing one holds no key.
func Load(path string) ([]Enrolment, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read enrolled keys: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read enrolled keys: %s has %d bytes, at most %d are read", path, info.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read enrolled keys: %w", err)
	}
	return parse(path, b)
}

func parse(path string, b []byte) ([]Enrolment, error) {
	var d document
	if err := yaml.UnmarshalWithOptions(b, &d, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("read enrolled keys: %s: %w", path, err)
	}
	if d.Version != 1 {
		return nil, fmt.Errorf("read enrolled keys: %s has version %d, this program reads 1", path, d.Version)
	}
	for i, e := range d.Keys {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("read enrolled keys: %s: keys[%d]: %w", path, i, err)
		}
	}
	return d.Keys, nil
}

func (e Enrolment) check() error {
	p, err := evidence.ParsePublicKey(e.Key)
	switch {
	case err != nil:
		return err
	case p.Fingerprint() != e.Fingerprint:
		return fmt.Errorf("the fingerprint %s is not that of the key, %s: enrol the key again", e.Fingerprint, p.Fingerprint())
	case e.From.IsZero():
		return errors.New("from is missing")
	}
	return errors.Join(telemetry.CheckID(e.Site), telemetry.CheckID(e.Gateway))
}

// Enroll adds a key for a gateway. A key that is in force for the same gateway
// is no error and no second line; one in force elsewhere is refused.
func Enroll(path, site, gateway, publicKey string, at time.Time) (Enrolment, error) {
	e := Enrolment{Site: site, Gateway: gateway, Key: strings.TrimSpace(publicKey), From: at.UTC().Truncate(time.Second)}
	p, err := evidence.ParsePublicKey(e.Key)
	if err != nil {
		return e, fmt.Errorf("enrol key: %w", err)
	}
	e.Key, e.Fingerprint = p.String(), p.Fingerprint()
	if err := e.check(); err != nil {
		return e, fmt.Errorf("enrol key: %w", err)
	}
	err = edit(path, func(list []Enrolment) ([]Enrolment, error) {
		for _, o := range list {
			if o.Fingerprint != e.Fingerprint || o.Revoked != nil {
				continue
			}
			if o.Site != site || o.Gateway != gateway {
				return nil, fmt.Errorf("enrol key: %s is in force for %s/%s: revoke it there first", e.Fingerprint, o.Site, o.Gateway)
			}
			e = o
			return list, nil
		}
		return append(list, e), nil
	})
	return e, err
}

// Revoke ends every enrolment in force of a key. compromisedSince is zero for
// a key that was merely replaced: what it signed before at is then still taken;
// after a compromise nothing that arrives is.
func Revoke(path, fingerprint string, compromisedSince, at time.Time) error {
	return edit(path, func(list []Enrolment) ([]Enrolment, error) {
		found := false
		for i := range list {
			if list[i].Fingerprint != fingerprint {
				continue
			}
			found = true
			if list[i].Revoked == nil {
				list[i].Revoked = stampTime(at)
			}
			if !compromisedSince.IsZero() {
				list[i].CompromisedSince = stampTime(compromisedSince)
			}
		}
		if !found {
			return nil, fmt.Errorf("revoke key: no key has the fingerprint %s: see the list of enrolled keys", fingerprint)
		}
		return list, nil
	})
}

func stampTime(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Second)
	return &t
}

// edit changes the file under a lock, so that two commands lose no line.
func edit(path string, change func([]Enrolment) ([]Enrolment, error)) error {
	unlock, err := lock(path + ".lock")
	if err != nil {
		return fmt.Errorf("change enrolled keys: %w", err)
	}
	defer unlock()
	list, err := Load(path)
	if err != nil {
		return err
	}
	if list, err = change(slices.Clone(list)); err != nil {
		return err
	}
	b, err := yaml.Marshal(document{Version: 1, Keys: list})
	if err != nil {
		return fmt.Errorf("change enrolled keys: %w", err)
	}
	if err := replace(path, append([]byte(header), b...)); err != nil {
		return fmt.Errorf("change enrolled keys: %w", err)
	}
	return nil
}

// replace writes the whole file: written, synced, renamed, directory synced.
// After a power cut there is the old file or the new one.
func replace(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keys-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
