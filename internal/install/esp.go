package install

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/bootloader"
)

// fatImage is how mtools names a file system within a disk.
func fatImage(disk string, esp Extent) string { return fmt.Sprintf("%s@@%d", disk, esp.Start) }

// grubenv is what GRUB decides by.
const grubenv = "grub/grubenv"

// lastOnESP tells the files that make a disk start: firmware looks for the one,
// GRUB decides by the other.
func lastOnESP(name string) bool {
	return strings.HasPrefix(name, "EFI/BOOT/") || name == grubenv
}

// makeESP makes the file system with all files but the last ones.
func (j Job) makeESP(ctx context.Context, disk *Disk, esp Extent, tree map[string]bootloader.File) error {
	// Clusters of 1 KiB: as few to follow as FAT32 allows in so small a place.
	cluster := "2"
	if disk.SectorSize == 4096 {
		cluster = "1"
	}
	args := []string{"mkfs.vfat", "-I", "-F", "32", "-S", strconv.FormatInt(disk.SectorSize, 10), "-s", cluster,
		"-n", espLabel, "--invariant", "-i", fmt.Sprintf("%08x", j.IDs.ESPVolume), // in this order: the one sets the other
		"--offset", strconv.FormatInt(esp.Start/disk.SectorSize, 10), disk.Path, strconv.FormatInt(esp.Size>>10, 10)}
	if err := j.Run(ctx, nil, io.Discard, args...); err != nil {
		return fmt.Errorf("make the EFI system partition: %w", err)
	}
	dirs := map[string]bool{}
	for name := range tree {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			dirs["::/"+dir] = true
		}
	}
	list := make([]string, 0, len(dirs))
	for dir := range dirs {
		list = append(list, dir)
	}
	slices.Sort(list) // parents first
	if err := j.Run(ctx, nil, io.Discard, append([]string{"mmd", "-i", fatImage(disk.Path, esp)}, list...)...); err != nil {
		return fmt.Errorf("make folders on the EFI system partition: %w", err)
	}
	return j.copyTo(ctx, disk, esp, tree, func(name string) bool { return !lastOnESP(name) })
}

// finishESP writes the last files and looks whether they are right.
func (j Job) finishESP(ctx context.Context, disk *Disk, esp Extent, tree map[string]bootloader.File) error {
	if err := j.copyTo(ctx, disk, esp, tree, lastOnESP); err != nil {
		return err
	}
	if err := disk.Settle(); err != nil {
		return err
	}
	for _, name := range names(tree) {
		if !lastOnESP(name) {
			continue
		}
		if err := j.checkFile(ctx, disk, esp, name, tree[name], io.Discard); err != nil {
			return err
		}
	}
	return nil
}

func (j Job) copyTo(ctx context.Context, disk *Disk, esp Extent, tree map[string]bootloader.File, wanted func(string) bool) error {
	var done, total int64
	for name, file := range tree {
		if wanted(name) {
			total += file.Size
		}
	}
	for _, name := range names(tree) {
		if !wanted(name) {
			continue
		}
		j.Events.Progress(stepBoot, done, total)
		if err := j.copyFile(ctx, disk, esp, name, tree[name]); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		done += tree[name].Size
	}
	j.Events.Progress(stepBoot, done, total)
	return nil
}

func (j Job) copyFile(ctx context.Context, disk *Disk, esp Extent, name string, file bootloader.File) error {
	r, err := file.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return j.Run(ctx, r, io.Discard, "mcopy", "-i", fatImage(disk.Path, esp), "-", "::/"+name)
}
