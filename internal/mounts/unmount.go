package mounts

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"golang.org/x/sys/unix"
)

// keep are file systems that hold no data of anyone: taking them down gains
// nothing, and PID 1 needs some of them until the very end.
var keep = []string{
	"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
	"fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rootfs", "securityfs", "sysfs", "tracefs",
	"tmpfs", "iso9660", "erofs", // gone with the power, or never written: the OS image lies on these
}

// UnmountAll takes down every mount but the root and those of the kernel, when
// the machine goes down and everything else has ended. mountinfo is the text of
// /proc/self/mountinfo.
//
// It goes backwards, again and again as long as that helps. What still will not
// go is made read-only, which writes everything out, and then detached. The
// error names the mounts for which even read-only failed: only those may need a
// check on the next boot.
func UnmountAll(sys Syscalls, mountinfo io.Reader, log *slog.Logger) error {
	targets, err := unmountable(mountinfo)
	if err != nil {
		return fmt.Errorf("cannot read the list of mounts: %w", err)
	}
	for {
		var busy []string
		for _, target := range targets {
			err := sys.Unmount(target, 0)
			if errors.Is(err, unix.EBUSY) {
				busy = append(busy, target)
			} else if err != nil {
				// Not mounted any more: it went with the one above it.
				log.Debug("unmount", "target", target, "error", err)
			}
		}
		if len(busy) == len(targets) {
			break
		}
		targets = busy
	}

	var failed []error
	for _, target := range targets {
		// With MS_BIND only this place would turn read-only, not the file system.
		err := sys.Mount("", target, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		if err != nil {
			failed = append(failed, fmt.Errorf("cannot unmount %q: it is busy, and cannot be made read-only: %w", target, err))
		} else {
			log.Warn("unmount: busy, made read-only instead", "target", target)
		}
		if err := sys.Unmount(target, unix.MNT_DETACH); err != nil {
			log.Debug("detach", "target", target, "error", err)
		}
	}
	return errors.Join(failed...)
}

// unmountable are the mount points to take down, last mounted first.
func unmountable(mountinfo io.Reader) ([]string, error) {
	points, err := Table(mountinfo)
	var targets []string
	for _, p := range slices.Backward(points) {
		if p.Target != "/" && !slices.Contains(keep, p.FSType) {
			targets = append(targets, p.Target)
		}
	}
	return targets, err
}
