// Package mounts makes, undoes and moves mounts.
//
// A mount is a value, a list of them a table that reads in the order in which
// it is carried out. The package knows how to carry a table out, how to take
// everything down at shutdown and how to leave the initramfs for the real root;
// which devices and images are mounted is for the callers (init, statedisk).
package mounts

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Mount is one mount. A target that is missing is made, as a directory.
type Mount struct {
	Source string
	Target string
	Type   string
	Flags  uintptr // MS_*
	Data   string  // options of the file system
	// Optional says that the machine can do without: if it cannot be mounted
	// that is a warning, not an error.
	Optional bool
}

// Syscalls are the two system calls behind this package, so that tests need
// not be root.
type Syscalls interface {
	Mount(source, target, fstype string, flags uintptr, data string) error
	Unmount(target string, flags int) error
}

// Linux is the Syscalls of the running kernel.
type Linux struct{}

// Mount is mount(2).
func (Linux) Mount(source, target, fstype string, flags uintptr, data string) error {
	return unix.Mount(source, target, fstype, flags, data)
}

// Unmount is umount2(2).
func (Linux) Unmount(target string, flags int) error { return unix.Unmount(target, flags) }

// Early is what every program on the machine takes for granted. Running the
// table is the first thing PID 1 does in the initramfs; all of it is carried
// over to the real root.
func Early() []Mount {
	const still = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	return []Mount{
		{Source: "proc", Target: "/proc", Type: "proc", Flags: still},
		{Source: "sysfs", Target: "/sys", Type: "sysfs", Flags: still},
		{Source: "devtmpfs", Target: "/dev", Type: "devtmpfs", Flags: unix.MS_NOSUID, Data: "mode=0755"},
		{Source: "devpts", Target: "/dev/pts", Type: "devpts", Flags: unix.MS_NOSUID | unix.MS_NOEXEC, Data: "ptmxmode=0666,mode=0620,gid=5"},
		{Source: "shm", Target: "/dev/shm", Type: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=1777"},
		{Source: "run", Target: "/run", Type: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=0755"},
		// memory_recursiveprot: protection given to /services reaches the services in it.
		{Source: "cgroup2", Target: "/sys/fs/cgroup", Type: "cgroup2", Flags: still, Data: "nsdelegate,memory_recursiveprot"},
		{Source: "mqueue", Target: "/dev/mqueue", Type: "mqueue", Flags: still, Optional: true},
		{Source: "securityfs", Target: "/sys/kernel/security", Type: "securityfs", Flags: still, Optional: true},
		{Source: "bpf", Target: "/sys/fs/bpf", Type: "bpf", Flags: still, Data: "mode=0700", Optional: true},
		{Source: "pstore", Target: "/sys/fs/pstore", Type: "pstore", Flags: still, Optional: true},
	}
}

// Bind is the mount of what is already at source at a second place. Flags such
// as MS_RDONLY and MS_NODEV apply to the new place alone.
func Bind(source, target string, flags uintptr) Mount {
	return Mount{Source: source, Target: target, Flags: unix.MS_BIND | flags}
}

// All carries the table out in order. If a mount fails, those made before it
// are undone, last first, and the error names the one that failed; an optional
// mount that fails is reported in warnings instead.
func All(sys Syscalls, table []Mount) (warnings []string, err error) {
	var done []string
	for _, m := range table {
		made, err := one(sys, m)
		if made {
			done = append(done, m.Target)
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("cannot mount %s at %q: %w", cmp.Or(m.Source, m.Type), m.Target, err)
		if m.Optional {
			warnings = append(warnings, err.Error())
			continue
		}
		for _, target := range slices.Backward(done) {
			// Detached: what keeps it busy must not keep the boot from a second try.
			if uerr := sys.Unmount(target, unix.MNT_DETACH); uerr != nil {
				warnings = append(warnings, fmt.Sprintf("cannot unmount %q: %v", target, uerr))
			}
		}
		return warnings, err
	}
	return warnings, nil
}

// one makes m; made tells whether something has to be unmounted again.
func one(sys Syscalls, m Mount) (made bool, err error) {
	if _, err := os.Stat(m.Target); err != nil {
		if err := os.MkdirAll(m.Target, 0o755); err != nil {
			return false, err
		}
	}
	if err := sys.Mount(m.Source, m.Target, m.Type, m.Flags, m.Data); err != nil {
		return false, err
	}
	// mount(2) ignores every other flag of a new bind mount; they take a second call.
	const kinds = unix.MS_BIND | unix.MS_REC
	if m.Flags&unix.MS_BIND != 0 && m.Flags&^kinds != 0 {
		if err := sys.Mount("", m.Target, "", m.Flags&^unix.MS_REC|unix.MS_REMOUNT, ""); err != nil {
			return true, err
		}
	}
	return true, nil
}
