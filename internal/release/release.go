// Package release is about releases of the OS: what one is (Manifest), how it
// is kept in OCI repositories and beside a slot (Bundle), how it is made from
// the files of a build (Build), and how its parts come to a machine (Open,
// Part, WriteImage).
//
// A release is a kernel, an initrd, an OS image and a list of what is inside,
// for one architecture. As an OCI artifact the manifest is the config and the
// parts are the layers; an index has one such artifact for each architecture.
// Signatures are cosign's (package signature), places are those of package
// repository, and how only the missing blocks of an OS image travel is in
// package delta.
//
// What a machine does with a release (slots, boot loader, trial) is not here.
package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/repository"
	"github.com/rosteros/ros/internal/signature"
)

// Media types of a release as an OCI artifact.
const (
	MediaType       = "application/vnd.rosteros.release.v1+json" // of its config, our manifest
	mediaTypeKernel = "application/vnd.rosteros.kernel.v1"
	mediaTypeInitrd = "application/vnd.rosteros.initrd.v1"
	mediaTypeImage  = "application/vnd.rosteros.image.v1"
	mediaTypePacked = "application/vnd.rosteros.image.v1+zstd"       // the same packed, see package delta
	mediaTypeIndex  = "application/vnd.rosteros.image-index.v1+json" // of the packed one
	mediaTypeSBOM   = "application/spdx+json"
)

// partAnnotation of a layer says which part it is.
const partAnnotation = "rosteros.part"

// imageIndex in that annotation is the index of a packed OS image.
const imageIndex = "image-index"

// Errors that callers branch on, besides those of package signature.
var ErrArch = errors.New("it is for another architecture")

// Progress is told how much of something is done, in bytes. It is called from
// one goroutine.
type Progress func(done, total int64)

// Options say how to open a release.
type Options struct {
	Arch string // "": the one that this program was built for
	Keys []signature.PublicKey
	// AllowUnsigned takes a release that no trusted key signed.
	AllowUnsigned bool
	// Cache is a folder on the state disk for parts that are not whole yet, so that
	// a download goes on after a reboot. "": a download that broke begins anew.
	Cache      string
	Retry      repository.Retry
	Repository repository.Options
}

// Release is an opened release: its manifest is checked, its parts can be read.
type Release struct {
	Checked
	Bundle Bundle

	place counted
	cache string
	retry repository.Retry
}

// Open finds the release for an architecture behind a reference (see
// repository.Open, and Medium for an ISO) and checks its signature. No part is
// read yet. The caller closes it.
func Open(ctx context.Context, ref string, o Options) (*Release, error) {
	r, err := open(ctx, ref, o)
	if err != nil {
		return nil, fmt.Errorf("cannot open release %q: %w", ref, err)
	}
	return r, nil
}

func open(ctx context.Context, ref string, o Options) (*Release, error) {
	if isMedium(ref) {
		return openMedium(ref, o)
	}
	if o.Repository.Cache == "" {
		o.Repository.Cache = o.Cache
	}
	place, tag, err := repository.Open(ctx, ref, o.Repository)
	if err != nil {
		return nil, errors.Unwrap(err) // it names the reference too
	}
	r, err := find(ctx, place, tag, o)
	if err != nil {
		place.Close()
		return nil, err
	}
	return r, nil
}

func find(ctx context.Context, place repository.Repository, tag string, o Options) (*Release, error) {
	d, text, err := ofArch(ctx, place, tag, o.arch())
	if err != nil {
		return nil, err
	}
	var oci ocispec.Manifest
	if err := json.Unmarshal(text, &oci); err != nil {
		return nil, err
	}
	if oci.Config.MediaType != MediaType {
		return nil, fmt.Errorf("it is no release of Roster but a %q", oci.Config.MediaType)
	}
	signatures, err := signaturesOf(ctx, place, d.Digest.String())
	if err != nil {
		return nil, fmt.Errorf("its signature: %w", err)
	}
	b := Bundle{}
	if b.Signature, err = (proof{text, signatures}).marshal(); err != nil {
		return nil, err
	}
	if b.Release, err = small(ctx, place, oci.Config, o.Retry); err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	r, err := newRelease(b, o)
	if err != nil {
		return nil, err
	}
	r.place = counted{place, new(int64)}
	return r, nil
}

