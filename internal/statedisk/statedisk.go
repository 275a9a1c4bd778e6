// Package statedisk opens the place for everything that must survive a reboot:
// a disk or partition, usually the one labelled RANCHER_STATE, or memory if
// there is none.
//
// It finds the device, checks its file system, makes partition and file system
// as large as the disk allows, and mounts it. It formats a device only when
// rancher.state.autoformat names it and there is nothing at all on it, or a mark
// that asks for it. Whatever
// is wrong with the disk, the machine still comes up, in memory and with a
// warning, unless the operator has said that the disk is required, or the
// release is on trial: one that loses the state disk must not be kept.
//
// What lies where on the state disk is for init and the services.
package statedisk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/mounts"
)

const (
	// Label is that of the state disk, as it was in RancherOS.
	Label = "RANCHER_STATE"
	// None, as rancher.state.dev, is for a live system that leaves every disk
	// alone, so that it can install on one that has a state disk.
	None = "none"
)

// appearTime is how long a disk that may be formatted has to appear. SCSI and
// USB disks come seconds after their driver.
const appearTime = 10 * time.Second

// Runner runs a program and gives back what it printed and its exit code. err
// is for a program that could not be run; another exit code than 0 is none.
type Runner func(ctx context.Context, argv ...string) (output []byte, exit int, err error)

// Options say which disk and what may be done to it.
type Options struct {
	Device     string        // rancher.state.dev; "" means LABEL=RANCHER_STATE, None means memory
	Image      string        // the device of the slot that runs: a state disk beside it goes before others of that label
	Autoformat []string      // rancher.state.autoformat: devices that may be formatted
	Required   bool          // rancher.state.required: memory will not do
	Trial      bool          // the running release is on trial: memory will do only if rancher.state.dev is none
	Wait       time.Duration // for Device to appear; 0 means to look once
	Target     string        // where to mount it
	Run        Runner        // runs e2fsck and mke2fs where they find /dev
	Changed    func()        // called while waiting when devices come or go
	Host       blockdev.Host
	Sys        mounts.Syscalls
	Log        *slog.Logger
	// Resize makes the ext4 file system mounted at target size bytes large; nil
	// means to ask the kernel.
	Resize func(target string, size int64) error
}

// Kind of place.
const (
	Disk = "disk"
	RAM  = "RAM"
)

// Result is what was opened.
type Result struct {
	Kind      string // Disk or RAM
	Device    string // of a disk: "/dev/vda4"
	FSType    string
	Formatted bool
	Keys      []string // who may log in, by the mark that a disk had which was formatted: lines of authorized_keys
	Grown     bool
	Warnings  []string // what an operator should know
}

// String is the short form: "disk /dev/vda4" or "RAM".
func (r Result) String() string {
	if r.Kind == Disk {
		return Disk + " " + r.Device
	}
	return r.Kind
}

var errNone = errors.New("rancher.state.dev is none")

// Open opens the state disk and mounts it at o.Target, or mounts memory there.
// It fails only if memory will not do or cannot be mounted either; of Result the
// warnings are valid then too.
func Open(ctx context.Context, o Options) (Result, error) {
	if o.Resize == nil {
		o.Resize = resize
	}
	var r Result
	err := errNone
	if o.Device != None {
		err = o.openDisk(ctx, &r)
	}
	if err == nil {
		return r, nil
	}
	if why := o.insists(); why != "" {
		return Result{Warnings: r.Warnings}, fmt.Errorf("cannot open the state disk, and %s: %w", why, err)
	}
	r = Result{Kind: RAM, FSType: "tmpfs", Keys: r.Keys, Warnings: r.Warnings}
	// That a live system has no state disk is how it should be.
	if !errors.Is(err, errNone) && (!errors.Is(err, blockdev.ErrNotFound) || o.Device != "" || o.Wait > 0 || len(o.Autoformat) > 0) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("no state disk: %v; going on in memory, nothing will survive a reboot", err))
	}
	_, err = mounts.All(o.Sys, []mounts.Mount{{Source: "state", Target: o.Target, Type: "tmpfs", Data: "mode=0755"}})
	return r, err
}

