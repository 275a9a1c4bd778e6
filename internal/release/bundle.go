package release

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/signature"
)

// Bundle is what is kept of a release beside a slot, so that it can be checked
// later with nothing but the trusted keys.
type Bundle struct {
	Release   []byte // release.json: the manifest
	Signature []byte // release.sig: how the manifest is signed, or that it is not
}

// Checked is what a bundle says, once checked.
type Checked struct {
	Manifest Manifest
	Digest   string // of release.json: the identity of the release
	Key      string // the name of the key that signed it; "": unsigned, which was allowed

	layers []ocispec.Descriptor
}

// proof is release.sig. A signature is over the OCI manifest, so that it is
// the one that cosign checks too; that manifest names release.json as its
// config.
type proof struct {
	Manifest   []byte                `json:"manifest"`
	Signatures []signature.Signature `json:"signatures"`
}

const maxProof = 1 << 20

// Verify checks a bundle against the trusted keys, offline. errors.Is tells
// signature.ErrUnsigned and signature.ErrUnknownKey apart.
func Verify(b Bundle, keys []signature.PublicKey) (Checked, error) {
	c, err := b.check(keys, false)
	if err != nil {
		return Checked{}, fmt.Errorf("cannot verify the release: %w", err)
	}
	return c, nil
}

// Read reads a bundle without demanding a trusted signature: Key is "" if
// there is none. That the parts of the bundle belong together is checked all
// the same.
func Read(b Bundle, keys []signature.PublicKey) (Checked, error) {
	c, err := b.check(keys, true)
	if err != nil {
		return Checked{}, fmt.Errorf("cannot read the release: %w", err)
	}
	return c, nil
}

func (b Bundle) check(keys []signature.PublicKey, allowUnsigned bool) (Checked, error) {
	p, oci, err := parseProof(b.Signature)
	if err != nil {
		return Checked{}, fmt.Errorf("its signature: %w", err)
	}
	c := Checked{Digest: digest.FromBytes(b.Release).String(), layers: oci.Layers}
	if oci.Config.Digest.String() != c.Digest {
		return Checked{}, fmt.Errorf("release.json is damaged or another one: its digest is %s, the signed one is %s", c.Digest, oci.Config.Digest)
	}
	c.Key, err = signature.Check(digest.FromBytes(p.Manifest).String(), p.Signatures, keys)
	if err != nil && !allowUnsigned {
		return Checked{}, err
	}
	// Only now is it worth reading.
	if c.Manifest, err = ParseManifest(b.Release); err != nil {
		return Checked{}, err
	}
	return c, nil
}

func parseProof(text []byte) (proof, ocispec.Manifest, error) {
	var p proof
	var oci ocispec.Manifest
	if len(text) > maxProof {
		return p, oci, fmt.Errorf("it has more than %d bytes", maxProof)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, oci, err
	}
	if len(p.Manifest) == 0 {
		return p, oci, errors.New("it holds no manifest")
	}
	if err := json.Unmarshal(p.Manifest, &oci); err != nil {
		return p, oci, fmt.Errorf("manifest: %w", err)
	}
	if oci.Config.MediaType != MediaType {
		return p, oci, fmt.Errorf("it is that of a %q, not of a release of Roster (%s)", oci.Config.MediaType, MediaType)
	}
	return p, oci, nil
}

func (p proof) marshal() ([]byte, error) {
	text, err := json.MarshalIndent(p, "", "  ")
	return append(text, '\n'), err
}