func newRelease(b Bundle, o Options) (*Release, error) {
	c, err := b.check(o.Keys, o.AllowUnsigned)
	if err != nil {
		return nil, err
	}
	if c.Manifest.Arch != o.arch() {
		return nil, fmt.Errorf("%w: %s, this machine is %s", ErrArch, c.Manifest.Arch, o.arch())
	}
	return &Release{Checked: c, Bundle: b, cache: o.Cache, retry: o.Retry}, nil
}

func (o Options) arch() string {
	if o.Arch == "" {
		return runtime.GOARCH
	}
	return o.Arch
}

// ofArch follows an index to the manifest of an architecture.
func ofArch(ctx context.Context, place repository.Repository, tag, arch string) (repository.Descriptor, []byte, error) {
	d, text, err := place.Manifest(ctx, tag)
	if err != nil || d.MediaType != ocispec.MediaTypeImageIndex {
		return d, text, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(text, &index); err != nil {
		return d, nil, err
	}
	var others []string
	for _, m := range index.Manifests {
		if m.Platform == nil {
			continue
		}
		if m.Platform.Architecture == arch {
			return place.Manifest(ctx, m.Digest.String())
		}
		others = append(others, m.Platform.Architecture)
	}
	return d, nil, fmt.Errorf("%w: it has %v, this machine is %s", ErrArch, others, arch)
}

// signaturesOf reads what cosign stored for a manifest. None is no error.
func signaturesOf(ctx context.Context, place repository.Repository, of string) ([]signature.Signature, error) {
	_, text, err := place.Manifest(ctx, signature.Tag(of))
	if errors.Is(err, repository.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var oci ocispec.Manifest
	if err := json.Unmarshal(text, &oci); err != nil {
		return nil, err
	}
	var found []signature.Signature
	for _, layer := range oci.Layers {
		if layer.MediaType != signature.PayloadMediaType || len(found) >= maxSignatures {
			continue
		}
		s := signature.Signature{}
		if s.Signature, err = signature.Decode(layer.Annotations[signature.Annotation]); err != nil {
			return nil, err
		}
		if s.Payload, err = small(ctx, place, layer, repository.Retry{}); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, nil
}

const (
	maxSignatures = 16
	maxSmall      = 1 << 20
)

// small reads a blob that fits into memory, and checks it.
func small(ctx context.Context, place repository.Repository, d repository.Descriptor, retry repository.Retry) ([]byte, error) {
	if d.Size < 0 || d.Size > maxSmall {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", d.Digest, d.Size, maxSmall)
	}
	var b limitedBuffer
	if _, err := repository.Copy(ctx, &b, place, d, 0, d.Size, retry); err != nil {
		return nil, err
	}
	if got := digest.FromBytes(b.bytes); got != d.Digest {
		return nil, fmt.Errorf("it is damaged: its digest is %s, want %s", got, d.Digest)
	}
	return b.bytes, nil
}

type limitedBuffer struct{ bytes []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}

// Fetched is how many bytes of parts have come from the place so far, those
// that came to nothing among them.
func (r *Release) Fetched() int64 { return *r.place.n }

// counted counts the bytes of the blobs that come from a place.
type counted struct {
	repository.Repository
	n *int64
}

func (c counted) Blob(ctx context.Context, d repository.Descriptor, offset, length int64) (io.ReadCloser, error) {
	body, err := c.Repository.Blob(ctx, d, offset, length)
	if err != nil {
		return nil, err
	}
	return countedBody{body, c.n}, nil
}

type countedBody struct {
	io.ReadCloser
	n *int64
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	*b.n += int64(n)
	return n, err
}

// Close lets go of the place that the release came from.
func (r *Release) Close() error { return r.place.Close() }