// insists says why memory will not do, "" if it will.
func (o Options) insists() string {
	switch {
	case o.Required:
		return "rancher.state.required is set"
	case o.Trial && o.Device != None:
		return "a release that cannot is not kept"
	}
	return ""
}

func (o Options) openDisk(ctx context.Context, r *Result) error {
	device, err := o.find(ctx)
	if errors.Is(err, blockdev.ErrNotFound) && len(o.Autoformat) > 0 {
		device, err = o.format(ctx, r, err)
	}
	if err != nil {
		return err
	}
	content, err := blockdev.Probe(device.Path)
	if err != nil {
		return err
	}
	if content.Type == "" && o.listed(device) { // rancher.state.dev names it by its path
		if device, err = o.format(ctx, r, fmt.Errorf("nothing is on %q", device.Path)); err != nil {
			return err
		}
		if content, err = blockdev.Probe(device.Path); err != nil {
			return err
		}
	}
	switch {
	case !slices.Contains([]string{"ext2", "ext3", "ext4", "btrfs", "xfs", "f2fs"}, content.Type):
		return fmt.Errorf("%q holds %s, want ext4, btrfs, xfs or f2fs", device.Path, describe(content))
	case device.ReadOnly:
		return fmt.Errorf("%q is read-only", device.Path)
	}
	r.Kind, r.Device, r.FSType = Disk, device.Path, content.Type
	if strings.HasPrefix(content.Type, "ext") {
		return o.openExt(ctx, r, device, content)
	}
	return o.mount(device, content.Type, "")
}

// find waits for the device and, if others may be formatted instead, for those.
func (o Options) find(ctx context.Context) (blockdev.Device, error) {
	spec := o.spec()
	wait, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	device, err := o.Host.Wait(wait, spec, o.Changed)
	if len(o.Autoformat) == 0 || !errors.Is(err, blockdev.ErrNotFound) {
		return device, err
	}
	appear, cancel := context.WithTimeout(ctx, appearTime)
	defer cancel()
	if _, err := o.Host.WaitAny(appear, append([]string{spec}, o.Autoformat...), o.Changed); err != nil {
		return device, err
	}
	return o.Host.Find(spec)
}

func (o Options) spec() string {
	if o.Device != "" {
		return o.Device
	}
	// Two disks of a machine may have been installed on.
	if beside, err := o.Host.Sibling(o.Image, Label); o.Image != "" && err == nil {
		if c, err := blockdev.Probe(beside.Path); err == nil && c.Label == Label {
			return beside.Path
		}
	}
	return "LABEL=" + Label
}

// format makes a file system on the first device of the list that is there and
// empty or marked. why is the reason for it, and the error if there is no such device.
func (o Options) format(ctx context.Context, r *Result, why error) (blockdev.Device, error) {
	for _, spec := range o.Autoformat {
		device, err := o.Host.Find(spec)
		if err != nil {
			o.Log.Info("autoformat: passed over", "device", spec, "error", err)
			continue
		}
		keys, err := formattable(device)
		if err != nil {
			r.Warnings = append(r.Warnings, fmt.Sprintf("rancher.state.autoformat: %q is left alone: %v", device.Path, err))
			continue
		}
		if err := o.mke2fs(ctx, device); err != nil {
			return blockdev.Device{}, err
		}
		r.Formatted, r.Keys = true, keys
		return device, nil
	}
	return blockdev.Device{}, fmt.Errorf("%w, and rancher.state.autoformat names no empty device", why)
}

// formattable is an error for a device on which something can be lost. keys are
// those of a mark.
func formattable(device blockdev.Device) (keys []string, err error) {
	if device.ReadOnly {
		return nil, errors.New("it is read-only")
	}
	if device.Partitions > 0 {
		return nil, errors.New("it has partitions")
	}
	empty, content, err := blockdev.Empty(device.Path)
	switch {
	case err != nil || empty:
		return nil, err
	case content.Type != "":
		return nil, fmt.Errorf("it holds %s", describe(content))
	}
	marked, keys, err := readMark(device.Path)
	if err == nil && !marked {
		err = errors.New("its first MiB is not all zero")
	}
	return keys, err
}

