package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func (f *forge) kernelDir() string { return filepath.Join(f.dir, "kernel") }

// kernel extracts Debian's kernel: vmlinuz and its modules; of the flavour vm
// without those of images/kernel/left-out.txt.
func (f *forge) kernel() error {
	debs, err := f.kernelDebs()
	if err != nil {
		return err
	}
	list := filepath.Join(f.top, "images/kernel/left-out.txt")
	listed, err := fileHash(list)
	if err != nil {
		return err
	}
	return f.once(f.dir, "kernel", hash(debs, listed, forgeFormat), func() error { return f.unpackKernel(debs, list) })
}

// kernelDebs are the packages of the kernel itself, without what it asks for.
func (f *forge) kernelDebs() ([]deb, error) {
	debs, err := f.resolved(&recipe{folder: "kernel-" + f.flavour, Packages: []string{f.arch.Kernel[f.flavour]}})
	return slices.DeleteFunc(debs, func(d deb) bool {
		return !strings.HasPrefix(d.Package, "linux-image-") && !strings.HasPrefix(d.Package, "linux-modules-")
	}), err
}

func (f *forge) unpackKernel(debs []deb, list string) error {
	if err := f.fetch(debs); err != nil {
		return err
	}
	if err := os.RemoveAll(f.kernelDir()); err != nil {
		return err
	}
	for _, d := range debs {
		if err := f.extract(d, f.kernelDir(), func(p string) bool { return !matches(p, alwaysDropped) }); err != nil {
			return err
		}
	}
	version, err := f.kernelVersion()
	if err != nil {
		return err
	}
	if f.flavour == "vm" {
		if err := f.leaveOut(list, version); err != nil {
			return err
		}
	}
	if err := f.depmod(version); err != nil {
		return err
	}
	return copyFile(filepath.Join(f.kernelDir(), "boot/vmlinuz-"+version), f.osFile("vmlinuz"), 0o644)
}

func (f *forge) depmod(version string) error {
	return f.inRoot("depmod", "-b", filepath.Join(f.kernelDir(), "usr"), version)
}

func (f *forge) kernelVersion() (string, error) {
	dirs, err := filepath.Glob(filepath.Join(f.kernelDir(), "usr/lib/modules/*"))
	if err != nil || len(dirs) != 1 {
		return "", fmt.Errorf("expected one kernel below %s, found %d", f.kernelDir(), len(dirs))
	}
	return filepath.Base(dirs[0]), nil
}

// leaveOut removes the listed modules. A module that stays and needs one of
// them could not be loaded, so that is an error.
func (f *forge) leaveOut(list, version string) error {
	globs, err := readList(list)
	if err != nil {
		return err
	}
	if err := f.depmod(version); err != nil {
		return err
	}
	dir := filepath.Join(f.kernelDir(), "usr/lib/modules", version)
	deps, err := moduleDeps(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return err
	}
	gone := func(file string) bool { return matches(strings.TrimPrefix(file, "kernel/"), globs) }
	var faults []error
	for _, files := range deps {
		if gone(files[0]) {
			faults = append(faults, os.Remove(filepath.Join(dir, files[0])))
			continue
		}
		if i := slices.IndexFunc(files, gone); i >= 0 {
			faults = append(faults, fmt.Errorf("%s: %s stays and needs %s", list, files[0], files[i]))
		}
	}
	return errors.Join(faults...)
}

// matches says whether a path, or a folder above it, matches one of the globs.
func matches(name string, globs []string) bool {
	for p := name; p != "." && p != "/"; p = path.Dir(p) {
		for _, g := range globs {
			if ok, _ := path.Match(strings.TrimPrefix(g, "/"), p); ok {
				return true
			}
		}
	}
	return false
}

// readList reads one entry a line; # begins a comment.
func readList(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var entries []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		entries = append(entries, strings.Fields(line)...)
	}
	return entries, nil
}

// moduleName is the name of a module or of its file: the kernel takes - and _
// for the same.
func moduleName(s string) string {
	name, _, _ := strings.Cut(filepath.Base(s), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// moduleDeps reads modules.dep: name -> its file and those it needs.
func moduleDeps(file string) (map[string][]string, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	deps := map[string][]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		path, needs, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			return nil, fmt.Errorf("%s: unexpected line %q", file, lines.Text())
		}
		deps[moduleName(path)] = append([]string{path}, strings.Fields(needs)...)
	}
	return deps, lines.Err()
}
