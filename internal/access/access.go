// Package access holds the API keys of a district: who may read which sites
// in which role. Keys are kept as SHA-256 hashes in one file that commands
// write and the API reads; a key itself is shown once, when it is made.
package access

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role says what a person does. In this version every role reads; only admin
// reads metrics.
type Role string

// The roles of the house.
const (
	Operator   Role = "operator"
	Water      Role = "water"
	Accountant Role = "accountant"
	Verifier   Role = "verifier"
	Admin      Role = "admin"
)

// Roles returns all roles.
func Roles() []Role { return []Role{Operator, Water, Accountant, Verifier, Admin} }

// ParseRole returns the role of that name.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	names := make([]string, 0, len(Roles()))
	for _, r := range Roles() {
		names = append(names, string(r))
	}
	return "", fmt.Errorf("unknown role %q: use one of %s", s, strings.Join(names, ", "))
}

// Key is what is known about one API key, without its secret.
type Key struct {
	ID       string // public part, 12 characters of a-z2-7
	Person   string
	Role     Role
	AllSites bool
	Sites    []string  // sorted; empty if AllSites
	Created  time.Time // UTC
	Revoked  time.Time // UTC; zero: valid
}

// MayRead reports whether the key reads site.
func (k Key) MayRead(site string) bool {
	return k.AllSites || slices.Contains(k.Sites, site)
}
