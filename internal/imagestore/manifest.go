package imagestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDocument bounds a manifest, an index and a config: what is read whole.
const maxDocument = 8 << 20

func isManifest(d ocispec.Descriptor) bool { return images.IsManifestType(d.MediaType) }

// document reads a piece of content that is JSON.
func (s *Store) document(ctx context.Context, d ocispec.Descriptor, what string, into any) error {
	if d.Size > maxDocument {
		return fmt.Errorf("its %s has %d bytes, more than an image can have", what, d.Size)
	}
	text, err := content.ReadBlob(s.in(ctx), s.parts.Content, d)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("its %s is not one: %w", what, err)
	}
	return nil
}

// choose returns the entry of an index that fits this machine best.
func (s *Store) choose(ctx context.Context, index ocispec.Descriptor) (ocispec.Descriptor, error) {
	if !images.IsIndexType(index.MediaType) {
		return ocispec.Descriptor{}, fmt.Errorf("it is not an image (it is %q)", index.MediaType)
	}
	var list ocispec.Index
	if err := s.document(ctx, index, "index", &list); err != nil {
		return ocispec.Descriptor{}, err
	}
	var fit []ocispec.Descriptor
	var others []string
	for _, d := range list.Manifests {
		switch {
		case !isManifest(d) && !images.IsIndexType(d.MediaType):
		case d.Platform == nil || s.platform.Match(*d.Platform):
			fit = append(fit, d)
		case d.Platform.OS != "unknown": // those are notes about the build
			others = append(others, platforms.Format(*d.Platform))
		}
	}
	if len(fit) == 0 {
		return ocispec.Descriptor{}, s.misfit(others)
	}
	slices.SortStableFunc(fit, func(a, b ocispec.Descriptor) int {
		switch {
		case a.Platform == nil || b.Platform == nil:
			return 0
		case s.platform.Less(*a.Platform, *b.Platform):
			return -1
		}
		return 1
	})
	return fit[0], nil
}

func (s *Store) misfit(has []string) error {
	text := "nothing"
	if len(has) > 0 {
		text = strings.Join(has, ", ")
	}
	return fmt.Errorf("it is not for this machine, which is %s: it is for %s", platforms.Format(*s.opts.Platform), text)
}

func (s *Store) manifest(ctx context.Context, d ocispec.Descriptor) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	if err := s.document(ctx, d, "manifest", &m); err != nil {
		return m, err
	}
	if !images.IsKnownConfig(m.Config.MediaType) || slices.ContainsFunc(m.Layers, func(l ocispec.Descriptor) bool {
		return !images.IsLayerType(l.MediaType)
	}) {
		return m, errors.New("it is an artifact and not an image that can be run")
	}
	return m, nil
}

// config is what an image says about itself.
func (s *Store) config(ctx context.Context, m ocispec.Manifest) (ocispec.Image, error) {
	var c ocispec.Image
	err := s.document(ctx, m.Config, "config", &c)
	return c, err
}

// fits says whether the config of an image is for this machine and goes with
// its manifest.
func (s *Store) fits(ctx context.Context, m ocispec.Manifest) error {
	c, err := s.config(ctx, m)
	switch {
	case err != nil:
		return err
	case c.Architecture != "" && !s.platform.Match(c.Platform):
		return s.misfit([]string{platforms.Format(c.Platform)})
	case len(c.RootFS.DiffIDs) != len(m.Layers):
		return fmt.Errorf("its config names %d layers and its manifest %d", len(c.RootFS.DiffIDs), len(m.Layers))
	}
	return nil
}
