package containers

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rosteros/ros/internal/compose"
)

// makeVolume makes the directory of a volume that does not exist yet. It belongs
// to whom the image says for the place where it is mounted first: a program that
// is not root has to be able to write there. Of services that start at once with
// one volume the first makes it; the second must not put another in its place.
func (r *Runtime) makeVolume(m compose.Mount, src source) error {
	r.volumes.Lock()
	defer r.volumes.Unlock()
	dir := filepath.Join(r.opts.VolumesDir, m.Source)
	if exists(dir) {
		return nil
	}
	// No volume has such a name, and a power cut leaves nothing but this.
	fresh := filepath.Join(r.opts.VolumesDir, "."+m.Source+".new")
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		return err
	}
	if info := src.folder(m.Target); info != nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid+owner.Gid > 0 {
			if err := os.Chown(fresh, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
		if err := os.Chmod(fresh, info.Mode()); err != nil {
			return err
		}
	}
	return os.Rename(fresh, dir)
}

// folder is the folder that the image has at a path; nil: none.
func (s source) folder(path string) os.FileInfo {
	for _, layer := range s.files.Lower {
		info, err := statInRoot(layer, strings.TrimPrefix(path, "/"))
		switch {
		case err != nil: // the layer says nothing about it
		case info.IsDir():
			return info
		default: // taken away, or no folder
			return nil
		}
	}
	return nil
}

func statInRoot(dir, path string) (os.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Stat(path)
}
