package imagestore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/rootfs"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	baked "github.com/rosteros/ros/internal/images"
)

// Labels of an image's record: what would have to be read again and again.
const (
	labelManifest = "ros.manifest" // digest of the manifest for this machine
	labelID       = "ros.id"       // digest of its config
	labelChain    = "ros.chain"    // name of the snapshot with all of its layers
	labelSize     = "ros.size"     // bytes, unpacked
)

// Labels by which containerd's garbage collection knows what belongs together.
const (
	refContent  = "containerd.io/gc.ref.content."
	refSnapshot = "containerd.io/gc.ref.snapshot." + Snapshotter
)

// keep makes an image of content that is in the store: it ties the parts
// together, unpacks the layers and, when all is done, writes the record. It is
// called with a lease.
func (s *Store) keep(ctx context.Context, full string, target ocispec.Descriptor, p *progress) (Image, error) {
	d := target
	for !isManifest(d) {
		next, err := s.choose(ctx, d)
		if err != nil {
			return Image{}, err
		}
		if err := s.tie(ctx, d, map[string]digest.Digest{"m.0": next.Digest}); err != nil {
			return Image{}, err
		}
		d = next
	}
	m, err := s.manifest(ctx, d)
	if err != nil {
		return Image{}, err
	}
	if err := s.fits(ctx, m); err != nil {
		return Image{}, err
	}
	parts := map[string]digest.Digest{"config": m.Config.Digest}
	for i, layer := range m.Layers {
		parts["l."+strconv.Itoa(i)] = layer.Digest
	}
	if err := s.tie(ctx, d, parts); err != nil {
		return Image{}, err
	}
	chain, size, err := s.unpack(ctx, m, p)
	if err != nil {
		return Image{}, err
	}
	record := images.Image{
		Name: full, Target: target,
		Labels: map[string]string{
			labelManifest: d.Digest.String(), labelID: m.Config.Digest.String(),
			labelChain: chain, labelSize: strconv.FormatInt(size, 10),
		},
	}
	if err := s.record(ctx, record); err != nil {
		return Image{}, err
	}
	return s.image(ctx, record)
}

// record writes a record, over one of the same name.
func (s *Store) record(ctx context.Context, record images.Image) error {
	record.CreatedAt = time.Now()
	_, err := s.parts.Images.Create(s.in(ctx), record)
	if errdefs.IsAlreadyExists(err) {
		_, err = s.parts.Images.Update(s.in(ctx), record, "target", "labels")
	}
	return err
}

// tie lets content live as long as what refers to it.
func (s *Store) tie(ctx context.Context, d ocispec.Descriptor, parts map[string]digest.Digest) error {
	info := content.Info{Digest: d.Digest, Labels: map[string]string{}}
	var fields []string
	for name, part := range parts {
		info.Labels[refContent+name] = part.String()
		fields = append(fields, "labels."+refContent+name)
	}
	_, err := s.parts.Content.Update(s.in(ctx), info, fields...)
	return err
}

// unpack makes a snapshot of each layer and returns the name of the last, and
// the bytes of all of them.
func (s *Store) unpack(ctx context.Context, m ocispec.Manifest, p *progress) (chain string, size int64, err error) {
	config, err := s.config(ctx, m)
	if err != nil {
		return "", 0, err
	}
	var below []digest.Digest
	for i, layer := range m.Layers {
		id := short(layer.Digest.String())
		p.say(Event{Layer: id, Status: baked.Extracting, Current: layer.Size, Total: layer.Size})
		diffID := config.RootFS.DiffIDs[i]
		_, err := rootfs.ApplyLayerWithOpts(s.in(ctx), rootfs.Layer{
			Blob: layer,
			Diff: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID},
		}, slices.Clone(below), s.parts.Snapshots, s.parts.Applier, nil, []diff.ApplyOpt{diff.WithSyncFs(true)})
		if err != nil {
			return "", 0, fmt.Errorf("unpacking layer %s: %w", id, err)
		}
		below = append(below, diffID)
		chain = identity.ChainID(below).String()
		usage, err := s.parts.Snapshots.Usage(s.in(ctx), chain)
		if err != nil {
			return "", 0, err
		}
		size += usage.Size
		p.say(Event{Layer: id, Status: baked.Complete})
	}
	if chain == "" {
		return "", 0, nil // from scratch, with nothing in it
	}
	info := content.Info{Digest: m.Config.Digest, Labels: map[string]string{refSnapshot: chain}}
	_, err = s.parts.Content.Update(s.in(ctx), info, "labels."+refSnapshot)
	return chain, size, err
}
