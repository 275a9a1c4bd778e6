package mounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// SwitchRoot makes newRoot, a mount point, the root of this process and of all
// that it starts from now on, and takes the mounts in carry ("/dev", "/run", …)
// along; newRoot must have a directory for each. Then it deletes what is in
// the initramfs, which gives its memory back; the caller goes on to exec the
// init of the new root.
//
// If it fails before the root has changed, the initramfs is as it was, mounts
// included, so that a rescue shell in it still works.
func SwitchRoot(newRoot string, carry []string) error {
	if err := switchRoot(newRoot, carry); err != nil {
		return fmt.Errorf("cannot switch root to %q: %w", newRoot, err)
	}
	return nil
}

func switchRoot(newRoot string, carry []string) (err error) {
	oldRoot, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(oldRoot)
	var moved []string
	defer func() {
		if err != nil {
			for _, dir := range slices.Backward(moved) {
				err = errors.Join(err, unix.Mount(filepath.Join(newRoot, dir), dir, "", unix.MS_MOVE, ""))
			}
		}
	}()
	for _, dir := range carry {
		if err := unix.Mount(dir, filepath.Join(newRoot, dir), "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %q: %w", dir, err)
		}
		moved = append(moved, dir)
	}
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	// pivot_root(2) does not work on the initramfs: moving over it is the way
	// (kernel, Documentation/filesystems/ramfs-rootfs-initramfs.rst).
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move it to %q: %w", "/", err)
	}
	moved = nil // there is no way back from here
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	// From here on nothing may stop the boot: what is not deleted costs memory only.
	var fs unix.Statfs_t
	if err := unix.Fstatfs(oldRoot, &fs); err == nil && (fs.Type == unix.RAMFS_MAGIC || fs.Type == unix.TMPFS_MAGIC) {
		_ = removeContents(oldRoot)
	}
	return nil
}

// removeContents deletes everything in the directory behind dir that lies on
// the same file system. It works by descriptor and by *at calls, because the
// initramfs no longer has a path.
func removeContents(dir int) error {
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	return removeOn(st.Dev, dir)
}

func removeOn(dev uint64, dir int) error {
	// A descriptor of its own for the listing: os.File closes what it is given.
	listing, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(listing), "initramfs")
	names, err := f.Readdirnames(-1)
	f.Close()
	faults := []error{err}
	for _, name := range names {
		faults = append(faults, removeEntry(dev, dir, name))
	}
	return errors.Join(faults...)
}

func removeEntry(dev uint64, dir int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Dev != dev {
		return nil // something is still mounted here: it is not ours to empty
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.Unlinkat(dir, name, 0)
	}
	sub, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = removeOn(dev, sub)
	unix.Close(sub)
	return errors.Join(err, unix.Unlinkat(dir, name, unix.AT_REMOVEDIR))
}
