//go:build root

// Package containers_test runs services in a real containerd with real shims
// and a real OCI runtime, and kills them.
//
// It needs root with every capability, `unshare`, crun (or ROS_TEST_RUNTIME) and a static busybox,
// and in the directory ROS_TEST_BIN, build/ARCH/bin, what `make build`
// makes. What is missing fails the tests: the build tag is the promise that it
// is there.
//
//	ROS_TEST_BIN=… go test -tags root ./tests/containers/
package containers_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain runs the tests in a mount namespace of their own with nothing but
// cgroup v2, as the OS has it: the machine that builds may have a mixture. Their
// network is one of their own, too.
func TestMain(m *testing.M) {
	const inside = "ROS_TEST_INSIDE"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	const prepare = `busybox ip link set lo up; umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"`
	args := append([]string{"unshare", "--mount", "--net", "sh", "-c", prepare, "sh", self}, os.Args[1:]...)
	path, err := exec.LookPath(args[0])
	if err == nil {
		err = unix.Exec(path, args, append(os.Environ(), inside+"=1"))
	}
	fmt.Fprintln(os.Stderr, "cannot run unshare:", err)
	os.Exit(1)
}
