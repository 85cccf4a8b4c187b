package edge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"yunhe/edge/internal/bus"
	"yunhe/internal/evidence"
	"yunhe/internal/profile"
)

// Finding is one thing that Check looked at.
type Finding struct {
	What  string `json:"what"`
	Fault string `json:"fault,omitempty"` // a sentence with cause and remedy; empty means in order
}

// Check looks at everything the agent will need, without touching a device or
// the network: profiles, points, secrets and their modes, certificates, the
// state directory, device files. ok is false if there is any fault.
func Check(cfg Config) (findings []Finding, ok bool) {
	cfg = cfg.WithDefaults()
	ok = true
	add := func(what string, err error) {
		f := Finding{What: what}
		if err != nil {
			f.Fault, ok = err.Error(), false
		}
		findings = append(findings, f)
	}
	add("config", cfg.Validate())
	known := map[string]*profile.Profile{}
	for _, d := range cfg.Devices {
		_, err := cfg.resolveDevice(d, busKind(cfg, d.Bus), known)
		add("device "+d.ID+", profile "+d.Profile, err)
	}
	add("state directory "+cfg.StateDir, checkWritable(cfg.StateDir))
	key := "key " + cfg.KeyFile
	if _, err := os.Stat(cfg.KeyFile); errors.Is(err, fs.ErrNotExist) {
		key += " (made at the first start)"
	}
	add(key, checkKey(cfg.KeyFile))
	checkBroker(cfg.Broker, add)
	for _, b := range cfg.Buses {
		if a, err := bus.ParseAddress(b.Address); err == nil && a.Path != "" {
			add("bus "+b.ID+", "+a.Path, checkDeviceFile(a.Path))
		}
	}
	return findings, ok
}

func busKind(cfg Config, id string) bus.Kind {
	for _, b := range cfg.Buses {
		if a, err := bus.ParseAddress(b.Address); err == nil && b.ID == id {
			return a.Kind
		}
	}
	return 0
}

// checkWritable makes and removes a file in dir, or in the directory that dir
// will be made in.
func checkWritable(dir string) error {
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is no directory; move it away or change state_dir", dir)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return fmt.Errorf("cannot be used: %w", err)
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".yunhe-check-*")
	if err != nil {
		return fmt.Errorf("cannot write in %s: %w; give it to the user the agent runs as", dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkKey accepts a key that is not there yet: the first start makes it.
func checkKey(path string) error {
	_, err := evidence.LoadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func checkBroker(b Broker, add func(string, error)) {
	if b.PasswordFile != "" {
		add("password "+b.PasswordFile, checkSecret(b.PasswordFile))
	}
	if b.CAFile != "" {
		pem, err := os.ReadFile(b.CAFile)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no PEM certificate; give the CA that signed the broker's", b.CAFile)
		}
		add("CA "+b.CAFile, err)
	}
	if b.CertFile != "" {
		_, err := tls.LoadX509KeyPair(b.CertFile, b.KeyFile)
		add("client certificate "+b.CertFile, errors.Join(err, checkSecret(b.KeyFile)))
	}
}

// checkSecret demands a file that is readable for us and for nobody else.
func checkSecret(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist; write the secret into it and run chmod 600 %s", path, path)
	}
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o and can be read by others; run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err == nil && len(text) == 0 {
		return fmt.Errorf("%s is empty", path)
	}
	return err
}

// checkDeviceFile opens a serial port or I2C bus without talking on it.
func checkDeviceFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|nonBlock, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist; plug the adapter in, or look for its name in /dev/serial/by-id", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened; add the user the agent runs as to the group of the file (ls -l %s), dialout or i2c on Debian", path, path)
	case err != nil:
		return err
	}
	return f.Close()
}
