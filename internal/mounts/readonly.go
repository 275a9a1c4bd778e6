package mounts

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ReadOnly makes the file system of a device readable at target, a directory
// that is there, until undo. Nothing on it is trusted. The module of the file
// system the kernel has loaded by the modprobe of the OS image.
func ReadOnly(device, fstype, target string) (undo func() error, err error) {
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount(device, target, fstype, flags, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", fstype, err)
	}
	return func() error { return unix.Unmount(target, unix.MNT_DETACH) }, nil
}
