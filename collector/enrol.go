package collector

import (
	"time"

	"yunhe/collector/internal/keys"
)

// Enrolment is one enrolled key: site, gateway, one-line key, fingerprint,
// from when, and if so since when revoked or compromised.
type Enrolment = keys.Enrolment

// Enroll binds a public key (the one line `yunhe-edge key` prints) to a
// gateway of a site, in the enrolment file at path. A running collector takes
// it up within two seconds; what the gateway journalled before is then stored
// too. A key is in force for one gateway at a time.
func Enroll(path, site, gateway, publicKey string, at time.Time) (Enrolment, error) {
	return keys.Enroll(path, site, gateway, publicKey, at)
}

// ListKeys returns every enrolment in the file, oldest first.
func ListKeys(path string) ([]Enrolment, error) { return keys.Load(path) }

// Revoke ends the enrolment of a key. If compromisedSince is zero the key was
// replaced: entries recorded before at are still taken. Otherwise nothing that
// arrives from now on under this key is stored; it is held in quarantine.
func Revoke(path, fingerprint string, compromisedSince, at time.Time) error {
	return keys.Revoke(path, fingerprint, compromisedSince, at)
}
