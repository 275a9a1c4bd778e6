// Package qemu starts virtual machines and talks to them: over the serial
// console, over ssh and over QEMU's own control socket (QMP).
//
// It owns processes, sockets and scratch files; it does not know what the
// guest should be like (the tests say that) and not QEMU's command line
// (scripts/qemu.sh is the one place that does). The VM tests and the benchmark
// use it. It has no test framework in it: everything returns an error.
//
// A Machine ends with the process that started it, whatever happens to that
// process, so that no test leaves a guest behind.
package qemu

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Build is the place where things were built: scripts, build root, images.
type Build struct {
	Dir     string  // the build directory, absolute
	Scripts string  // the scripts directory, absolute
	Scale   float64 // every timeout is multiplied with this
}

// FindBuild looks for the build directory: $ROS_BUILD, relative to the top of
// the source tree, or "build" there. $ROS_VM_SCALE stretches every timeout, for
// a machine that does other work meanwhile.
func FindBuild() (Build, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return Build{}, fmt.Errorf("cannot find the source tree: %w", err)
	}
	top := filepath.Dir(strings.TrimSpace(string(out)))
	dir := os.Getenv("ROS_BUILD")
	if dir == "" {
		dir = "build"
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(top, dir)
	}
	b := Build{Dir: dir, Scripts: filepath.Join(top, "scripts"), Scale: 1}
	if text := os.Getenv("ROS_VM_SCALE"); text != "" {
		if b.Scale, err = strconv.ParseFloat(text, 64); err != nil || b.Scale <= 0 {
			return Build{}, fmt.Errorf("cannot use ROS_VM_SCALE=%q: not a positive number", text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "root")); err != nil {
		return Build{}, fmt.Errorf("cannot find the build root: %w", err)
	}
	return b, nil
}

// Timeout is d, stretched.
func (b Build) Timeout(d time.Duration) time.Duration {
	return time.Duration(float64(d) * b.Scale)
}

// System says how a built system boots; forge writes it to <build>/<arch>/boot.json.
type System struct {
	Kernel  string `json:"kernel"`
	Initrd  string `json:"initrd"`
	Cmdline string `json:"cmdline"` // where the OS image is, and its root hash
	Console string `json:"console"` // the console= words, the serial one last
	ISO     string `json:"iso"`
	OSImage string `json:"os_image"`
}

// System reads boot.json of an architecture. Its paths become absolute: a
// relative one is below the folder of boot.json or below the source tree,
// whichever has it.
func (b Build) System(arch string) (System, error) {
	dir := filepath.Join(b.Dir, arch)
	name := filepath.Join(dir, "boot.json")
	data, err := os.ReadFile(name)
	if err != nil {
		return System{}, fmt.Errorf("cannot find the %s system (build it first): %w", arch, err)
	}
	var s System
	if err := json.Unmarshal(data, &s); err != nil {
		return System{}, fmt.Errorf("cannot read %s: %w", name, err)
	}
	for key, path := range map[string]*string{"kernel": &s.Kernel, "initrd": &s.Initrd, "iso": &s.ISO, "os_image": &s.OSImage} {
		if *path == "" {
			return System{}, fmt.Errorf("cannot use %s: it has no %q", name, key)
		}
		if !filepath.IsAbs(*path) {
			near := filepath.Join(dir, *path)
			if _, err := os.Stat(near); err != nil {
				near = filepath.Join(filepath.Dir(b.Scripts), *path)
			}
			*path = near
		}
		if _, err := os.Stat(*path); err != nil {
			return System{}, fmt.Errorf("cannot use %q of %s: %w", key, name, err)
		}
	}
	return s, nil
}

// Tool is a command that runs a program of the build root.
func (b Build) Tool(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.Scripts, "tool.sh"), append([]string{name}, args...)...)
	cmd.Env = b.environ()
	return cmd
}

// Run runs a program of the build root to its end and returns what it printed,
// stdout and stderr together.
func (b Build) Run(name string, args ...string) (string, error) {
	out, err := b.Tool(name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("cannot run %s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (b Build) environ() []string {
	return append(os.Environ(), "ROS_BUILD="+b.Dir)
}
