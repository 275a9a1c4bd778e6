package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// groups are the top-level cgroups. A process in the one is never killed,
// limited or counted with those in another.
var groups = []struct {
	name   string
	divide bool // has groups of its own, one for each service or container
}{
	{"init", false},
	{"containerd", false},
	{"rosd", false},
	// Shims stand in these two directly, and a group with processes of its own
	// cannot be divided.
	{"shims", false},        // of the OS services; here, so that they outlive containerd
	{"docker-shims", false}, // of the user's containers
	{"services", true},      // the OS services
	{"docker", true},        // the user's containers
}

// makeCgroups makes the groups with every controller the kernel has, and puts
// PID 1 into its own.
func makeCgroups(*machine) (string, error) {
	return divideCgroups(cgroupRoot, os.Getpid())
}

func divideCgroups(root string, pid int) (string, error) {
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return "", fmt.Errorf("cannot use cgroup v2: %w", err)
	}
	names := strings.Fields(string(controllers))
	missing := enable(root, names)
	for _, g := range groups {
		dir := filepath.Join(root, g.name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("cannot make cgroup: %w", err)
		}
		if g.divide {
			enable(dir, names)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "init/cgroup.procs"), strconv.AppendInt(nil, int64(pid), 10), 0); err != nil {
		return "", fmt.Errorf("cannot enter cgroup: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(missing, n) })
	return strings.Join(names, " "), nil
}

// enable passes controllers on to the groups below dir. It goes one by one,
// because the kernel takes all of a line or nothing. It returns those that it
// did not take.
func enable(dir string, controllers []string) (missing []string) {
	for _, c := range controllers {
		if os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0) != nil {
			missing = append(missing, c)
		}
	}
	return missing
}

// busyGroups returns the names of the groups below dir with a process in them.
func busyGroups(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var busy []string
	for _, e := range entries {
		if e.IsDir() && populated(filepath.Join(dir, e.Name())) {
			busy = append(busy, e.Name())
		}
	}
	return busy
}

// populated says whether a group or one below it has a process.
func populated(group string) bool {
	events, err := os.ReadFile(filepath.Join(group, "cgroup.events"))
	return err == nil && bytes.Contains(events, []byte("populated 1"))
}

// signalGroup signals every process in the group and below.
func signalGroup(dir string, sig syscall.Signal) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil // a group that went away is one less to signal
		}
		pids, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for field := range bytes.FieldsSeq(pids) {
			if pid, err := strconv.Atoi(string(field)); err == nil && pid > 1 {
				_ = unix.Kill(pid, sig)
			}
		}
		return nil
	})
}

// killTime is how long killed processes may take to be gone: one in the middle
// of a write to a slow disk ends when the write does.
const killTime = 5 * time.Second

// killAll kills every process but PID 1 and waits until the groups are empty.
func killAll(root string) {
	for _, g := range groups {
		if g.name != "init" {
			_ = os.WriteFile(filepath.Join(root, g.name, "cgroup.kill"), []byte("1"), 0)
		}
	}
	_ = unix.Kill(-1, unix.SIGKILL) // what runs outside: rescue shells, their jobs
	for end := time.Now().Add(killTime); time.Now().Before(end); time.Sleep(lookInterval) {
		if left := busyGroups(root); len(left) == 0 || slices.Equal(left, []string{"init"}) {
			return
		}
	}
}
