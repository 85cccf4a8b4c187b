package broker

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Sizes and cost of a secret, those of mosquitto_passwd. Passwords are random
// and of 256 bits, so a higher cost would add nothing.
const (
	secretIterations = 101
	secretSalt       = 12      // bytes
	maxIterations    = 100_000 // refuse files that would stall a broker
	secretPrefix     = "$7$"   // mosquitto's mark for PBKDF2 with SHA-512
)

// Secret is a password as it is kept: salted and hashed, in the form that
// mosquitto 2 reads from its password file. The zero Secret matches nothing.
type Secret struct {
	iterations int
	salt, hash []byte
}

// NewSecret hashes a password under a fresh salt.
func NewSecret(password string) (Secret, error) {
	salt := make([]byte, secretSalt)
	if _, err := rand.Read(salt); err != nil {
		return Secret{}, fmt.Errorf("make salt: %w", err)
	}
	hash, err := pbkdf2.Key(sha512.New, password, salt, secretIterations, sha512.Size)
	if err != nil {
		return Secret{}, fmt.Errorf("hash password: %w", err)
	}
	return Secret{iterations: secretIterations, salt: salt, hash: hash}, nil
}

// ParseSecret reads what String wrote.
func ParseSecret(s string) (Secret, error) {
	rest, ok := strings.CutPrefix(s, secretPrefix)
	parts := strings.Split(rest, "$")
	if !ok || len(parts) != 3 {
		return Secret{}, fmt.Errorf("password is not of the form $7$ITERATIONS$SALT$HASH: set it again")
	}
	n, err := strconv.Atoi(parts[0])
	if err != nil || n < 1 || n > maxIterations {
		return Secret{}, fmt.Errorf("password has %q iterations: 1 to %d are allowed", parts[0], maxIterations)
	}
	salt, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil {
		return Secret{}, fmt.Errorf("decode salt of password: %w", err)
	}
	hash, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(hash) != sha512.Size {
		return Secret{}, fmt.Errorf("password hash is not %d bytes of base64: set it again", sha512.Size)
	}
	return Secret{iterations: n, salt: salt, hash: hash}, nil
}

// String returns the form for a password file.
func (s Secret) String() string {
	return secretPrefix + strconv.Itoa(s.iterations) + "$" +
		base64.StdEncoding.EncodeToString(s.salt) + "$" + base64.StdEncoding.EncodeToString(s.hash)
}

// Matches reports whether password is the one that was hashed. It takes as
// long for the zero Secret as for any other, so that a broker does not tell
// which names exist.
func (s Secret) Matches(password []byte) bool {
	n, salt := s.iterations, s.salt
	if n == 0 {
		n, salt = secretIterations, make([]byte, secretSalt)
	}
	hash, err := pbkdf2.Key(sha512.New, string(password), salt, n, sha512.Size)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(hash, s.hash) == 1
}
