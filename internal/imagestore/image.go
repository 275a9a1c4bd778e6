package imagestore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	records "github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/images"
)

// Image is one image of the store.
type Image struct {
	Name     string    `json:"name"`     // in full: docker.io/library/alpine:latest; "" if it has none
	Digest   string    `json:"digest"`   // what the name stands for at its registry
	Manifest string    `json:"manifest"` // what of that is for this machine; often the same
	ID       string    `json:"id"`       // of its config: the same for every name of the image
	Size     int64     `json:"size"`     // bytes on disk, unpacked
	Created  time.Time `json:"created,omitzero"`

	Config   ocispec.ImageConfig `json:"config"`
	Platform ocispec.Platform    `json:"platform"`
	Layers   []string            `json:"layers,omitempty"` // digests of the unpacked layers, lowest first

	chain string // snapshot of its last layer
}

// MissingError says that an image is not in the store.
type MissingError struct{ Image string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("image %q is not on this machine", e.Image)
}

// Baked is the image in the words of package images, for a spec.
func (i Image) Baked() images.Image {
	c := i.Config
	return images.Image{
		Name: cmp.Or(i.Name, i.ID), Digest: i.Manifest,
		Config: images.Config{
			Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User,
			Volumes: slices.Sorted(maps.Keys(c.Volumes)),
		},
	}
}

// List returns all images, by name.
func (s *Store) List(ctx context.Context) ([]Image, error) {
	list, err := s.parts.Images.List(s.in(ctx))
	if err != nil {
		return nil, fmt.Errorf("cannot list the images: %w", err)
	}
	var all []Image
	for _, r := range list {
		if r.Labels[labelID] == "" {
			continue // another program's
		}
		image, err := s.image(ctx, r)
		if err != nil {
			s.opts.Log.Warn("leaving out an image", "image", r.Name, "error", err)
			continue
		}
		all = append(all, image)
	}
	slices.SortFunc(all, func(a, b Image) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return all, nil
}

// Get returns an image by its name, short or in full, by its ID or digest, or
// by the beginning of its ID. One that is not there gives a *MissingError. It
// needs no network.
func (s *Store) Get(ctx context.Context, name string) (Image, error) {
	r, err := s.find(ctx, name)
	if err != nil {
		return Image{}, err
	}
	return s.image(ctx, r)
}

// find looks for the record of an image.
func (s *Store) find(ctx context.Context, name string) (records.Image, error) {
	missing := &MissingError{name}
	for _, domain := range slices.Compact([]string{s.opts.Reach().Domain, ""}) {
		full, err := FullName(name, domain)
		if err != nil {
			break // perhaps an ID
		}
		r, err := s.parts.Images.Get(s.in(ctx), full)
		if err == nil && r.Labels[labelID] != "" {
			return r, nil
		}
		if err != nil && !errdefs.IsNotFound(err) {
			return records.Image{}, fmt.Errorf("cannot look up image %q: %w", name, err)
		}
	}
	list, err := s.parts.Images.List(s.in(ctx))
	if err != nil {
		return records.Image{}, fmt.Errorf("cannot look up image %q: %w", name, err)
	}
	var found []records.Image
	for _, r := range list {
		if r.Labels[labelID] != "" && means(name, r) {
			found = append(found, r)
		}
	}
	for _, r := range found {
		if r.Labels[labelID] != found[0].Labels[labelID] {
			return records.Image{}, fmt.Errorf("image %q could be more than one image", name)
		}
	}
	if len(found) == 0 {
		return records.Image{}, missing
	}
	return found[0], nil
}

// means says whether name is an ID, a digest or the beginning of an ID of a
// record, or a name with its digest.
func means(name string, r records.Image) bool {
	if _, d, pinned := strings.Cut(name, "@"); pinned {
		return d == r.Target.Digest.String() || d == r.Labels[labelManifest]
	}
	const shortest = 4
	id := strings.TrimPrefix(r.Labels[labelID], "sha256:")
	word := strings.TrimPrefix(name, "sha256:")
	return len(word) >= shortest && strings.HasPrefix(id, word) ||
		name == r.Target.Digest.String() || name == r.Labels[labelManifest]
}

// image reads what a record stands for.
func (s *Store) image(ctx context.Context, r records.Image) (Image, error) {
	size, _ := strconv.ParseInt(r.Labels[labelSize], 10, 64)
	i := Image{
		Name: r.Name, Digest: r.Target.Digest.String(),
		Manifest: r.Labels[labelManifest], ID: r.Labels[labelID], Size: size, chain: r.Labels[labelChain],
	}
	if strings.HasPrefix(r.Name, nameless) {
		i.Name = ""
	}
	c, err := s.config(ctx, ocispec.Manifest{Config: ocispec.Descriptor{Digest: digest.Digest(i.ID)}})
	if err != nil {
		return i, fmt.Errorf("image %q: %w", r.Name, err)
	}
	i.Config, i.Platform = c.Config, c.Platform
	if c.Created != nil {
		i.Created = *c.Created
	}
	for _, d := range c.RootFS.DiffIDs {
		i.Layers = append(i.Layers, d.String())
	}
	return i, nil
}

// Remove takes the name of an image out of the store. What belongs to no other
// name and to no container is removed from the disk before it returns.
func (s *Store) Remove(ctx context.Context, name string) (Image, error) {
	r, err := s.find(ctx, name)
	if err != nil {
		return Image{}, fmt.Errorf("cannot remove image %q: %w", name, err)
	}
	image, err := s.image(ctx, r)
	if err == nil {
		err = s.parts.Images.Delete(s.in(ctx), r.Name, records.SynchronousDelete())
	}
	if err != nil {
		return Image{}, fmt.Errorf("cannot remove image %q: %w", name, err)
	}
	return image, nil
}

// Tag gives an image another name, which may have been that of another image.
func (s *Store) Tag(ctx context.Context, name, as string) (Image, error) {
	full, err := FullName(as, "")
	if err != nil {
		return Image{}, fmt.Errorf("cannot name image %q: %w", name, err)
	}
	r, err := s.find(ctx, name)
	if err == nil {
		r.Name = full
		err = s.record(ctx, r)
	}
	if err != nil {
		return Image{}, fmt.Errorf("cannot name image %q: %w", name, err)
	}
	return s.image(ctx, r)
}
