package release

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/repository"
)

// rawLayer describes a part as it is, not packed.
func rawLayer(name string, p Part) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: rawType[name], Digest: p.Digest, Size: p.Size,
		Annotations: map[string]string{partAnnotation: name, ocispec.AnnotationTitle: p.File}}
}

var rawType = map[string]string{Kernel: mediaTypeKernel, Initrd: mediaTypeInitrd, Image: mediaTypeImage, SBOM: mediaTypeSBOM}

// layer finds how a part travels.
func (r *Release) layer(name string) (ocispec.Descriptor, error) {
	for _, l := range r.layers {
		if l.Annotations[partAnnotation] != name {
			continue
		}
		part, listed := r.Manifest.Parts[name]
		if listed && l.MediaType != mediaTypePacked && (l.Digest != part.Digest || l.Size != part.Size) {
			return l, fmt.Errorf("the release is contradictory: %s is %s in one place and %s in another", name, part.Digest, l.Digest)
		}
		return l, nil
	}
	return ocispec.Descriptor{}, errors.New("the release does not carry it")
}

// Part writes a part to w, checked against its digest; the OS image only where
// it travels as it is, as on a live medium: WriteImage is for all places. On an
// error what w got is of no use. With a cache folder a download that broke off
// goes on there, even after a reboot.
func (r *Release) Part(ctx context.Context, name string, w io.Writer, progress Progress) error {
	if err := r.part(ctx, name, w, progress); err != nil {
		return fmt.Errorf("cannot get the %s of release %s: %w", name, r.Manifest.Version, err)
	}
	return nil
}

func (r *Release) part(ctx context.Context, name string, w io.Writer, progress Progress) error {
	l, err := r.layer(name)
	if err != nil {
		return err
	}
	if l.MediaType == mediaTypePacked {
		return errors.New("internal error: an OS image that is packed comes by WriteImage")
	}
	if name == Image || r.cache == "" { // a cache is for what is small
		return r.stream(ctx, l, 0, digest.SHA256.Hash(), w, progress)
	}
	return r.cached(ctx, l, w, progress)
}

// stream copies a blob from offset on; h has seen what is in front of it.
func (r *Release) stream(ctx context.Context, l ocispec.Descriptor, offset int64, h hash.Hash, w io.Writer, progress Progress) error {
	out := io.MultiWriter(w, h)
	if progress != nil {
		out = io.MultiWriter(w, h, &meter{progress, offset, l.Size})
	}
	if _, err := repository.Copy(ctx, out, r.place, l, offset, -1, r.retry); err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, h); got != l.Digest {
		return fmt.Errorf("%w: its digest is %s, want %s", errDamaged, got, l.Digest)
	}
	return nil
}

var errDamaged = errors.New("it is damaged")

// Prune removes from the cache what the download of another release left there.
func (r *Release) Prune() error {
	if r.cache == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(r.cache, "*.part"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if !slices.ContainsFunc(r.layers, func(l ocispec.Descriptor) bool { return filepath.Base(file) == cacheName(l) }) {
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}

func cacheName(l ocispec.Descriptor) string { return l.Digest.Encoded() + ".part" }

// cached downloads into a file of the cache and copies from there. The file
// goes when it has been copied or is damaged, and when a disk is full: who
// works on this machine needs the room more than the next attempt does.
func (r *Release) cached(ctx context.Context, l ocispec.Descriptor, w io.Writer, progress Progress) (err error) {
	file, err := os.OpenFile(filepath.Join(r.cache, cacheName(l)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		_ = file.Close()
		if err == nil || errors.Is(err, errDamaged) || errors.Is(err, syscall.ENOSPC) {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := r.download(ctx, l, file, progress); err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(file, 0, l.Size))
	return err
}

// download fills the file, going on where it ends if the server can do that.
func (r *Release) download(ctx context.Context, l ocispec.Descriptor, file *os.File, progress Progress) error {
	h := digest.SHA256.Hash()
	have, err := io.Copy(h, io.LimitReader(file, l.Size))
	if err != nil {
		return err
	}
	err = r.stream(ctx, l, have, h, file, progress)
	if !errors.Is(err, repository.ErrNoRanges) {
		return err
	}
	return repository.Again(ctx, r.retry, func() error {
		if err := file.Truncate(0); err != nil {
			return err
		}
		return r.stream(ctx, l, 0, digest.SHA256.Hash(), io.NewOffsetWriter(file, 0), progress)
	})
}

// meter tells how far a copy is.
type meter struct {
	progress    Progress
	done, total int64
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	m.progress(m.done, m.total)
	return len(p), nil
}
