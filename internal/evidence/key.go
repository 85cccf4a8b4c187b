package evidence

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/veraison/go-cose"
)

// AlgEdDSA is the COSE algorithm of Ed25519 signatures, the only one so far.
// Another one (ES256 of a TPM) needs a case in checkSignatureForm, newPublicKey
// and ParsePublicKey; entries name their algorithm already.
const AlgEdDSA = int(cose.AlgorithmEdDSA)

// maxSignature bounds the signature of any algorithm, in bytes.
const maxSignature = 1024

// textEd25519 is the first word of an Ed25519 key's one-line form.
const textEd25519 = "yunhe-ed25519"

// checkSignatureForm reports an algorithm that this program cannot verify, or
// a signature that cannot be of it.
func checkSignatureForm(alg int, sig []byte) error {
	switch alg {
	case AlgEdDSA:
		if len(sig) != ed25519.SignatureSize {
			return fmt.Errorf("a signature of %d bytes, Ed25519 has %d", len(sig), ed25519.SignatureSize)
		}
		return nil
	default:
		return fmt.Errorf("signed with COSE algorithm %d, this program knows %d (EdDSA): update it", alg, AlgEdDSA)
	}
}

// PrivateKey signs entries. It never prints its secret.
type PrivateKey struct {
	signer cose.Signer
	public PublicKey
}

// NewKeyFromSeed returns the Ed25519 key of a 32-byte seed, for tests and demos.
func NewKeyFromSeed(seed []byte) (*PrivateKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("make key: a seed of %d bytes instead of %d", len(seed), ed25519.SeedSize)
	}
	return newPrivateKey(ed25519.NewKeyFromSeed(seed))
}

func newPrivateKey(key crypto.Signer) (*PrivateKey, error) {
	public, err := newPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	signer, err := cose.NewSigner(cose.Algorithm(public.alg), key)
	if err != nil {
		return nil, fmt.Errorf("make signer: %w", err)
	}
	return &PrivateKey{signer, public}, nil
}

// Public returns the public half.
func (k *PrivateKey) Public() PublicKey { return k.public }

// String names the key without its secret.
func (k *PrivateKey) String() string { return "private key of " + k.public.Fingerprint() }

// GoString names the key without its secret.
func (k *PrivateKey) GoString() string { return k.String() }

func (k *PrivateKey) sign(tbs []byte) ([]byte, error) { return k.signer.Sign(rand.Reader, tbs) }

// PublicKey verifies entries. Its zero value verifies nothing.
type PublicKey struct {
	verifier cose.Verifier
	alg      int
	id       KeyID
	digest   Hash // SHA-256 of the SPKI DER form; id is its first half
	text     string
}

func newPublicKey(key crypto.PublicKey) (PublicKey, error) {
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return PublicKey{}, fmt.Errorf("a key of type %T, only Ed25519 is known", key)
	}
	spki, err := x509.MarshalPKIXPublicKey(ed)
	if err != nil {
		return PublicKey{}, fmt.Errorf("encode public key: %w", err)
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, ed)
	if err != nil {
		return PublicKey{}, fmt.Errorf("make verifier: %w", err)
	}
	k := PublicKey{verifier: verifier, alg: AlgEdDSA, digest: sha256.Sum256(spki)}
	copy(k.id[:], k.digest[:])
	k.text = textEd25519 + " " + base64.StdEncoding.EncodeToString(ed)
	return k, nil
}

// ParsePublicKey reads the one-line form "yunhe-ed25519 <base64>".
func ParsePublicKey(text string) (PublicKey, error) {
	kind, data, ok := strings.Cut(strings.TrimSpace(text), " ")
	switch {
	case !ok:
		return PublicKey{}, fmt.Errorf("parse public key: %.80q is not of the form %q", text, textEd25519+" <base64>")
	case kind != textEd25519:
		return PublicKey{}, fmt.Errorf("parse public key: unknown kind %.40q: only %s is known", kind, textEd25519)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(data)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return PublicKey{}, fmt.Errorf("parse public key: %.60q is not the base64 of %d bytes: copy the whole line that the gateway prints", data, ed25519.PublicKeySize)
	}
	return newPublicKey(ed25519.PublicKey(raw))
}

// String returns the one-line form that is enrolled.
func (k PublicKey) String() string { return k.text }

// ID returns the key's id.
func (k PublicKey) ID() KeyID { return k.id }

// Alg returns the COSE algorithm of the key's signatures.
func (k PublicKey) Alg() int { return k.alg }

// fingerprintPrefix names the hash, as OpenSSH does.
const fingerprintPrefix = "SHA256:"

// Fingerprint returns "SHA256:<base64>" of the SPKI DER form, for people.
func (k PublicKey) Fingerprint() string {
	return fingerprintPrefix + base64.RawStdEncoding.EncodeToString(k.digest[:])
}

// Equal reports whether both are the same key.
func (k PublicKey) Equal(o PublicKey) bool { return k.text == o.text }

func (k PublicKey) verify(tbs, sig []byte) error {
	if k.verifier == nil {
		return errors.New("no key")
	}
	return k.verifier.Verify(tbs, sig)
}
