package evidence

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"yunhe/internal/telemetry"
)

const (
	// context is the external_aad of every signature, so that no signature made
	// for something else passes here.
	context = "yunhe evidence v1"
	// tagSign1 is the CBOR tag 18 of COSE_Sign1 (RFC 9052, section 2).
	tagSign1 = 0xd2
	// headBody is the head of an array of 11.
	headBody = majorArray<<5 | 11
	// sign1Overhead is a little more than an entry has around its content.
	sign1Overhead = 160

	labelAlg = 1
	labelKid = 4
)

// ErrSignature reports an entry whose signature does not verify.
var ErrSignature = errors.New("the signature does not verify: the entry was changed or another key made it")

// appendProtected appends the protected header {1: alg, 4: kid} as a byte
// string.
func appendProtected(b []byte, alg int, kid KeyID) []byte {
	var a [32]byte
	h := appendHead(a[:0], majorMap, 2)
	h = appendInt(appendHead(h, majorUint, labelAlg), int64(alg))
	h = appendBytes(appendHead(h, majorUint, labelKid), kid[:])
	return appendBytes(b, h)
}

func parseProtected(b []byte) (alg int, kid KeyID, err error) {
	r := reader{b: b}
	r.literal(majorMap<<5 | 2)
	r.literal(labelAlg)
	alg = int(r.int(math.MaxInt32))
	r.literal(labelKid)
	r.fixed(kid[:])
	return alg, kid, r.end()
}

// sigStructure returns ["Signature1", protected, context, content], which is
// what is signed (RFC 9052, section 4.4) and what is hashed.
func sigStructure(alg int, kid KeyID, content []byte) []byte {
	b := make([]byte, 0, sign1Overhead+len(content))
	b = appendHead(b, majorArray, 4)
	b = appendText(b, "Signature1")
	b = appendProtected(b, alg, kid)
	b = appendBytes(b, []byte(context))
	return appendBytes(b, content)
}

// seal builds the entry around an encoded content; sign gives the signature
// over the Sig_structure.
func seal(c Content, alg int, kid KeyID, sign func(tbs []byte) ([]byte, error)) (Entry, error) {
	if err := c.check(); err != nil {
		return Entry{}, err
	}
	content := c.append(make([]byte, 0, c.sizeHint()))
	tbs := sigStructure(alg, kid, content)
	sig, err := sign(tbs)
	if err != nil {
		return Entry{}, err
	}
	b := make([]byte, 0, sign1Overhead+len(content))
	b = append(b, tagSign1, majorArray<<5|4)
	b = appendProtected(b, alg, kid)
	b = appendHead(b, majorMap, 0)
	b = appendBytes(b, content)
	b = appendBytes(b, sig)
	if len(b) > MaxEntry {
		return Entry{}, fmt.Errorf("%d bytes, an entry has at most %d", len(b), MaxEntry)
	}
	return Entry{Content: c, Alg: alg, KeyID: kid, Hash: sha256.Sum256(tbs), Bytes: b}, nil
}

// Sign brings c into canonical form (times in whole milliseconds, readings
// sorted), checks it and signs it. c is not changed.
func (k *PrivateKey) Sign(c Content) (Entry, error) {
	e, err := seal(c.canonical(), k.public.alg, k.public.id, k.sign)
	if err != nil {
		return Entry{}, fmt.Errorf("sign entry: %w", err)
	}
	return e, nil
}

// parts are the three of a COSE_Sign1 that vary.
type parts struct {
	alg     int
	kid     KeyID
	content []byte
	sig     []byte
}

func split(b []byte) (p parts, err error) {
	if len(b) > MaxEntry {
		return p, fmt.Errorf("%d bytes, an entry has at most %d", len(b), MaxEntry)
	}
	r := reader{b: b}
	r.literal(tagSign1)
	r.literal(majorArray<<5 | 4)
	protected := r.bytes(64)
	r.literal(majorMap << 5)
	p.content = r.bytes(MaxEntry)
	p.sig = r.bytes(maxSignature)
	if err := r.end(); err != nil {
		return p, err
	}
	if p.alg, p.kid, err = parseProtected(protected); err != nil {
		return p, fmt.Errorf("protected header: %w", err)
	}
	return p, checkSignatureForm(p.alg, p.sig)
}

