package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// initrd holds stage 1 only: PID 1, a rescue shell, and the modules that lead
// to the OS image. The system itself is never in it.
func (f *forge) initrd() error {
	list := filepath.Join(f.top, "images/initrd/modules.txt")
	key := []any{forgeFormat}
	for _, p := range []string{list, filepath.Join(f.shared, "bin/init"), f.busybox()} {
		h, err := fileHash(p)
		if err != nil {
			return err
		}
		key = append(key, h)
	}
	kernel, err := os.ReadFile(filepath.Join(f.dir, "stamps/kernel"))
	if err != nil {
		return err
	}
	return f.once(f.dir, "initrd", hash(append(key, string(kernel))...), func() error { return f.packInitrd(list) })
}

// busybox is the static one of the host image, for rescue.
func (f *forge) busybox() string {
	return filepath.Join(f.shared, "layers", hostImage, "usr/bin/busybox")
}

func (f *forge) packInitrd(list string) error {
	tree := f.osFile("initrd")
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	for _, d := range []string{"dev", "proc", "sys", "run", "sysroot", "bin"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			return err
		}
	}
	if err := copyFile(filepath.Join(f.shared, "bin/init"), filepath.Join(tree, "init"), 0o755); err != nil {
		return err
	}
	if err := copyFile(f.busybox(), filepath.Join(tree, "bin/busybox"), 0o755); err != nil {
		return err
	}
	if err := relink("busybox", filepath.Join(tree, "bin/sh")); err != nil {
		return err
	}
	if err := f.initrdModules(list, tree); err != nil {
		return err
	}
	if err := flatten(tree); err != nil {
		return err
	}
	// Level 19 costs a second here and saves a megabyte of every download.
	script := `cd "$1" && find . -print0 | sort -z | cpio --null --create --format=newc --owner=0:0 --reproducible --quiet | zstd -q -19 -f -o "$2"`
	return f.inRoot("sh", "-c", script, "sh", tree, f.osFile("initrd.img"))
}

// initrdModules copies the listed modules and what they depend on.
func (f *forge) initrdModules(list, tree string) error {
	version, err := f.kernelVersion()
	if err != nil {
		return err
	}
	source := filepath.Join(f.kernelDir(), "usr/lib/modules", version)
	names, err := readList(list)
	if err != nil {
		return err
	}
	deps, err := moduleDeps(filepath.Join(source, "modules.dep"))
	if err != nil {
		return err
	}
	target := filepath.Join(tree, "lib/modules", version)
	for _, name := range names {
		for _, file := range deps[moduleName(name)] {
			if err := copyFile(filepath.Join(source, file), filepath.Join(target, file), 0o644); err != nil {
				return err
			}
		}
	}
	for _, file := range []string{"modules.builtin", "modules.order", "modules.builtin.modinfo"} {
		if err := copyFile(filepath.Join(source, file), filepath.Join(target, file), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// The kernel can unpack .ko.xz itself, but xz is the slowest thing on the
	// way to the disk, and the initrd is compressed as a whole.
	unpack := `find "$1" -name "*.ko.xz" -exec xz -d {} +`
	if err := f.inRoot("sh", "-c", unpack, "sh", target); err != nil {
		return err
	}
	if err := f.inRoot("depmod", "-b", tree, version); err != nil {
		return err
	}
	// The binary indexes are for kmod; PID 1 reads the text.
	binaries, err := filepath.Glob(filepath.Join(target, "modules.*.bin"))
	if err != nil {
		return err
	}
	for _, p := range append(binaries, filepath.Join(target, "modules.symbols"), filepath.Join(target, "modules.builtin.modinfo"), filepath.Join(target, "modules.order")) {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
