package containers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// endCgroup ends every process of a service, whoever started it, and removes
// its cgroup. It is the last word: it needs neither containerd nor a shim nor
// the OCI runtime.
//
// The cgroup must go too: on kernels since 6.12 a process that is started
// straight into a cgroup (CLONE_INTO_CGROUP, as crun does) is killed at birth
// once cgroup.kill has been written there, also long after.
func (r *Runtime) endCgroup(ctx context.Context, service string) error {
	if r.opts.CgroupParent == "" {
		return nil
	}
	dir := filepath.Join(r.opts.CgroupRoot, r.opts.CgroupParent, service)
	err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for {
		err := removeCgroup(dir)
		if err == nil {
			return nil
		}
		if pause(ctx) != nil {
			return fmt.Errorf("its processes do not end: %w", err)
		}
	}
}

// removeCgroup removes a cgroup and those below it, deepest first.
func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range slices.Backward(dirs) {
		if err := unix.Rmdir(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &fs.PathError{Op: "rmdir", Path: d, Err: err}
		}
	}
	return nil
}
