package imagestore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	baked "github.com/rosteros/ros/internal/images"
)

// nameless begins the name of a record of an image that has none.
const nameless = "untagged@"

// Load takes the images out of a tar archive, as "docker save" and OCI tools
// write it, packed with gzip, xz or zstd or not at all. total is its size in
// bytes, 0 when nobody knows; it only serves to tell say how far it is.
func (s *Store) Load(ctx context.Context, r io.Reader, total int64, say func(Event)) ([]Image, error) {
	list, err := s.load(ctx, r, total, newProgress(say))
	if err != nil {
		return nil, fmt.Errorf("cannot load the archive: %w", err)
	}
	return list, nil
}

// LoadAs takes one image out of a tar archive, that of a digest, and gives it a
// name as Pull would have. No other image will do.
func (s *Store) LoadAs(ctx context.Context, r io.Reader, total int64, name, digest string, say func(Event)) (Image, error) {
	full, err := FullName(name, s.opts.Reach().Domain)
	if err != nil {
		return Image{}, fmt.Errorf("cannot load image %q: %w", name, err)
	}
	var image Image
	p := newProgress(say)
	err = s.loading(ctx, r, total, p, func(ctx context.Context, index ocispec.Index) error {
		for _, d := range index.Manifests {
			if d.Digest.String() == digest {
				image, err = s.keep(ctx, full, d, p)
				return err
			}
		}
		return fmt.Errorf("the archive does not have it as %s", digest)
	})
	if err != nil {
		return Image{}, fmt.Errorf("cannot load image %q: %w", name, err)
	}
	return image, nil
}

func (s *Store) load(ctx context.Context, r io.Reader, total int64, p *progress) (loaded []Image, err error) {
	err = s.loading(ctx, r, total, p, func(ctx context.Context, index ocispec.Index) error {
		loaded, err = s.keepAll(ctx, index, p)
		return err
	})
	return loaded, err
}

// loading takes the content out of an archive. It is the store's as long as
// keep works on it; what keep does not keep is removed later.
func (s *Store) loading(ctx context.Context, r io.Reader, total int64, p *progress, keep func(context.Context, ocispec.Index) error) error {
	plain, done, err := Unpacked(&counted{Reader: r, progress: p, total: total})
	if err != nil {
		return err
	}
	defer done()
	// Each load has a lease of its own: two at a time must not end each other's.
	ctx, release, err := s.lease(ctx, "load "+time.Now().Format(time.RFC3339Nano))
	if err != nil {
		return err
	}
	defer release()
	root, err := archive.ImportIndex(s.in(ctx), s.parts.Content, plain)
	if err != nil {
		return explainArchive(err)
	}
	var index ocispec.Index
	if err := s.document(ctx, root, "index", &index); err != nil {
		return err
	}
	return keep(ctx, index)
}

// keepAll keeps every image of an archive.
func (s *Store) keepAll(ctx context.Context, index ocispec.Index, p *progress) ([]Image, error) {
	var loaded []Image
	for _, d := range index.Manifests {
		if !isManifest(d) && !images.IsIndexType(d.MediaType) {
			continue
		}
		name, err := nameIn(d)
		if err != nil {
			return loaded, err
		}
		image, err := s.keep(ctx, name, d, p)
		if err != nil {
			return loaded, fmt.Errorf("image %s: %w", name, err)
		}
		loaded = append(loaded, image)
	}
	if len(loaded) == 0 {
		return nil, errors.New("there is no image in it")
	}
	return loaded, nil
}

// nameIn is the name that an archive gives an image. Docker and containerd
// write the whole name; OCI's own key may hold no more than a tag.
func nameIn(d ocispec.Descriptor) (string, error) {
	if name := d.Annotations[images.AnnotationImageName]; name != "" {
		return FullName(name, "")
	}
	if name := d.Annotations[ocispec.AnnotationRefName]; hasRegistry(name) {
		return FullName(name, "")
	}
	return nameless + d.Digest.String(), nil
}

// explainArchive says in the user's words what is wrong with an archive.
func explainArchive(err error) error {
	switch text := err.Error(); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends in the middle")
	case text == "unrecognized image format", bytes.Contains([]byte(text), []byte("invalid tar header")):
		return errors.New("it is not an archive of images (docker save, or an OCI layout)")
	}
	return err
}

// counted tells how much of an archive has been read.
type counted struct {
	io.Reader
	progress *progress
	at       int64
	total    int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.at += int64(n)
	c.progress.bytes(Event{Status: baked.Loading, Current: c.at, Total: c.total})
	return n, err
}

// Save writes images as one tar archive that "docker load" takes, as does Load.
// All names are looked up before anything is written.
func (s *Store) Save(ctx context.Context, w io.Writer, names ...string) error {
	options := []archive.ExportOpt{archive.WithPlatform(s.platform)}
	for _, name := range names {
		r, err := s.find(ctx, name)
		if err != nil {
			return fmt.Errorf("cannot save image %q: %w", name, err)
		}
		var as []string
		if given := r.Name; digestOf(given) == "" {
			as = append(as, given)
		}
		options = append(options, archive.WithManifest(r.Target, as...))
	}
	buffered := bufio.NewWriterSize(w, 256<<10)
	if err := archive.Export(s.in(ctx), s.parts.Content, buffered, options...); err != nil {
		return fmt.Errorf("cannot save images: %w", err)
	}
	return buffered.Flush()
}