// Parse decodes an attached entry strictly: the one canonical encoding within
// the limits, else an error. It does not verify the signature. The entry
// keeps b.
func Parse(b []byte) (Entry, error) {
	p, err := split(b)
	if err != nil {
		return Entry{}, fmt.Errorf("parse entry: %w", err)
	}
	c, err := parseContent(p.content)
	if err != nil {
		return Entry{}, fmt.Errorf("parse entry: content: %w", err)
	}
	hash := sha256.Sum256(sigStructure(p.alg, p.kid, p.content))
	return Entry{Content: c, Alg: p.alg, KeyID: p.kid, Hash: hash, Bytes: b}, nil
}

// Verify checks the signature in e.Bytes with k. An error that is not
// ErrSignature says that k is the wrong key or e.Bytes no entry.
func (e Entry) Verify(k PublicKey) error {
	p, err := split(e.Bytes)
	if err != nil {
		return fmt.Errorf("verify entry: %w", err)
	}
	if p.kid != k.id || p.alg != k.alg {
		return fmt.Errorf("verify entry: signed by key %s, not by %s", p.kid, k.id)
	}
	if err := k.verify(sigStructure(p.alg, p.kid, p.content), p.sig); err != nil {
		return fmt.Errorf("verify entry %d:%d: %w", e.Content.JID, e.Content.JSeq, ErrSignature)
	}
	return nil
}

// Detached returns what travels in Payload.body of the DDATA whose metrics
// are the readings of a batch:
// [1, alg, kid, jid, jseq, prev, trec, clock, defhash, raws, sig].
func (e Entry) Detached() ([]byte, error) {
	if e.Content.Kind != KindBatch {
		return nil, fmt.Errorf("detach entry: it is a %s, only a batch can be detached", e.Content.Kind)
	}
	p, err := split(e.Bytes)
	if err != nil {
		return nil, fmt.Errorf("detach entry: %w", err)
	}
	b := make([]byte, 0, 256+8*len(e.Content.Readings))
	b = append(b, headBody)
	b = appendHead(b, majorUint, contentVersion)
	b = appendInt(b, int64(e.Alg))
	b = appendBytes(b, e.KeyID[:])
	b = e.Content.appendMiddle(b)
	b = appendHead(b, majorArray, uint64(len(e.Content.Readings)))
	for i := range e.Content.Readings {
		b = appendOptional(b, e.Content.Readings[i].Raw)
	}
	return appendBytes(b, p.sig), nil
}

// IsDetached tells a detached body from an attached entry by its first byte.
func IsDetached(body []byte) bool { return len(body) > 0 && body[0] == headBody }

// Rebuild puts a batch together again from a detached body and the readings
// of the metrics, in any order and without Raw. If nobody changed either, the
// result equals the signed entry byte for byte; whether they did, Verify says.
// Raw of the entry's readings is part of body.
func Rebuild(body []byte, rs []telemetry.Reading) (Entry, error) {
	e, err := rebuild(body, rs)
	if err != nil {
		return Entry{}, fmt.Errorf("rebuild entry: %w", err)
	}
	return e, nil
}

func rebuild(body []byte, rs []telemetry.Reading) (Entry, error) {
	if len(body) > MaxEntry {
		return Entry{}, fmt.Errorf("%d bytes, a body has at most %d", len(body), MaxEntry)
	}
	r := reader{b: body}
	r.literal(headBody)
	if v := r.uint(MaxNumber); r.err == nil && v != contentVersion {
		return Entry{}, fmt.Errorf("body of version %d, this program knows version %d: update it", v, contentVersion)
	}
	alg := int(r.int(math.MaxInt32))
	var kid KeyID
	r.fixed(kid[:])
	c := Content{Kind: KindBatch, Readings: rs}
	c.parseMiddle(&r)
	if n := r.rows(); r.err == nil && n != len(rs) {
		return Entry{}, fmt.Errorf("%d readings were signed, %d came", n, len(rs))
	}
	c = c.canonical()
	for i := range c.Readings {
		c.Readings[i].Raw = r.optional()
	}
	sig := r.bytes(maxSignature)
	if err := r.end(); err != nil {
		return Entry{}, err
	}
	if err := checkSignatureForm(alg, sig); err != nil {
		return Entry{}, err
	}
	return seal(c, alg, kid, func([]byte) ([]byte, error) { return sig, nil })
}
