// Package cosign_test has cosign itself look at what package signature and
// package release make: keys, signatures and where they lie.
package cosign_test

import (
	"context"
	"crypto"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"github.com/rosteros/ros/internal/release/releasetest"
	"github.com/rosteros/ros/internal/signature"
)

// push copies every tag of a layout into a registry, as a tool for that would.
func push(t *testing.T, dir, repository string) {
	t.Helper()
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	top, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	m, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		ref, err := name.ParseReference(repository + ":" + d.Annotations["org.opencontainers.image.ref.name"])
		if err != nil {
			t.Fatal(err)
		}
		if err := pushOne(top, d, ref); err != nil {
			t.Fatalf("push %s: %v", ref, err)
		}
	}
}

func pushOne(top v1.ImageIndex, d v1.Descriptor, ref name.Reference) error {
	if d.MediaType.IsIndex() {
		index, err := top.ImageIndex(d.Digest)
		if err != nil {
			return err
		}
		return remote.WriteIndex(ref, index)
	}
	image, err := top.Image(d.Digest)
	if err != nil {
		return err
	}
	return remote.Write(ref, image)
}

func TestCosignAcceptsARelease(t *testing.T) {
	ctx := context.Background()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := releasetest.Layout(t,
		releasetest.Spec{Version: "v1.0.0", Arch: "amd64", Data: releasetest.Content(1, 10), Packed: true, Key: &key},
		releasetest.Spec{Version: "v1.0.0", Arch: "arm64", Data: releasetest.Content(2, 10), Packed: true, Key: &key})
	server := httptest.NewServer(registry.New())
	defer server.Close()
	repository := server.Listener.Addr().String() + "/roster"
	push(t, dir, repository)

	public, err := key.Public("").MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cosign.pub")
	if err := os.WriteFile(file, public, 0o644); err != nil {
		t.Fatal(err)
	}
	verifier, err := sigstore.LoadVerifierFromPEMFile(file, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(repository + ":v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	refs := []name.Reference{ref}
	for _, d := range m.Manifests {
		refs = append(refs, ref.Context().Digest(d.Digest.String()))
	}
	if len(refs) != 3 {
		t.Fatalf("the index has %d manifests, want 2", len(refs)-1)
	}
	o := &cosign.CheckOpts{SigVerifier: verifier, ClaimVerifier: cosign.SimpleClaimVerifier, IgnoreTlog: true, IgnoreSCT: true}
	for _, ref := range refs {
		found, _, err := cosign.VerifyImageSignatures(ctx, ref, o)
		if err != nil || len(found) != 1 {
			t.Errorf("cosign finds %d good signatures of %s, %v, want 1", len(found), ref, err)
		}
		digest, err := ociremote.ResolveDigest(ref)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := ociremote.SignatureTag(ref)
		if err != nil || tag.TagStr() != signature.Tag(digest.DigestStr()) {
			t.Errorf("cosign looks at tag %s, %v, ours is %s", tag.TagStr(), err, signature.Tag(digest.DigestStr()))
		}
	}
	other, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = other.Public("").MarshalPublic(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, public, 0o644); err != nil {
		t.Fatal(err)
	}
	if o.SigVerifier, err = sigstore.LoadVerifierFromPEMFile(file, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cosign.VerifyImageSignatures(ctx, ref, o); err == nil {
		t.Error("cosign takes the signature with another key too")
	}
}

func TestKeysBothWays(t *testing.T) {
	password := []byte("secret")
	ours, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ours.MarshalPrivate(password)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosign.LoadPrivateKey(sealed, password, nil)
	if err != nil {
		t.Fatalf("cosign cannot read our key: %v", err)
	}
	if public, err := signer.PublicKey(); err != nil || public == nil {
		t.Errorf("cosign reads a key without a public half: %v", err)
	}
	for _, password := range []string{"secret", ""} {
		theirs, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte(password), nil })
		if err != nil {
			t.Fatal(err)
		}
		key, err := signature.ParsePrivate(theirs.PrivateBytes, []byte(password))
		if err != nil {
			t.Fatalf("we cannot read cosign's key: %v", err)
		}
		public, err := signature.ParsePublic("theirs", theirs.PublicBytes)
		if err != nil {
			t.Fatalf("we cannot read cosign's public key: %v", err)
		}
		s, err := key.Sign("rosteros/ros", "sha256:00")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signature.Check("sha256:00", []signature.Signature{s}, []signature.PublicKey{public}); err != nil {
			t.Errorf("what cosign's key signs is not good for its own public key: %v", err)
		}
	}
}
