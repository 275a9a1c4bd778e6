package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/images"
)

// images builds the layer of every recipe that changed, and the catalogue.
func (f *forge) images() error {
	if err := f.aptUpdate(); err != nil {
		return err
	}
	recipes, err := f.recipes()
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, r := range recipes {
		keep[r.folder] = true
		if err := f.once(f.shared, "image "+r.folder, r.hash, func() error {
			return errors.Join(f.layer(r), f.catalogue(r, f.layerDir(r)))
		}); err != nil {
			return err
		}
	}
	return f.forget(keep)
}

// forget removes layers whose recipe is gone.
func (f *forge) forget(keep map[string]bool) error {
	layers, err := os.ReadDir(filepath.Join(f.shared, "layers"))
	if err != nil {
		return err
	}
	for _, l := range layers {
		if keep[l.Name()] {
			continue
		}
		for _, p := range []string{"layers/" + l.Name(), "images/" + l.Name() + ".json", "stamps/image " + l.Name()} {
			if err := os.RemoveAll(filepath.Join(f.shared, p)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *forge) layer(r *recipe) error {
	if err := f.fetch(r.debs); err != nil {
		return err
	}
	target := f.layerDir(r)
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	for _, d := range r.debs {
		if err := f.extract(d, target, r.wants); err != nil {
			return fmt.Errorf("package %s: %w", d.Package, err)
		}
	}
	steps := []func(*recipe, string) error{f.addDatabase, f.addPrograms, f.addRootfs, addDirs, addLinks, f.addUsers}
	for _, step := range steps {
		if err := step(r, target); err != nil {
			return err
		}
	}
	return flatten(target)
}

func (f *forge) layerDir(r *recipe) string { return filepath.Join(f.shared, r.layers, r.folder) }

// alwaysDropped is of no use on a machine that nobody stands next to.
var alwaysDropped = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug",
	"usr/share/menu", "usr/share/doc-base", "usr/share/initramfs-tools", "usr/share/apport", "usr/share/pam-configs",
	"usr/lib/systemd/system", "usr/lib/systemd/user", "usr/lib/tmpfiles.d", "usr/lib/sysusers.d", "etc/init.d", "usr/share/zsh",
}

func (f *forge) addPrograms(r *recipe, target string) error {
	for _, p := range r.Programs {
		if p == "ros" {
			to := filepath.Join(target, "usr/share/bash-completion/completions/ros")
			if err := copyFile(filepath.Join(f.shared, "ros.bash"), to, 0o644); err != nil {
				return err
			}
		}
		if err := copyFile(filepath.Join(f.shared, "bin", p), filepath.Join(target, "usr/bin", p), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// addRootfs lays the folder rootfs beside the recipe over the layer. Owners are root's;
// modes are 0644 and 0755, which is all that git knows.
func (f *forge) addRootfs(r *recipe, target string) error {
	source := filepath.Join(f.top, r.source, "rootfs")
	return filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p == source {
			return filepath.SkipAll
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, p)
		if err != nil {
			return err
		}
		to := filepath.Join(target, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case info.Mode()&fs.ModeSymlink != 0:
			return copyLink(p, to)
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if strings.HasPrefix(rel, "etc/sudoers.d/") {
			mode = 0o440 // sudo refuses others
		}
		return copyFile(p, to, mode)
	})
}

func addDirs(r *recipe, target string) error {
	for _, d := range r.Dirs {
		mode, err := strconv.ParseUint(d.Mode, 8, 32)
		if err != nil {
			return fmt.Errorf("dirs: mode of %s: %w", d.Path, err)
		}
		p := filepath.Join(target, d.Path)
		if err := os.MkdirAll(p, 0o755); err != nil {
			return err
		}
		// os.Chmod has its own bit for sticky.
		m := fs.FileMode(mode & 0o777)
		if mode&0o1000 != 0 {
			m |= fs.ModeSticky
		}
		if err := os.Chmod(p, m); err != nil {
			return err
		}
	}
	return nil
}

func addLinks(r *recipe, target string) error {
	for name, to := range r.Links {
		if err := relink(to, filepath.Join(target, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyLink makes the same symlink in another place.
func copyLink(from, to string) error {
	link, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return relink(link, to)
}

func relink(to, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	return os.Symlink(to, name)
}

func copyFile(from, to string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := writeFile(to, r); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}

// catalogue writes the JSON by which the running system finds the image.
func (f *forge) catalogue(r *recipe, target string) error {
	digest, err := hashTree(target)
	if err != nil {
		return err
	}
	img := images.Image{Name: r.Name, Config: r.config()}
	for b := r; b != nil; b = b.from {
		img.Layers = append([]string{b.folder}, img.Layers...)
	}
	img.Digest = "sha256:" + hash(digest, r.hash)
	text, err := json.MarshalIndent(img, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.shared, "images", r.folder+".json"), append(text, '\n'), 0o644)
}
