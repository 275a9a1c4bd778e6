package imagestore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
)

// untilRecorded is how long a view waits for the record of its container.
const (
	untilRecorded = time.Hour
	expireLabel   = "containerd.io/gc.expire"
)

// View keeps the files of an image for a container and returns the folders
// that they are in, the top layer first, as overlayfs wants them. The files
// stay there, also when the image is removed, as long as a container record of
// the same namespace names the snapshot key (and for an hour from now).
//
// An image without any file has no folder.
func (s *Store) View(ctx context.Context, key string, image Image) (lower []string, err error) {
	lower, err = s.view(ctx, key, image)
	if err != nil {
		return nil, fmt.Errorf("cannot use image %q: %w", image.Name, err)
	}
	return lower, nil
}

func (s *Store) view(ctx context.Context, key string, image Image) ([]string, error) {
	if image.chain == "" {
		return nil, s.drop(ctx, key)
	}
	// Until the container's record refers to it, it is kept by its own label.
	soon := map[string]string{expireLabel: time.Now().Add(untilRecorded).Format(time.RFC3339)}
	info, err := s.parts.Snapshots.Stat(s.in(ctx), key)
	switch {
	case err == nil && info.Parent == image.chain:
		info.Labels = soon
		if _, err := s.parts.Snapshots.Update(s.in(ctx), info, "labels."+expireLabel); err != nil {
			return nil, err
		}
		mounts, err := s.parts.Snapshots.Mounts(s.in(ctx), key)
		if err != nil {
			return nil, err
		}
		return folders(mounts)
	case err == nil:
		err = s.drop(ctx, key)
	case errdefs.IsNotFound(err):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	mounts, err := s.parts.Snapshots.View(s.in(ctx), key, image.chain, snapshots.WithLabels(soon))
	if err != nil {
		return nil, err
	}
	return folders(mounts)
}

// folders are the directories that a read-only snapshot is made of.
func folders(mounts []mount.Mount) ([]string, error) {
	if len(mounts) == 1 {
		if m := mounts[0]; m.Type == "bind" {
			return []string{m.Source}, nil
		}
		for _, option := range mounts[0].Options {
			if list, ok := strings.CutPrefix(option, "lowerdir="); ok {
				return strings.Split(list, ":"), nil
			}
		}
	}
	return nil, fmt.Errorf("internal error: a snapshot is mounted in an unknown way: %v", mounts)
}

// Drop ends what View has begun. A key that is not there is no error.
func (s *Store) Drop(ctx context.Context, key string) error {
	if err := s.drop(ctx, key); err != nil {
		return fmt.Errorf("cannot let go of the image of %q: %w", key, err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, key string) error {
	err := s.parts.Snapshots.Remove(s.in(ctx), key)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
