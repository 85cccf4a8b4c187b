package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"

	"yunhe/internal/telemetry"
	"yunhe/internal/wholefile"
)

const (
	// prefix lets secret scanners recognise a key in a repository.
	prefix = "yh_"

	maxKeys      = 4096
	maxFileBytes = 4 << 20
	maxPerson    = 128
	fileVersion  = 1

	head = "# Written by yunhe. Do not edit: use yunhe key create, list and revoke.\n"
)

// ErrUnknownKey says that no key has the id.
var ErrUnknownKey = errors.New("no such key")

// encoding keeps keys free of characters that shells and URLs change.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// stored is one key as it stands in the file.
type stored struct {
	ID      string   `yaml:"id"`
	SHA256  string   `yaml:"sha256"` // of the whole key, hex
	Person  string   `yaml:"person"`
	Role    string   `yaml:"role"`
	Sites   []string `yaml:"sites,omitempty"`
	All     bool     `yaml:"all_sites,omitempty"`
	Created string   `yaml:"created"`
	Revoked string   `yaml:"revoked,omitempty"`
}

type file struct {
	Version int      `yaml:"version"`
	Keys    []stored `yaml:"keys"`
}

// entry is a checked key with its hash.
type entry struct {
	Key
	hash [sha256.Size]byte
}

// Request says for whom a key is made.
type Request struct {
	Person   string
	Role     Role
	AllSites bool
	Sites    []string // at least one unless AllSites
}

func (q Request) check() error {
	person := strings.TrimSpace(q.Person)
	switch {
	case person == "":
		return errors.New("person is missing: a key belongs to a person, give the name")
	case len(person) > maxPerson || strings.ContainsFunc(person, unicode.IsControl):
		return fmt.Errorf("person must be at most %d bytes without control characters", maxPerson)
	case q.AllSites && len(q.Sites) > 0:
		return errors.New("give either all sites or a list of sites, not both")
	case !q.AllSites && len(q.Sites) == 0:
		return errors.New("sites are missing: list the sites the key may read, or say all")
	}
	if _, err := ParseRole(string(q.Role)); err != nil {
		return err
	}
	for _, s := range q.Sites {
		if err := telemetry.CheckID(s); err != nil {
			return fmt.Errorf("site: %w", err)
		}
	}
	return nil
}

// Create makes a key, stores its hash in the file at path (made with mode 0600
// if it is not there) and returns the key itself, which nothing can show again.
func Create(path string, q Request, now time.Time) (secret string, k Key, err error) {
	if err := q.check(); err != nil {
		return "", Key{}, fmt.Errorf("create key: %w", err)
	}
	raw := make([]byte, 7+32)
	if _, err := rand.Read(raw); err != nil {
		return "", Key{}, fmt.Errorf("create key: %w", err)
	}
	k = Key{
		ID: encoding.EncodeToString(raw[:7]), Person: strings.TrimSpace(q.Person), Role: q.Role,
		AllSites: q.AllSites, Created: now.UTC().Truncate(time.Second),
	}
	k.Sites = slices.Compact(slices.Sorted(slices.Values(q.Sites)))
	secret = prefix + k.ID + "_" + encoding.EncodeToString(raw[7:])
	err = update(path, func(keys []entry) ([]entry, error) {
		if len(keys) >= maxKeys {
			return nil, fmt.Errorf("the file holds %d keys: remove it and make new ones, or use a second API", len(keys))
		}
		return append(keys, entry{Key: k, hash: sha256.Sum256([]byte(secret))}), nil
	})
	if err != nil {
		return "", Key{}, fmt.Errorf("create key: %w", err)
	}
	return secret, k, nil
}

// List returns all keys, revoked ones too, in the order they were made.
func List(path string) ([]Key, error) {
	entries, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	keys := make([]Key, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return keys, nil
}

// Revoke ends a key; a running API refuses it from its next request on.
// Revoking twice keeps the first date.
func Revoke(path, id string, now time.Time) (Key, error) {
	var out Key
	err := update(path, func(keys []entry) ([]entry, error) {
		i := slices.IndexFunc(keys, func(e entry) bool { return e.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("%w: %q; yunhe key list shows all", ErrUnknownKey, id)
		}
		if keys[i].Revoked.IsZero() {
			keys[i].Revoked = now.UTC().Truncate(time.Second)
		}
		out = keys[i].Key
		return keys, nil
	})
	if err != nil {
		return Key{}, fmt.Errorf("revoke key: %w", err)
	}
	return out, nil
}

// update changes the file under a lock, so that two commands at once both
// take effect.
func update(path string, change func([]entry) ([]entry, error)) error {
	return wholefile.Locked(path, func() error {
		keys, err := load(path)
		if err != nil {
			return err
		}
		if keys, err = change(keys); err != nil {
			return err
		}
		return write(path, keys)
	})
}

// write replaces the file in one step: a reader sees the old or the new one.
func write(path string, keys []entry) error {
	f := file{Version: fileVersion, Keys: make([]stored, len(keys))}
	for i, e := range keys {
		f.Keys[i] = stored{
			ID: e.ID, SHA256: hex.EncodeToString(e.hash[:]), Person: e.Person, Role: string(e.Role),
			Sites: e.Sites, All: e.AllSites, Created: e.Created.Format(time.RFC3339),
		}
		if !e.Revoked.IsZero() {
			f.Keys[i].Revoked = e.Revoked.Format(time.RFC3339)
		}
	}
	body, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode keys: %w", err)
	}
	return wholefile.Write(path, append([]byte(head), body...), 0o600)
}

// load reads and checks the file; a file that is not there holds no keys.
func load(path string) ([]entry, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s has %d bytes: a key file has at most %d", path, info.Size(), maxFileBytes)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	entries, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; restore it from a backup, it is written by yunhe key only", path, err)
	}
	return entries, nil
}

func parse(b []byte) ([]entry, error) {
	var f file
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&f); err != nil {
		return nil, fmt.Errorf("decode keys: %w", err)
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("version is %d, this program knows %d", f.Version, fileVersion)
	}
	if len(f.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys: at most %d", len(f.Keys), maxKeys)
	}
	out := make([]entry, 0, len(f.Keys))
	seen := map[string]bool{}
	for i, s := range f.Keys {
		e, err := s.entry()
		if err == nil && seen[s.ID] {
			err = fmt.Errorf("id %q is there twice", s.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		seen[s.ID] = true
		out = append(out, e)
	}
	return out, nil
}

func (s stored) entry() (entry, error) {
	e := entry{Key: Key{ID: s.ID, Person: s.Person, Role: Role(s.Role), Sites: s.Sites, AllSites: s.All}}
	if err := (Request{Person: s.Person, Role: e.Role, Sites: s.Sites, AllSites: s.All}).check(); err != nil {
		return entry{}, err
	}
	if s.ID == "" || strings.Trim(s.ID, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return entry{}, fmt.Errorf("id %q: use a-z and 2-7", s.ID)
	}
	hash, err := hex.DecodeString(s.SHA256)
	if err != nil || len(hash) != sha256.Size {
		return entry{}, errors.New("sha256 must be 64 hex digits")
	}
	copy(e.hash[:], hash)
	if e.Created, err = time.Parse(time.RFC3339, s.Created); err != nil {
		return entry{}, fmt.Errorf("created: %w", err)
	}
	if s.Revoked != "" {
		if e.Revoked, err = time.Parse(time.RFC3339, s.Revoked); err != nil {
			return entry{}, fmt.Errorf("revoked: %w", err)
		}
	}
	return e, nil
}
