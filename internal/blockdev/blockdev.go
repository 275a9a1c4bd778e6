// Package blockdev knows the disks and partitions of the machine: which there
// are, what is on them, how to wait for one and how to make one larger.
//
// It reads sysfs and the first bytes of each device itself, so it needs neither
// udev nor blkid, and works in the initramfs. It never mounts and never
// formats; the only thing it ever writes is a partition table, in Grow.
package blockdev

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNotFound is the error of Find for a device that is not there (yet).
var ErrNotFound = errors.New("no such device")

// Host is a machine: where its sysfs and its device files are.
type Host struct {
	Sys string
	Dev string
}

// Local is the machine that this program runs on.
func Local() Host { return Host{Sys: "/sys", Dev: "/dev"} }

// Device is a disk or a partition.
type Device struct {
	Name       string // "vda4"
	Path       string // "/dev/vda4"
	Size       int64  // bytes
	SectorSize int64  // bytes, the disk's logical sector
	ReadOnly   bool
	Disk       string // of a partition: the name of its disk
	Partition  int    // of a partition: its number
	Partitions int    // of a disk: how many the kernel sees
	PartLabel  string // of a GPT partition: its name
	PartUUID   string // likewise; List leaves it empty where the kernel does not tell
}

// List is every disk and partition that holds something, disks before their
// partitions, in the order of their names. Nothing is read but sysfs.
func (h Host) List() ([]Device, error) {
	dir := filepath.Join(h.Sys, "class/block")
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list block devices: %w", err)
	}
	var devices []Device
	for _, name := range names {
		// RAM disks are never anyone's, and a floppy drive without a floppy
		// holds up whoever reads it for seconds.
		if kind := strings.TrimRight(name.Name(), "0123456789"); kind == "ram" || kind == "zram" || kind == "fd" {
			continue
		}
		if d, err := h.device(filepath.Join(dir, name.Name())); err == nil && d.Size > 0 {
			devices = append(devices, d)
		}
	}
	partitions := make(map[string]int)
	for _, d := range devices {
		if d.Disk != "" {
			partitions[d.Disk]++
		}
	}
	for i, d := range devices {
		devices[i].Partitions = partitions[d.Name]
	}
	slices.SortFunc(devices, func(a, b Device) int {
		return cmp.Or(
			// "sdaa" comes after "sdz", as the kernel counts.
			cmp.Compare(len(a.disk()), len(b.disk())),
			strings.Compare(a.disk(), b.disk()),
			cmp.Compare(a.Partition, b.Partition))
	})
	return devices, nil
}

// disk is the name of the disk that d is or is on.
func (d Device) disk() string { return cmp.Or(d.Disk, d.Name) }

// device reads one entry of /sys/class/block.
func (h Host) device(dir string) (Device, error) {
	// A link to ../../devices/…/vda or, for a partition, to …/vda/vda4.
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Device{}, err
	}
	d := Device{Name: filepath.Base(dir), SectorSize: 512}
	d.Path = filepath.Join(h.Dev, strings.ReplaceAll(d.Name, "!", "/")) // cciss!c0d0
	sectors, err := number(real, "size")
	if err != nil {
		return Device{}, err
	}
	d.Size = sectors * 512 // always in 512s, whatever the disk's sector is
	ro, _ := number(real, "ro")
	d.ReadOnly = ro != 0
	queue := filepath.Join(real, "queue")
	if n, err := number(real, "partition"); err == nil {
		d.Partition = int(n)
		d.Disk = filepath.Base(filepath.Dir(real))
		queue = filepath.Join(filepath.Dir(real), "queue")
	}
	if n, err := number(queue, "logical_block_size"); err == nil && n >= 512 {
		d.SectorSize = n
	}
	uevent, err := os.ReadFile(filepath.Join(real, "uevent"))
	if err != nil {
		return Device{}, err
	}
	for line := range strings.Lines(string(uevent)) {
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); key {
		case "DEVNAME":
			d.Path = filepath.Join(h.Dev, value)
		case "PARTNAME":
			d.PartLabel = value
		case "PARTUUID":
			d.PartUUID = value
		}
	}
	return d, nil
}

func number(dir, file string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// Find is the device that spec means: LABEL=, UUID= (of a file system),
// PARTLABEL=, PARTUUID= (of a partition), or a path such as /dev/vda4. If
// several fit, the first of List is taken. errors.Is(err, ErrNotFound) tells
// that it is not there.
func (h Host) Find(spec string) (Device, error) {
	devices, err := h.List()
	if err != nil {
		return Device{}, err
	}
	matches, err := h.matcher(spec)
	if err != nil {
		return Device{}, fmt.Errorf("cannot find device %q: %w", spec, err)
	}
	for _, d := range devices {
		if matches(d) {
			return h.Identify(d), nil
		}
	}
	return Device{}, fmt.Errorf("cannot find device %q: %w", spec, ErrNotFound)
}

func (h Host) matcher(spec string) (func(Device) bool, error) {
	key, value, tagged := strings.Cut(spec, "=")
	value = strings.Trim(value, `"`)
	switch {
	case tagged && value == "":
		return nil, errors.New("nothing behind the equals sign")
	case strings.HasPrefix(spec, "/"):
		path := filepath.Clean(spec)
		if link, err := filepath.EvalSymlinks(path); err == nil {
			path = link // /dev/disk/by-id/…
		}
		return func(d Device) bool { return d.Path == path }, nil
	case key == "LABEL" && tagged:
		return func(d Device) bool { return holds(d, func(c Content) bool { return c.Label == value }) }, nil
	case key == "UUID" && tagged:
		return func(d Device) bool {
			return holds(d, func(c Content) bool { return strings.EqualFold(c.UUID, value) })
		}, nil
	case key == "PARTLABEL" && tagged:
		return func(d Device) bool { return d.PartLabel == value }, nil
	case key == "PARTUUID" && tagged:
		return func(d Device) bool { return strings.EqualFold(h.Identify(d).PartUUID, value) }, nil
	}
	return nil, errors.New("want LABEL=, UUID=, PARTLABEL=, PARTUUID= or a path below /dev")
}

// holds tells whether the file system on d fits. A device that cannot be read
// (a drive without a disc) does not.
func holds(d Device, fits func(Content) bool) bool {
	c, err := Probe(d.Path)
	if err != nil || !fits(c) {
		return false
	}
	// A disk that has been partitioned may still show the file system which it
	// held before. Only a hybrid ISO is both at a time.
	return d.Partitions == 0 || c.Type == "iso9660"
}
