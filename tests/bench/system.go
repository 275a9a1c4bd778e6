package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/tests/vm/qemu"
)

// system is one of the two that are compared.
type system struct {
	name    string
	config  qemu.Config // without the disk and without bench= on the command line
	disk    string      // qcow2; measured boots write to a copy
	sizes   sizes
	first   boot   // unmeasured, from a new disk
	boots   []boot // measured
	retried int    // boots that were repeated
}

// sizes are bytes somebody must download.
type sizes struct {
	Kernel int64 `json:"kernel"`
	Initrd int64 `json:"initrd"`
	Image  int64 `json:"image"` // everything else, compressed
}

func (s sizes) total() int64 { return s.Kernel + s.Initrd + s.Image }

// Both machines are the same size. Docker's test image is the second disk.
const memoryMB, cpus = 2048, 2

// oursFrom prepares the system that was built: its state disk brings the
// measurement along, as a service.
func oursFrom(build qemu.Build, out string) (*system, error) {
	sys, err := build.System("amd64")
	if err != nil {
		return nil, err
	}
	image, err := containerImage(build, out)
	if err != nil {
		return nil, err
	}
	tree := filepath.Join(out, "state")
	for from, to := range map[string]string{
		"bench.yml":  "var/lib/rancher/services/bench.yml",
		"measure.sh": "var/lib/rancher/bench/bench.measure",
	} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(build.Scripts), "tests/bench/guest", from))
		if err != nil {
			return nil, err
		}
		to = filepath.Join(tree, to)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o755)); err != nil {
			return nil, err
		}
	}
	s := &system{name: "roster", disk: filepath.Join(out, "roster.qcow2")}
	if err := build.StateDisk(s.disk, 4096, tree); err != nil {
		return nil, err
	}
	for path, size := range map[string]*int64{sys.Kernel: &s.sizes.Kernel, sys.Initrd: &s.sizes.Initrd, sys.OSImage + ".packed": &s.sizes.Image} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("cannot know the size of the download (`make download` makes it): %w", err)
		}
		*size = info.Size()
	}
	// As installed: the OS image lies raw on a virtio disk, as the peer's root
	// does, and is not read through as a live medium is. Disks in order: vda is
	// the state disk, vdb Docker's test image.
	installed := strings.NewReplacer("ros.image=LABEL=ROSTER:/roster/os.img", "ros.image=/dev/vdc", "ros.slot=iso", "ros.slot=A")
	s.config = qemu.Config{
		Kernel: sys.Kernel, Initrd: sys.Initrd, Cmdline: installed.Replace(sys.Cmdline) + " console=ttyS0 quiet",
		RawDisks: []string{image, sys.OSImage},
	}
	return s, nil
}

// peerFrom builds the peer unless it is there, as this version of its script
// builds it.
func peerFrom(build qemu.Build, out string) (*system, error) {
	script := filepath.Join(filepath.Dir(build.Scripts), "tests/bench/peer.sh")
	dir := filepath.Join(out, "peer")
	stamp := filepath.Join(dir, "built-by")
	want, err := os.ReadFile(script)
	if err != nil {
		return nil, err
	}
	measure, err := os.ReadFile(filepath.Join(filepath.Dir(script), "guest/measure.sh"))
	if err != nil {
		return nil, err
	}
	want = append(want, measure...)
	have, err := os.ReadFile(stamp)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if string(have) != string(want) {
		cmd := exec.Command(script, dir)
		cmd.Env = append(os.Environ(), "ROS_BUILD="+build.Dir)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("cannot build the peer: %w", err)
		}
		if err := os.WriteFile(stamp, want, 0o644); err != nil {
			return nil, err
		}
	}
	image, err := containerImage(build, out)
	if err != nil {
		return nil, err
	}
	s := &system{name: "debian", disk: filepath.Join(out, "debian.qcow2")}
	text, err := os.ReadFile(filepath.Join(dir, "sizes.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &s.sizes); err != nil {
		return nil, fmt.Errorf("cannot read the peer's sizes: %w", err)
	}
	if err := build.Overlay(s.disk, filepath.Join(dir, "disk.ext4"), "raw"); err != nil {
		return nil, err
	}
	s.config = qemu.Config{
		Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd.img"),
		// systemd asks a serial console for its size and waits for an answer that
		// never comes, unless it is told that the terminal is dumb.
		Cmdline:  "root=/dev/vda rw console=ttyS0 quiet systemd.tty.term.console=dumb systemd.tty.term.ttyS0=dumb",
		RawDisks: []string{image},
	}
	return s, nil
}

// containerImage packs the image that both systems start containers of: one
// static program. Its file is a whole number of sectors, being a disk too.
func containerImage(build qemu.Build, out string) (string, error) {
	name := filepath.Join(out, "image.tar")
	tree := filepath.Join(out, "image")
	bin := filepath.Join(tree, "bin")
	program, err := os.ReadFile(filepath.Join(build.Dir, "root/usr/bin/busybox"))
	if err != nil {
		return "", fmt.Errorf("cannot find a static busybox in the build root: %w", err)
	}
	err = errors.Join(os.RemoveAll(tree), os.MkdirAll(bin, 0o755), os.WriteFile(filepath.Join(bin, "busybox"), program, 0o755))
	if err != nil {
		return "", err
	}
	for _, applet := range []string{"sh", "true", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil {
			return "", err
		}
	}
	if output, err := exec.Command("tar", "--sort=name", "--owner=0", "--group=0", "--mtime=@0", "-b", "2048", "-C", tree, "-cf", name, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot pack the container image: %w: %s", err, output)
	}
	return name, nil
}
