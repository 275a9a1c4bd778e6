package datasource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/mounts"
)

// Volume is a file system on one of the machine's disks.
type Volume struct {
	Label string // in lower case
	Type  string // iso9660, vfat, udf, ext4, …
}

// labelled wants volumes with one of the labels, which are in lower case.
func labelled(labels ...string) func(Volume) bool {
	return func(v Volume) bool { return slices.Contains(labels, v.Label) }
}

// Disks are the disks of the machine as far as sources read them.
type Disks interface {
	// Volumes are the file systems there are now.
	Volumes(ctx context.Context) ([]Volume, error)
	// Read lets read look at the first volume that is wanted; fsys is there until
	// read returns. ErrAbsent: there is none.
	Read(ctx context.Context, want func(Volume) bool, read func(fsys fs.FS) error) error
}

// LocalDisks are the disks that the kernel has, mounted read-only for as long
// as they are read. They need the right to mount.
type LocalDisks struct {
	Devices blockdev.Host
	Dir     string // directories to mount on are made below it
	// Mount makes the file system of a device readable at target, until undo. nil
	// means mount(2).
	Mount func(device, fstype, target string) (undo func() error, err error)
}

// volume is a volume and the device it is on.
type volume struct {
	Volume
	path string
}

// Volumes implements Disks.
func (d LocalDisks) Volumes(ctx context.Context) ([]Volume, error) {
	found, err := d.look(ctx)
	var volumes []Volume
	for _, v := range found {
		volumes = append(volumes, v.Volume)
	}
	return volumes, err
}

// look reads the first bytes of all disks. It waits no longer than ctx: a drive
// that hangs must not keep the rest from being asked.
func (d LocalDisks) look(ctx context.Context) ([]volume, error) {
	type result struct {
		volumes []volume
		err     error
	}
	done := make(chan result, 1)
	go func() {
		volumes, err := d.probe()
		done <- result{volumes, err}
	}()
	select {
	case r := <-done:
		return r.volumes, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot look at the disks: %w", ctx.Err())
	}
}

func (d LocalDisks) probe() ([]volume, error) {
	devices, err := d.Devices.List()
	if err != nil {
		return nil, err
	}
	var volumes []volume
	for _, device := range devices {
		content, err := blockdev.Probe(device.Path)
		if err != nil {
			continue // a drive without a medium
		}
		if content.Type == "" && isUDF(device.Path) {
			content.Type = "udf"
		}
		// A disk that has been partitioned may still show what it held before.
		if content.Type == "" || device.Partitions > 0 && content.Type != "iso9660" {
			continue
		}
		volumes = append(volumes, volume{Volume{strings.ToLower(content.Label), content.Type}, device.Path})
	}
	return volumes, nil
}

// isUDF looks for a volume recognition sequence (ECMA-167, part 2): sectors of
// 2 KiB from 32 KiB on, of which one says NSR02 or NSR03.
func isUDF(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	const start, sector, most = 32 << 10, 2 << 10, 16
	descriptor := make([]byte, 7)
	for i := range int64(most) {
		if _, err := f.ReadAt(descriptor, start+i*sector); err != nil {
			return false
		}
		switch string(descriptor[1:6]) {
		case "NSR02", "NSR03":
			return true
		case "BEA01", "BOOT2", "CD001", "CDW02":
		default:
			return false
		}
	}
	return false
}

// Read implements Disks.
func (d LocalDisks) Read(ctx context.Context, want func(Volume) bool, read func(fs.FS) error) error {
	volumes, err := d.look(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(volumes, func(v volume) bool { return want(v.Volume) })
	if at < 0 {
		return fmt.Errorf("no such disk: %w", ErrAbsent)
	}
	if err := d.mounted(volumes[at], read); err != nil {
		return fmt.Errorf("cannot read disk %s: %w", volumes[at].path, err)
	}
	return nil
}

func (d LocalDisks) mounted(v volume, read func(fs.FS) error) (err error) {
	target, err := os.MkdirTemp(d.Dir, filepath.Base(v.path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(target)
	mount := d.Mount
	if mount == nil {
		mount = mounts.ReadOnly
	}
	undo, err := mount(v.path, v.Type, target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	// A link on somebody's disk must not lead out of it.
	root, err := os.OpenRoot(target)
	if err != nil {
		return err
	}
	defer root.Close()
	return read(root.FS())
}

// readFile is a file of a volume; nothing when there is none.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name) // opening a FIFO would wait for a writer
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, name)
}
