package broker

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode"

	"yunhe/internal/wholefile"
)

// maxPasswordFile bounds the file; one account is about 130 bytes.
const maxPasswordFile = 16 << 20

// maxName bounds the name of an account, in bytes.
const maxName = 256

// breaksLine reports a character that cannot stand in a name of the file.
func breaksLine(r rune) bool {
	return r == ':' || r == unicode.ReplacementChar || unicode.IsSpace(r) || unicode.IsControl(r)
}

// Passwords are the accounts of a password file, the same file for the
// embedded broker and for mosquitto: one `name:$7$…` a line.
type Passwords map[string]Secret

// ReadPasswords reads a password file; a file that is not there holds no
// account.
func ReadPasswords(path string) (Passwords, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Passwords{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read passwords: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxPasswordFile {
		return nil, fmt.Errorf("read passwords: %s is larger than %d bytes or unreadable", path, maxPasswordFile)
	}
	all := Passwords{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, text, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s:%d: no name before a colon", path, n)
		}
		secret, err := ParseSecret(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: account %s: %w", path, n, name, err)
		}
		all[name] = secret
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read passwords: %w", err)
	}
	return all, nil
}

// Write replaces the file at path, durably and at once, readable by its owner
// and group only.
func (p Passwords) Write(path string) error {
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "%s:%s\n", name, p[name])
	}
	return wholefile.Write(path, []byte(text.String()), 0o640)
}

// SetPassword is ReadPasswords, Set and Write for a file that others may be
// changing too.
func SetPassword(path, name string) (password string, err error) {
	err = wholefile.Locked(path, func() error {
		all, err := ReadPasswords(path)
		if err != nil {
			return err
		}
		if password, err = all.Set(name); err != nil {
			return err
		}
		return all.Write(path)
	})
	if err != nil {
		return "", err
	}
	return password, nil
}

// Set gives the account name a fresh random password of 256 bits and returns
// it; it is not kept anywhere in clear. A name that would break the file for
// all accounts is refused.
func (p Passwords) Set(name string) (password string, err error) {
	if name == "" || len(name) > maxName || strings.HasPrefix(name, "#") || strings.ContainsFunc(name, breaksLine) {
		return "", fmt.Errorf("make password: %.80q is no account name: use 1 to %d letters without spaces or colons, such as SITE.GATEWAY", name, maxName)
	}
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make password: %w", err)
	}
	password = base64.RawURLEncoding.EncodeToString(b)
	secret, err := NewSecret(password)
	if err != nil {
		return "", err
	}
	p[name] = secret
	return password, nil
}
