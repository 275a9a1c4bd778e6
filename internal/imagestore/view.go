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

// Files are where the files of an image are.
type Files struct {
	Key   string   // of the snapshot that keeps them
	Lower []string // folders, the top layer first, as overlayfs wants them
}

// KeepLabel on a container's record, with the key of a snapshot, keeps that
// snapshot as long as the record is there.
const KeepLabel = refSnapshot

// View keeps the files of an image for a container: for an hour from now, and
// as long as the container's record has KeepLabel with the key. That holds also
// when the image is removed or its name stands for another one. A container
// whose image has changed gets another key, so one that runs keeps its files.
//
// An image without any file has no key and no folder.
func (s *Store) View(ctx context.Context, container string, image Image) (Files, error) {
	if image.chain == "" {
		return Files{}, nil
	}
	key := container + "@" + short(image.chain)
	lower, err := s.view(ctx, key, image)
	if err != nil {
		return Files{}, fmt.Errorf("cannot use image %q: %w", image.Name, err)
	}
	return Files{key, lower}, nil
}

func (s *Store) view(ctx context.Context, key string, image Image) ([]string, error) {
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
		return nil, fmt.Errorf("internal error: snapshot %s is of another image", key)
	case !errdefs.IsNotFound(err):
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
