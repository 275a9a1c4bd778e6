package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// files are the files of an image layout, wherever it lies.
type files interface {
	// open reads length bytes of a file from offset on; negative: to its end.
	open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	io.Closer
}

// layout is an OCI image layout (image-spec, image-layout.md).
type layout struct{ files }

func newLayout(f files) (Repository, error) { return layout{f}, nil }

func (l layout) Manifest(ctx context.Context, tag string) (Descriptor, []byte, error) {
	want := tag
	if _, err := digest.Parse(tag); err != nil {
		d, err := l.tagged(ctx, tag)
		if err != nil {
			return Descriptor{}, nil, err
		}
		want = d.Digest.String()
	}
	r, err := l.Blob(ctx, Descriptor{Digest: digest.Digest(want)}, 0, -1)
	if err != nil {
		return Descriptor{}, nil, err
	}
	defer r.Close()
	return readManifest(r, want)
}

// tagged finds a tag in index.json. The empty tag is the only one there is,
// signatures left aside.
func (l layout) tagged(ctx context.Context, tag string) (Descriptor, error) {
	index, err := l.index(ctx)
	if err != nil {
		return Descriptor{}, err
	}
	var tags []string
	var found []Descriptor
	for _, d := range index.Manifests {
		name := d.Annotations[ocispec.AnnotationRefName]
		if name == tag || tag == "" && !strings.HasSuffix(name, ".sig") {
			found = append(found, d)
		}
		if !strings.HasSuffix(name, ".sig") {
			tags = append(tags, name)
		}
	}
	slices.Sort(tags)
	switch {
	case len(found) == 0:
		return Descriptor{}, fmt.Errorf("tag %q: %w (there are: %s)", tag, ErrNotFound, strings.Join(tags, ", "))
	case len(found) > 1:
		return Descriptor{}, fmt.Errorf("it has several releases: say which with #TAG (there are: %s)", strings.Join(tags, ", "))
	}
	return found[0], nil
}

func (l layout) index(ctx context.Context) (ocispec.Index, error) {
	var index ocispec.Index
	r, err := l.open(ctx, ocispec.ImageIndexFile, 0, -1)
	if errors.Is(err, ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return index, fmt.Errorf("it is no OCI image layout: it has no %s", ocispec.ImageIndexFile)
	}
	if err != nil {
		return index, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return index, err
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return index, fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	return index, nil
}

func (l layout) Blob(ctx context.Context, d Descriptor, offset, length int64) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	name := fmt.Sprintf("%s/%s/%s", ocispec.ImageBlobsDir, d.Digest.Algorithm(), d.Digest.Encoded())
	r, err := l.open(ctx, name, offset, length)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return r, err
}

// mediaType is what a manifest says it is. OCI allows it to say nothing.
func mediaType(text []byte) string {
	var m struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	if json.Unmarshal(text, &m) != nil {
		return ""
	}
	switch {
	case m.MediaType != "":
		return m.MediaType
	case m.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}

// dirFiles is a layout as a folder. os.Root keeps symbolic links inside it.
type dirFiles struct{ root *os.Root }

func openDir(path string) (files, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return dirFiles{root}, nil
}

func (d dirFiles) Close() error { return d.root.Close() }

func (d dirFiles) open(_ context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return limited(f, f, length), nil
}

// stretch is a reader with a closer of its own.
type stretch struct {
	io.Reader
	io.Closer
}

// limited reads at most length bytes; negative: all.
func limited(r io.Reader, c io.Closer, length int64) io.ReadCloser {
	if length >= 0 {
		r = io.LimitReader(r, length)
	}
	return stretch{r, c}
}
