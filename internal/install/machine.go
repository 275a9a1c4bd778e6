package install

import (
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

// Machine is where disks are looked for.
type Machine struct {
	Host    blockdev.Host
	Sys     mounts.Syscalls
	Mounts  string // /proc/1/mountinfo: mounts as PID 1 sees them
	Swaps   string // /proc/swaps
	Medium  string // where the live medium is mounted
	Scratch string // for mount points
}

// LocalMachine is the one that this program runs on.
func LocalMachine() Machine {
	return Machine{
		Host: blockdev.Local(), Sys: mounts.Linux{}, Mounts: "/proc/1/mountinfo", Swaps: "/proc/swaps",
		Medium: "/run/ros/medium", Scratch: "/run",
	}
}

// Target is a disk to install on.
type Target struct {
	blockdev.Device
	Model      string
	Content    blockdev.Content
	Partitions []Part // that the kernel sees
	Empty      bool   // there is no sign of anything on it
}

// Part is a partition and what is on it.
type Part struct {
	blockdev.Device
	Content blockdev.Content
}

// Look finds a disk and what is on it.
func (m Machine) Look(spec string) (Target, error) {
	t, err := m.look(spec)
	if err != nil {
		return t, refusal(spec, err)
	}
	return t, nil
}

// Free says why nothing can be installed on a disk, nil if it can. keep is for
// an installation that leaves the state disk alone: that may be in use.
func (m Machine) Free(t Target, keep bool) error {
	err := whole(t.Device)
	if err == nil && keep {
		_, err = t.renewable()
	}
	if err == nil {
		err = m.free(t, keep)
	}
	if err == nil {
		_, err = Plan(t.Size, t.SectorSize)
	}
	return refusal(t.Path, err)
}

func refusal(disk string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot install on %q: %w", disk, err)
}

func (m Machine) look(spec string) (Target, error) {
	devices, err := m.Host.List()
	if err != nil {
		return Target{}, err
	}
	t := Target{}
	if t.Device, err = m.Host.Find(spec); err != nil {
		if errors.Is(err, blockdev.ErrNotFound) {
			return t, fmt.Errorf("there is no such disk; there are: %s", list(devices))
		}
		return t, err
	}
	t.Model = m.model(t.Name)
	for _, d := range devices {
		if d.Disk == t.Name {
			content, _ := blockdev.Probe(d.Path) // what cannot be read is not known
			t.Partitions = append(t.Partitions, Part{m.Host.Identify(d), content})
		}
	}
	if t.Empty, t.Content, err = blockdev.Empty(t.Path); err != nil {
		return t, err
	}
	t.Empty = t.Empty && len(t.Partitions) == 0
	return t, nil
}

// notDisks are block devices of which nothing can be started.
var notDisks = []struct{ prefix, what string }{
	{"loop", "a loop device"}, {"dm-", "a mapped device"}, {"md", "a RAID array, which this version does not know"},
	{"sr", "a CD drive"}, {"zram", "memory"}, {"ram", "memory"}, {"mtdblock", "flash without a controller"},
}

// whole says why d is not a disk that can be divided.
func whole(d blockdev.Device) error {
	if d.Disk != "" {
		return fmt.Errorf("it is a partition of /dev/%s; name the disk", d.Disk)
	}
	for _, n := range notDisks {
		if rest, ok := strings.CutPrefix(d.Name, n.prefix); ok && (rest == "" || rest[0] >= '0' && rest[0] <= '9') {
			return fmt.Errorf("it is %s", n.what)
		}
	}
	// The parts of an eMMC that are not its store: mmcblk0boot0, mmcblk0rpmb.
	if strings.HasPrefix(d.Name, "mmcblk") && strings.ContainsAny(d.Name[len("mmcblk"):], "br") {
		return errors.New("it is a part of an eMMC with a purpose of its own")
	}
	if d.ReadOnly {
		return errors.New("it is read-only")
	}
	return nil
}

// free says what the disk is used for.
func (m Machine) free(t Target, keep bool) error {
	used, err := m.used()
	if err != nil {
		return err
	}
	for _, p := range append([]Part{{Device: t.Device}}, t.Partitions...) {
		if keep && (p.Disk == "" || p.PartLabel == partitions[State].label) {
			continue
		}
		if why := used[p.Path]; why != "" {
			return fmt.Errorf("%s is %s", p.Path, why)
		}
		if holder := m.holder(p.Name); holder != "" {
			return fmt.Errorf("%s is a part of %s", p.Path, holder)
		}
		if keep {
			if err := exclusive(p.Path); err != nil {
				return err
			}
		}
	}
	if keep {
		return nil
	}
	return exclusive(t.Path)
}

// exclusive asks the kernel whether somebody has the device who must not be
// disturbed: also mounts that are not seen from here.
func exclusive(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s is in use", path)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// used is what devices are mounted or swapped to for, by path.
func (m Machine) used() (map[string]string, error) {
	points, err := m.points()
	if err != nil {
		return nil, err
	}
	used := map[string]string{}
	for _, p := range points {
		switch {
		case p.Target == m.Medium:
			used[p.Source] = "the medium that this system runs from"
		case used[p.Source] != "":
		case p.Target == "/state":
			used[p.Source] = "the state disk of this system (boot the ISO with rancher.state.dev=none, which leaves it alone)"
		default:
			used[p.Source] = "mounted at " + p.Target
		}
	}
	swaps, err := os.ReadFile(m.Swaps)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, path := range mounts.Swaps(string(swaps)) {
		used[path] = "swapped to"
	}
	return used, nil
}

// holder is a device made from this one: a mapped device, a RAID array.
func (m Machine) holder(name string) string {
	holders, err := os.ReadDir(filepath.Join(m.Host.Sys, "class/block", name, "holders"))
	if err != nil || len(holders) == 0 {
		return ""
	}
	holder := holders[0].Name()
	text, err := os.ReadFile(filepath.Join(m.Host.Sys, "class/block", holder, "dm/name"))
	if err == nil {
		return fmt.Sprintf("%s (%s)", holder, strings.TrimSpace(string(text)))
	}
	return holder
}

// model is how the disk calls itself, "" if it does not.
func (m Machine) model(name string) string {
	device := filepath.Join(m.Host.Sys, "class/block", name, "device")
	var words []string
	for _, file := range []string{"vendor", "model", "name"} {
		text, err := os.ReadFile(filepath.Join(device, file))
		word := strings.Join(strings.Fields(string(text)), " ")
		// Of a virtio disk the vendor is a number, of a SATA disk always "ATA".
		if err == nil && word != "" && word != "ATA" && !strings.HasPrefix(word, "0x") {
			words = append(words, word)
		}
	}
	return strings.Join(slices.Compact(words), " ")
}

// list names the disks for somebody who has named none of them.
func list(devices []blockdev.Device) string {
	var all []string
	for _, d := range devices {
		if whole(d) == nil {
			all = append(all, fmt.Sprintf("%s (%s)", d.Path, bytesText(d.Size)))
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
