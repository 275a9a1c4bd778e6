// Package signature signs and checks digests the way cosign does with a key
// pair: ECDSA on the curve P-256 over a small JSON text, the payload, that
// names the digest of an OCI manifest ("simple signing").
//
// It owns the forms of keys (key.go, box.go) and of the payload. Where
// signatures are kept and what a signed manifest says is for package release.
// Nothing here needs a network, a clock or a transparency log.
package signature

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Facts of cosign's format (its specs/SIGNATURE_SPEC.md).
const (
	PayloadMediaType = "application/vnd.dev.cosign.simplesigning.v1+json" // of the layer that holds a payload
	Annotation       = "dev.cosignproject.cosign/signature"               // of that layer: the signature in base64
	payloadType      = "cosign container image signature"
)

// Errors that callers branch on.
var (
	ErrUnsigned   = errors.New("it is not signed")
	ErrUnknownKey = errors.New("it is signed with a key that this machine does not trust")
)

// Signature is one signature with the text that it is over.
type Signature struct {
	Payload   []byte `json:"payload"`
	Signature []byte `json:"signature"` // ASN.1
}

// payload is the text that is signed. Field order is cosign's own.
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// Tag is where cosign looks for the signatures of a manifest: a tag in the
// same repository.
func Tag(digest string) string { return strings.Replace(digest, ":", "-", 1) + ".sig" }

// Sign signs the digest of an OCI manifest. The reference is a repository name
// that cosign can parse; it is not checked by anybody. One key and one digest
// give the same signature every time (RFC 6979), so that two builds of a
// release are equal.
func (k PrivateKey) Sign(reference, digest string) (Signature, error) {
	var p payload
	p.Critical.Identity.Reference, p.Critical.Image.Digest, p.Critical.Type = reference, digest, payloadType
	text, err := json.Marshal(p)
	if err != nil {
		return Signature{}, err
	}
	sig, err := k.SignBlob(text)
	if err != nil {
		return Signature{}, fmt.Errorf("cannot sign %s: %w", digest, err)
	}
	return Signature{Payload: text, Signature: sig}, nil
}

// SignBlob signs a file as "cosign sign-blob" does, and as deterministically as
// Sign.
func (k PrivateKey) SignBlob(content []byte) ([]byte, error) {
	sum := sha256.Sum256(content)
	return k.key.Sign(nil, sum[:], hashOptions) // nil: no randomness
}

// Check returns the name of the key among keys that made one of the signatures
// over the digest. errors.Is tells ErrUnsigned and ErrUnknownKey apart.
func Check(digest string, signatures []Signature, keys []PublicKey) (name string, err error) {
	if len(signatures) == 0 {
		return "", ErrUnsigned
	}
	var faults []error
	for _, s := range signatures {
		name, ok := madeBy(s, keys)
		if !ok {
			continue
		}
		// Only what a trusted key says counts as a statement about anything.
		if err := about(s.Payload, digest); err != nil {
			faults = append(faults, fmt.Errorf("its signature by %s: %w", name, err))
			continue
		}
		return name, nil
	}
	if len(faults) > 0 {
		return "", errors.Join(faults...)
	}
	return "", ErrUnknownKey
}

func madeBy(s Signature, keys []PublicKey) (name string, ok bool) {
	sum := sha256.Sum256(s.Payload)
	for _, k := range keys {
		if k.key != nil && ecdsa.VerifyASN1(k.key, sum[:], s.Signature) {
			return k.Name, true
		}
	}
	return "", false
}

func about(text []byte, digest string) error {
	var p payload
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("is over something else: %w", err)
	}
	if p.Critical.Type != payloadType {
		return fmt.Errorf("is over something else: %q", p.Critical.Type)
	}
	if p.Critical.Image.Digest != digest {
		return fmt.Errorf("is that of %s, not of %s", p.Critical.Image.Digest, digest)
	}
	return nil
}

// Encode is a signature as it stands in the annotation.
func Encode(sig []byte) string { return base64.StdEncoding.EncodeToString(sig) }

// Decode is the reverse of Encode.
func Decode(text string) ([]byte, error) {
	sig, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read signature %q: %w", text, err)
	}
	return sig, nil
}
