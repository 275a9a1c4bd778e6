package containers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/api/types"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/compose"
)

// prepareRoot returns the mount that puts a service's writable layer over the
// folders of its image. The layer is in memory and made anew, unless the
// service is to find again what it has written.
func (r *Runtime) prepareRoot(svc compose.Service, src source) ([]*types.Mount, error) {
	dir := r.dir(svc.Name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if svc.Persistent {
		var err error
		if dir, err = r.lastingRoot(svc.Name, src); err != nil {
			return nil, err
		}
	}
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	lower := src.files.Lower
	if len(lower) == 0 { // an image from scratch; overlayfs wants one
		empty := filepath.Join(r.dir(svc.Name), "empty")
		if err := os.MkdirAll(empty, 0o755); err != nil {
			return nil, err
		}
		lower = []string{empty}
	}
	// The upper directory's mode is the mode of / in the container, whatever
	// our umask is.
	if err := os.Chmod(upper, 0o755); err != nil {
		return nil, err
	}
	return []*types.Mount{{
		Type:   "overlay",
		Source: "overlay",
		Options: []string{
			"lowerdir=" + strings.Join(lower, ":"),
			"upperdir=" + upper,
			"workdir=" + work,
		},
	}}, nil
}

// lastingDir is where the writable layer of a service is that stays.
func (r *Runtime) lastingDir(service string) string {
	return filepath.Join(r.opts.RootsDir, service)
}

// lastingRoot returns the folder of a writable layer that stays. What was
// written over another image is gone: its files would not fit this one's.
func (r *Runtime) lastingRoot(service string, src source) (string, error) {
	dir := r.lastingDir(service)
	note := filepath.Join(dir, "image")
	was, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err == nil && string(was) == src.Digest {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, atomicfile.WriteFile(note, []byte(src.Digest), 0o600)
}
