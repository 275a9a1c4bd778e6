package mounts_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/mounts"
)

// inNamespace marks the second run of this test program, alone in a mount
// namespace of its own, where it may change its root.
const inNamespace = "ROS_TEST_SWITCH_ROOT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(inNamespace); dir != "" {
		if err := switchInNamespace(dir); err != nil {
			fmt.Println("FAIL:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestSwitchRoot(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), inNamespace+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil { // not started: no right to make namespaces here
		if os.Getenv("CI") == "true" {
			t.Fatalf("cannot make a mount namespace: %v", err)
		}
		t.Skipf("cannot make a mount namespace: %v", err)
	}
	if err != nil {
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
}

// switchInNamespace builds an initramfs and a root, both tmpfs, below dir, goes
// into the first and switches to the second. Everything happens below dir, so
// nothing of the machine can be deleted whatever SwitchRoot does.
func switchInNamespace(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	_, err := mounts.All(mounts.Linux{}, []mounts.Mount{
		{Source: "initramfs", Target: filepath.Join(dir, "initramfs"), Type: "tmpfs"},
		{Source: "sysroot", Target: filepath.Join(dir, "initramfs/sysroot"), Type: "tmpfs"},
		{Source: "run", Target: filepath.Join(dir, "initramfs/run"), Type: "tmpfs"},
	})
	if err != nil {
		return err
	}
	if err := unix.Chroot(filepath.Join(dir, "initramfs")); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for _, file := range []string{"/init", "/lib/modules/a/b", "/run/carried", "/sysroot/etc/os", "/sysroot/run/.keep"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			return err
		}
	}
	old, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}

	// A failure leaves everything in its place.
	if err := mounts.SwitchRoot("/sysroot", []string{"/run", "/dev"}); err == nil || !strings.HasPrefix(err.Error(), `cannot switch root to "/sysroot": move "/dev": `) {
		return fmt.Errorf(`SwitchRoot with a mount that is missing = %v, want it to name "/dev"`, err)
	}
	for _, file := range []string{"/init", "/run/carried"} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("after a failed switch: %w", err)
		}
	}

	if err := mounts.SwitchRoot("/sysroot", []string{"/run"}); err != nil {
		return err
	}
	for _, file := range []string{"/etc/os", "/run/carried"} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("after the switch: %w", err)
		}
	}
	if _, err := os.Stat("/init"); err == nil {
		return fmt.Errorf("after the switch /init of the initramfs is still there")
	}
	left, err := os.NewFile(uintptr(old), "initramfs").Readdirnames(-1)
	slices.Sort(left)
	if err != nil || len(left) > 0 {
		return fmt.Errorf("the initramfs still holds %q, %v", left, err)
	}
	return nil
}