func describe(c blockdev.Content) string {
	switch {
	case c.Type == "":
		return "nothing that is known"
	case c.Type == "gpt" || c.Type == "dos":
		return "a partition table (" + c.Type + ")"
	case c.Label != "":
		return fmt.Sprintf("%s labelled %q", c.Type, c.Label)
	}
	return c.Type
}

func (o Options) mke2fs(ctx context.Context, device blockdev.Device) error {
	label := Label
	if name, ok := strings.CutPrefix(o.Device, "LABEL="); ok {
		label = name // or it would not be found on the next boot
	}
	// -F: a whole disk is fine, and there is nobody to ask.
	out, exit, err := o.Run(ctx, "/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", label, device.Path)
	if err != nil {
		return fmt.Errorf("format %q: %w", device.Path, err)
	}
	if exit != 0 {
		return fmt.Errorf("format %q: mke2fs exit code %d: %s", device.Path, exit, oneLine(out))
	}
	o.Log.Info("formatted the state disk", "device", device.Path, "label", label)
	return nil
}

// openExt checks and mounts, and then grows: the kernel grows a mounted ext4 in
// moments, while resize2fs asks for a full check of an unmounted one first.
func (o Options) openExt(ctx context.Context, r *Result, device blockdev.Device, content blockdev.Content) error {
	if err := o.check(ctx, device); err != nil {
		return err
	}
	size := device.Size
	growth, err := o.Host.Grow(device)
	if err != nil {
		r.Warnings = append(r.Warnings, err.Error())
	} else if growth.Grown {
		size = growth.NewSize
		o.Log.Info("grew the partition", "device", device.Path, "from", growth.OldSize, "to", growth.NewSize)
	}
	if err := o.mount(device, content.Type, "errors=remount-ro"); err != nil {
		return err
	}
	const worthIt = 1 << 20
	if content.Size == 0 || size < content.Size+worthIt {
		return nil
	}
	if err := o.Resize(o.Target, size); err != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("cannot grow the file system on %q from %d to %d bytes: %v", device.Path, content.Size, size, err))
		return nil
	}
	r.Grown = true
	o.Log.Info("grew the file system", "device", device.Path, "from", content.Size, "to", size)
	return nil
}

// check runs e2fsck, which repairs what can be repaired without a choice.
func (o Options) check(ctx context.Context, device blockdev.Device) error {
	const (
		corrected = 1
		reboot    = 2 // what the kernel has in memory may be out of date
	)
	for again := false; ; again = true {
		out, exit, err := o.Run(ctx, "/usr/sbin/e2fsck", "-p", device.Path)
		switch {
		case err != nil:
			return fmt.Errorf("check %q: %w", device.Path, err)
		case exit == 0:
			return nil
		case exit&^(corrected|reboot) != 0 || exit&reboot != 0 && again:
			return fmt.Errorf("check %q: e2fsck exit code %d: %s", device.Path, exit, oneLine(out))
		}
		o.Log.Warn("the state disk was repaired", "device", device.Path, "exit", exit, "output", oneLine(out))
		if exit&reboot == 0 {
			return nil
		}
		// It is not mounted, so nothing is out of date: if a second look finds
		// it sound there is no need to boot again, and no way to do so for ever.
	}
}

func (o Options) mount(device blockdev.Device, fstype, data string) error {
	_, err := mounts.All(o.Sys, []mounts.Mount{
		{Source: device.Path, Target: o.Target, Type: fstype, Flags: unix.MS_NOATIME, Data: data},
	})
	return err
}

// listed tells whether the operator allows device to be formatted.
func (o Options) listed(device blockdev.Device) bool {
	return slices.ContainsFunc(o.Autoformat, func(spec string) bool {
		d, err := o.Host.Find(spec)
		return err == nil && d.Path == device.Path
	})
}

// oneLine is the output of a program for the end of an error.
func oneLine(output []byte) string {
	return strings.Join(strings.Fields(string(output)), " ")
}

// resize is what resize2fs does with a mounted file system.
func resize(target string, size int64) error {
	dir, err := os.Open(target)
	if err != nil {
		return err
	}
	defer dir.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil {
		return err
	}
	const page = 64 << 10 // the kernel wants whole memory pages, of whichever size it has
	return resizeExt4(dir, uint64(size&^(page-1))/uint64(fs.Bsize))
}
