package imagestore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
)

// Files are where the files of an image are.
type Files struct {
	Key     string   // of the snapshot that keeps them
	Lower   []string // folders, the top layer first, as overlayfs wants them
	release func()
}

// Release says that the container's record is there, or that the files are not
// needed any more.
func (f Files) Release() {
	if f.release != nil {
		f.release()
	}
}

// KeepLabel on a container's record, with the key of a snapshot, keeps that
// snapshot as long as the record is there.
const KeepLabel = refSnapshot

// View keeps the files of an image for a container: until Release is called,
// and as long as the container's record has KeepLabel with the key. That holds
// also when the image is removed or its name stands for another one. A container
// whose image has changed gets another key, so one that runs keeps its files.
//
// An image without any file has no key and no folder.
func (s *Store) View(ctx context.Context, container string, image Image) (Files, error) {
	if image.chain == "" {
		return Files{}, nil
	}
	key := container + "@" + short(image.chain)
	// A lease of its own: of two at a time neither must end that of the other.
	ctx, release, err := s.lease(ctx, "view "+key+" "+time.Now().Format(time.RFC3339Nano))
	if err != nil {
		return Files{}, fmt.Errorf("cannot use image %q: %w", image.Name, err)
	}
	lower, err := s.view(ctx, key, image)
	if err != nil {
		release()
		return Files{}, fmt.Errorf("cannot use image %q: %w", image.Name, err)
	}
	return Files{key, lower, release}, nil
}

// view is called with a lease.
func (s *Store) view(ctx context.Context, key string, image Image) ([]string, error) {
	// A view of an earlier run may be there still, without a record. From now on
	// the garbage collection spares it; before, it may have taken it.
	lease, _ := leases.FromContext(ctx)
	err := s.parts.Leases.AddResource(s.in(ctx), leases.Lease{ID: lease}, leases.Resource{ID: key, Type: "snapshots/" + Snapshotter})
	if err != nil {
		return nil, err
	}
	info, err := s.parts.Snapshots.Stat(s.in(ctx), key)
	var mounts []mount.Mount
	switch {
	case errdefs.IsNotFound(err):
		mounts, err = s.parts.Snapshots.View(s.in(ctx), key, image.chain)
	case err == nil && info.Parent != image.chain:
		err = fmt.Errorf("internal error: snapshot %s is of another image", key)
	case err == nil:
		mounts, err = s.parts.Snapshots.Mounts(s.in(ctx), key)
	}
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
