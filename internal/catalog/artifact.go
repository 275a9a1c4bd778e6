package catalog

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/repository"
)

// A repository as an OCI artifact is an image index. One manifest in it, of the
// type below and perhaps for one architecture, has the files as its layers,
// each with its path as its title; the others are the images, which index.yml
// names by their digests.
const (
	ArtifactType = "application/vnd.rosteros.catalog.v1"
	FileType     = "application/vnd.rosteros.catalog.file.v1"

	artifactScheme = "oci://"
)

// artifact is the reference behind a repository's address, if it is one.
func artifact(address string) (ref string, ok bool) {
	return strings.CutPrefix(address, artifactScheme)
}

func (c *Catalog) openArtifact(ctx context.Context, ref string) (repository.Repository, string, error) {
	if c.OCI != nil {
		return c.OCI(ctx, ref)
	}
	return repository.Open(ctx, ref, repository.Options{Client: c.Client})
}

// readArtifact reads one file of an artifact.
func (c *Catalog) readArtifact(ctx context.Context, ref, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchBound)
	defer cancel()
	r, tag, err := c.openArtifact(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	m, err := catalogManifest(ctx, r, tag)
	if err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		if l.Annotations[ocispec.AnnotationTitle] == path {
			return readBlob(ctx, r, l)
		}
	}
	return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

// catalogManifest finds the manifest with the files.
func catalogManifest(ctx context.Context, r repository.Repository, tag string) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	_, text, err := r.Manifest(ctx, tag)
	if err != nil {
		return m, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(text, &index); err != nil {
		return m, fmt.Errorf("its index: %w", err)
	}
	for _, d := range index.Manifests {
		if d.ArtifactType != ArtifactType || d.Platform != nil && d.Platform.Architecture != runtime.GOARCH {
			continue
		}
		_, text, err := r.Manifest(ctx, d.Digest.String())
		if err != nil {
			return m, err
		}
		return m, json.Unmarshal(text, &m)
	}
	return m, errors.New("there is no catalog for this machine in it")
}

func readBlob(ctx context.Context, r repository.Repository, d repository.Descriptor) ([]byte, error) {
	if d.Size > maxIndex {
		return nil, fmt.Errorf("%s has more than %d bytes", d.Annotations[ocispec.AnnotationTitle], maxIndex)
	}
	var text bytes.Buffer
	if _, err := repository.Copy(ctx, &text, r, d, 0, -1, repository.Retry{}); err != nil {
		return nil, err
	}
	if digest.FromBytes(text.Bytes()) != d.Digest {
		return nil, fmt.Errorf("%s is damaged", d.Annotations[ocispec.AnnotationTitle])
	}
	return text.Bytes(), nil
}

// openImage reads an image of an artifact as an archive.
func (c *Catalog) openImage(ctx context.Context, ref string, image Image) (io.ReadCloser, int64, error) {
	r, _, err := c.openArtifact(ctx, ref)
	if err != nil {
		return nil, 0, err
	}
	d, text, err := r.Manifest(ctx, image.Digest)
	var m ocispec.Manifest
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		r.Close()
		return nil, 0, err
	}
	out, in := io.Pipe()
	go func() {
		in.CloseWithError(errors.Join(pack(ctx, in, r, d, text, m), r.Close()))
	}()
	return out, image.Size, nil
}

// pack writes an image layout with one image as a tar.
func pack(ctx context.Context, w io.Writer, r repository.Repository, d repository.Descriptor, manifest []byte, m ocispec.Manifest) error {
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	entry := func(name string, size int64) error {
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
	}
	for _, file := range []struct {
		name string
		text []byte
	}{
		{ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)},
		{ocispec.ImageIndexFile, index},
		{BlobPath(d.Digest), manifest},
	} {
		if err := entry(file.name, int64(len(file.text))); err != nil {
			return err
		}
		if _, err := t.Write(file.text); err != nil {
			return err
		}
	}
	for _, l := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := l.Digest.Validate(); err != nil {
			return err
		}
		if err := entry(BlobPath(l.Digest), l.Size); err != nil {
			return err
		}
		if _, err := repository.Copy(ctx, t, r, l, 0, -1, repository.Retry{}); err != nil {
			return err
		}
	}
	return t.Close()
}

// BlobPath is where an image layout has a blob.
func BlobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}
