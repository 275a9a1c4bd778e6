package imagestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/rosteros/ros/internal/images"
)

const (
	parallelLayers = 3 // as Docker does
	attempts       = 4 // to fetch the content of an image whose registry has answered
	firstPause     = time.Second
)

// Pull fetches an image from its registry, or what is missing of it, unpacks
// it and puts its name into the store. say, if not nil, is told the steps, one
// at a time. An image that is there already is asked for again: its name may
// stand for another one by now.
func (s *Store) Pull(ctx context.Context, name string, say func(Event)) (Image, error) {
	image, err := s.pull(ctx, name, newProgress(say))
	if err != nil {
		return Image{}, fmt.Errorf("cannot pull %q: %w", name, err)
	}
	return image, nil
}

// Resolve asks the registry of an image which digest its name stands for now.
// It fetches nothing.
func (s *Store) Resolve(ctx context.Context, name string) (digest string, err error) {
	reach := s.opts.Reach()
	full, err := FullName(name, reach.Domain)
	if err != nil {
		return "", fmt.Errorf("cannot look up %q: %w", name, err)
	}
	_, target, err := s.ask(ctx, full, reach)
	if err != nil {
		return "", fmt.Errorf("cannot look up %q: %w", name, explain(full, err))
	}
	return target.Digest.String(), nil
}

// ask returns what an image's name stands for, and how its content is fetched.
func (s *Store) ask(ctx context.Context, full string, reach Registries) (remotes.Fetcher, ocispec.Descriptor, error) {
	resolver, err := reach.resolver()
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	found, target, err := resolver.Resolve(s.in(ctx), full)
	if err != nil {
		return nil, target, err
	}
	fetcher, err := resolver.Fetcher(s.in(ctx), found)
	return fetcher, target, err
}

func (s *Store) pull(ctx context.Context, name string, p *progress) (Image, error) {
	reach := s.opts.Reach()
	full, err := FullName(name, reach.Domain)
	if err != nil {
		return Image{}, err
	}
	fetcher, target, err := s.ask(ctx, full, reach)
	if err != nil {
		return Image{}, explain(full, err)
	}
	p.say(Event{Status: "Pulling " + ShortName(full)})
	// The name of the lease is that of the image: the next try finds what this
	// one has fetched.
	ctx, release, err := s.lease(ctx, "pull "+full)
	if err != nil {
		return Image{}, err
	}
	f := fetch{store: s, from: fetcher, progress: p}
	for try, pause := 1, firstPause; ; try, pause = try+1, 2*pause {
		err = f.all(ctx, target)
		if err == nil || try == attempts || !passing(err) || ctx.Err() != nil {
			break
		}
		p.say(Event{Status: fmt.Sprintf("Trying again in %s: %v", pause, explain(full, err))})
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return Image{}, ctx.Err() // not what became of the connection meanwhile
	}
	if err != nil {
		return Image{}, explain(full, err)
	}
	image, err := s.keep(ctx, full, target, p)
	if err != nil {
		return Image{}, err
	}
	release()
	return image, nil
}

// fetch gets the content of one image from its registry.
type fetch struct {
	store    *Store
	from     remotes.Fetcher
	progress *progress
}

// all fetches what the store does not have: the manifest for this machine, the
// config, and the layers.
func (f *fetch) all(ctx context.Context, target ocispec.Descriptor) error {
	for !isManifest(target) { // an index, which may lead to another
		if err := f.one(ctx, target); err != nil {
			return err
		}
		next, err := f.store.choose(ctx, target)
		if err != nil {
			return err
		}
		target = next
	}
	if err := f.one(ctx, target); err != nil {
		return err
	}
	manifest, err := f.store.manifest(ctx, target)
	if err != nil {
		return err
	}
	if err := f.one(ctx, manifest.Config); err != nil {
		return err
	}
	if err := f.store.fits(ctx, manifest); err != nil {
		return err
	}
	for _, layer := range manifest.Layers {
		f.progress.say(Event{Layer: short(layer.Digest.String()), Status: images.Waiting, Total: layer.Size})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for _, layer := range manifest.Layers {
		group.Go(func() error { return f.layer(ctx, layer) })
	}
	return group.Wait()
}

func (f *fetch) layer(ctx context.Context, layer ocispec.Descriptor) error {
	// Addresses in a manifest lead anywhere; layers come from the registry.
	layer.URLs = nil
	id := short(layer.Digest.String())
	if _, err := f.store.parts.Content.Info(f.store.in(ctx), layer.Digest); err == nil {
		f.progress.say(Event{Layer: id, Status: images.Exists})
		return nil
	}
	if err := f.one(ctx, layer); err != nil {
		return fmt.Errorf("layer %s: %w", id, err)
	}
	f.progress.say(Event{Layer: id, Status: images.Downloaded, Current: layer.Size, Total: layer.Size})
	return nil
}

// one fetches one piece of content unless it is there. What an earlier try has
// fetched of it is not fetched again.
func (f *fetch) one(ctx context.Context, d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from := &watched{from: f.from, progress: f.progress, stalled: func() { cancel(errStalled) }}
	err := remotes.Fetch(f.store.in(ctx), f.store.parts.Content, from, d)
	switch {
	case errdefs.IsAlreadyExists(err):
		return nil
	case err != nil && errors.Is(context.Cause(ctx), errStalled):
		return errStalled
	}
	return err
}
