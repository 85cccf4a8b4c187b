package evidence

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	pemType     = "PRIVATE KEY"
	maxKeyFile  = 16 << 10
	keyFileMode = 0o600
)

// LoadOrCreateKey loads the PKCS#8 PEM file at path, or makes a new Ed25519
// key there (mode 0600, on disk before it returns). A file that others may
// read is refused. Of two processes that create at once, both get the key of
// the first.
func LoadOrCreateKey(path string) (k *PrivateKey, created bool, err error) {
	k, err = LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	switch err := createKey(path); {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return nil, false, fmt.Errorf("create key file: %w", err)
	default:
		created = true
	}
	k, err = LoadKey(path)
	return k, created && err == nil, err
}

// LoadKey loads the PKCS#8 PEM file at path.
func LoadKey(path string) (*PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("load key: others may use %s (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	signer, reason := parseKeyFile(data)
	if reason != "" {
		return nil, fmt.Errorf("load key: %s %s: restore it from a backup, or move it away to make a new key, which must then be enrolled", path, reason)
	}
	return newPrivateKey(signer)
}

func parseKeyFile(data []byte) (key crypto.Signer, reason string) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return nil, fmt.Sprintf("holds no PEM block %q", pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, "is damaged"
	}
	ed, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Sprintf("holds a %T, not an Ed25519 key", parsed)
	}
	return ed, ""
}

// createKey writes a new key beside path, makes it durable and gives it its
// name, without ever replacing a file that is there: open, write, fsync,
// close, link, fsync of the folder.
func createKey(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := writeKey(f, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeKey(f *os.File, data []byte) error {
	_, err := f.Write(data)
	return errors.Join(err, f.Chmod(keyFileMode), f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
