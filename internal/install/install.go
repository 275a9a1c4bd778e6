// Package install puts Roster on a disk: partitions, the boot loader for BIOS
// and UEFI, a release in slot A, and an empty state disk with a config.
//
// It writes to a disk of a machine and to a file that is to become a disk image
// alike: everything goes by offsets on the whole disk, and nothing is mounted.
// It owns the layout of the disk and the order of writing: what makes the disk
// look like one that can be started comes last, after everything else has been
// read back, so an installation that was cut off is a disk with nothing on it.
//
// What a release is, what GRUB decides and how slots change later is for the
// packages release, bootloader and slots.
package install

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// Runner runs a program with an input, gives its output to out and says why it
// failed. The program is named without a directory.
type Runner func(ctx context.Context, stdin io.Reader, out io.Writer, argv ...string) error

// Source is the release that is installed.
type Source struct {
	Manifest release.Manifest
	Bundle   release.Bundle
	// Part writes a part of the release, checked against its digest.
	Part func(ctx context.Context, name string, w io.Writer, progress release.Progress) error
}

// Events is told how far the work is.
type Events interface {
	Progress(step string, done, total int64)
	Note(format string, args ...any)
}

// Job is one installation.
type Job struct {
	Source Source
	Boot   BootFiles
	Args   string // the operator's kernel arguments, consoles among them
	Seed   []File // below the top of the state disk
	Mark   string // says who asked for the installation, for Machine.Mark; "": nobody needs to know
	IDs    IDs
	Run    Runner
	Events Events
	Log    *slog.Logger
}

// Steps, as progress names them.
const (
	stepImage  = "os image"
	stepBoot   = "boot files"
	stepState  = "state disk"
	stepVerify = "reading back"
)

// Write makes disk one that starts Roster. Everything that was on it is lost.
func (j Job) Write(ctx context.Context, disk *Disk) error {
	if err := j.write(ctx, disk); err != nil {
		return fmt.Errorf("cannot install on %q: %w", disk.Path, err)
	}
	return nil
}

func (j Job) write(ctx context.Context, disk *Disk) error {
	layout, err := Plan(disk.Size, disk.SectorSize)
	if err != nil {
		return err
	}
	if err := j.fits(layout); err != nil {
		return err
	}
	tree, err := j.tree(ctx, slots.A, j.IDs.Parts[RootA])
	if err != nil {
		return err
	}
	// From here on there is nothing left to lose, and nothing that can be started.
	if err := disk.wipe(layout); err != nil {
		return fmt.Errorf("remove what was on it: %w", err)
	}
	for _, step := range []func() error{
		func() error { return j.writeImage(ctx, disk, layout.Part(RootA)) },
		func() error { return j.makeESP(ctx, disk, layout.Part(ESP), tree) },
		func() error { return j.makeState(ctx, disk, layout.Part(State)) },
		disk.Settle,
		func() error { return j.readBack(ctx, disk, layout.Part(RootA), layout.Part(ESP), tree) },
		func() error { return j.finishESP(ctx, disk, layout.Part(ESP), tree) },
		disk.Settle,
		func() error { return j.writeTable(ctx, disk, layout) },
		func() error { return j.writeBIOS(disk, layout.Part(BIOS)) },
		disk.Settle,
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return disk.reread()
}

// fits says why the release cannot be on this disk.
func (j Job) fits(layout Layout) error {
	image, slot := j.Source.Manifest.Parts[release.Image].Size, layout.Part(RootA).Size
	if image > slot {
		return fmt.Errorf("the OS image has %s, a slot on a disk of this size %s", bytesText(image), bytesText(slot))
	}
	return nil
}

// tree is what goes onto the EFI system partition. The small parts of the
// release are held in memory.
func (j Job) tree(ctx context.Context, slot slots.Slot, partUUID string) (map[string]bootloader.File, error) {
	entry := bootloader.Entry{
		Version: j.Source.Manifest.Version,
		Cmdline: bootloader.SlotCmdline(slot, partUUID, j.Source.Manifest.Cmdline),
		Release: j.Source.Bundle.Release, Signature: j.Source.Bundle.Signature,
	}
	for name, file := range map[string]*bootloader.File{release.Kernel: &entry.Kernel, release.Initrd: &entry.Initrd} {
		part := buffer(make([]byte, 0, j.Source.Manifest.Parts[name].Size))
		if err := j.Source.Part(ctx, name, &part, nil); err != nil {
			return nil, err
		}
		*file = bootloader.Bytes(part)
	}
	tree, err := bootloader.Tree(slot, entry, j.Args)
	if err != nil {
		return nil, err
	}
	if j.Mark != "" {
		tree[markFile] = bootloader.Bytes([]byte(j.Mark))
	}
	for name, text := range j.Boot.ESP {
		tree[name] = bootloader.Bytes(text)
	}
	return tree, nil
}

// buffer is a bytes.Buffer of which nothing is copied again.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
