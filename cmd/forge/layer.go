package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/images"
)

// recipe is images/<folder>/image.yml; docs/architecture.md lists its keys.
// One recipe makes one layer on top of the layers of its from-chain.
type recipe struct {
	Name       string            `yaml:"name"`
	From       string            `yaml:"from"`
	Packages   []string          `yaml:"packages"`
	LeaveOut   []string          `yaml:"leave-out"`
	Drop       []string          `yaml:"drop"`
	Programs   []string          `yaml:"programs"`
	Users      []user            `yaml:"users"`
	Groups     []group           `yaml:"groups"`
	Links      map[string]string `yaml:"links"`
	Dirs       []dir             `yaml:"dirs"`
	Entrypoint []string          `yaml:"entrypoint"`
	Cmd        []string          `yaml:"cmd"`
	Env        map[string]string `yaml:"env"`
	User       string            `yaml:"user"`
	WorkDir    string            `yaml:"workdir"`

	folder string
	from   *recipe
	debs   []deb  // of this layer alone
	hash   string // of everything that goes into the layer, and of the layers below
}

type user struct {
	Name  string `yaml:"name"`
	UID   int    `yaml:"uid"`
	GID   int    `yaml:"gid"`
	Gecos string `yaml:"gecos"`
	Home  string `yaml:"home"`
	Shell string `yaml:"shell"`
}

type group struct {
	Name    string   `yaml:"name"`
	GID     int      `yaml:"gid"`
	Members []string `yaml:"members"`
}

type dir struct {
	Path string `yaml:"path"`
	Mode string `yaml:"mode"`
}

// hostImage is the recipe of the OS root itself; it is no service image.
const hostImage = "host"

// recipes reads every image.yml, resolves the packages and orders them so that
// an image comes after the one it is built on. It does so once: hashing what goes
// into the images is most of a build with nothing to do. The programs must have
// been built before.
func (f *forge) recipes() ([]*recipe, error) {
	if f.read != nil {
		return f.read, nil
	}
	files, err := filepath.Glob(filepath.Join(f.top, "images/*/image.yml"))
	if err != nil {
		return nil, err
	}
	byFolder := map[string]*recipe{}
	for _, file := range files {
		r, err := readRecipe(file)
		if err != nil {
			return nil, err
		}
		byFolder[r.folder] = r
	}
	var ordered []*recipe
	var visit func(r *recipe, path []string) error
	visit = func(r *recipe, path []string) error {
		if slices.Contains(ordered, r) {
			return nil
		}
		if slices.Contains(path, r.folder) {
			return fmt.Errorf("images are built on each other: %s", strings.Join(append(path, r.folder), " -> "))
		}
		if r.From != "" {
			if r.from = byFolder[r.From]; r.from == nil {
				return fmt.Errorf("images/%s/image.yml: from: no image folder %q", r.folder, r.From)
			}
			if err := visit(r.from, append(path, r.folder)); err != nil {
				return err
			}
		}
		ordered = append(ordered, r)
		return nil
	}
	for _, file := range files {
		if err := visit(byFolder[filepath.Base(filepath.Dir(file))], nil); err != nil {
			return nil, err
		}
	}
	for _, r := range ordered {
		if err := f.prepare(r); err != nil {
			return nil, fmt.Errorf("images/%s/image.yml: %w", r.folder, err)
		}
	}
	f.read = ordered
	return ordered, nil
}

func readRecipe(file string) (*recipe, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &recipe{folder: filepath.Base(filepath.Dir(file))}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return r, nil
}

// prepare finds the packages of a layer and the key of its stamp.
func (f *forge) prepare(r *recipe) error {
	debs, err := f.resolved(r)
	if err != nil {
		return err
	}
	below := map[string]bool{}
	for b := r.from; b != nil; b = b.from {
		for _, d := range b.debs {
			below[d.Package] = true
		}
		for _, p := range b.LeaveOut {
			below[p] = true
		}
	}
	for _, p := range r.LeaveOut {
		below[p] = true
	}
	r.debs = slices.DeleteFunc(debs, func(d deb) bool { return below[d.Package] })
	text, err := fileHash(filepath.Join(f.top, "images", r.folder, "image.yml"))
	if err != nil {
		return err
	}
	root, err := hashTree(filepath.Join(f.top, "images", r.folder, "rootfs"))
	if err != nil {
		return err
	}
	parts := []any{text, root, r.debs, forgeFormat}
	if r.from != nil {
		parts = append(parts, r.from.hash)
	}
	for _, p := range r.Programs {
		h, err := fileHash(filepath.Join(f.shared, "bin", p))
		if err != nil {
			return fmt.Errorf("programs: %w", err)
		}
		parts = append(parts, p, h)
	}
	r.hash = hash(parts...)
	return nil
}

// forgeFormat changes when forge itself would make other layers from the same
// recipes.
const forgeFormat = "4"

// resolved is resolve with a memory: asking apt takes a second for each image.
func (f *forge) resolved(r *recipe) ([]deb, error) {
	cache := filepath.Join(f.build, "apt", f.arch.Name, "stamps", "resolved "+r.folder)
	key := hash(r.Packages, r.LeaveOut)
	if text, err := os.ReadFile(cache); err == nil {
		var old struct {
			Key  string
			Debs []deb
		}
		if json.Unmarshal(text, &old) == nil && old.Key == key {
			return old.Debs, nil
		}
	}
	debs, err := f.resolve(r.Packages, r.LeaveOut)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{"Key": key, "Debs": debs})
	if err != nil {
		return nil, err
	}
	return debs, os.WriteFile(cache, text, 0o644)
}

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
		if err := f.once(f.shared, "image "+r.folder, r.hash, func() error { return f.layer(r) }); err != nil {
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
		if err := f.extract(d, target, func(p string) bool { return !dropped(p, r.Drop) }); err != nil {
			return fmt.Errorf("package %s: %w", d.Package, err)
		}
	}
	steps := []func(*recipe, string) error{f.addPrograms, f.addRootfs, addDirs, addLinks, f.addUsers}
	for _, step := range steps {
		if err := step(r, target); err != nil {
			return err
		}
	}
	if err := flatten(target); err != nil {
		return err
	}
	return f.catalogue(r, target)
}

func (f *forge) layerDir(r *recipe) string { return filepath.Join(f.shared, "layers", r.folder) }

// alwaysDropped is of no use on a machine that nobody stands next to.
var alwaysDropped = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug",
	"usr/share/menu", "usr/share/doc-base", "usr/share/initramfs-tools", "usr/share/apport", "usr/share/pam-configs",
	"usr/lib/systemd/system", "usr/lib/systemd/user", "usr/lib/tmpfiles.d", "usr/lib/sysusers.d", "etc/init.d", "usr/share/zsh",
}

func dropped(name string, globs []string) bool {
	return matches(name, alwaysDropped) || matches(name, globs)
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

// addRootfs lays images/<folder>/rootfs over the layer. Owners are root's;
// modes are 0644 and 0755, which is all that git knows.
func (f *forge) addRootfs(r *recipe, target string) error {
	source := filepath.Join(f.top, "images", r.folder, "rootfs")
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
	img := images.Image{Name: r.Name, Config: images.Config{Entrypoint: r.Entrypoint, Cmd: r.Cmd, User: r.User, WorkingDir: r.WorkDir}}
	env := map[string]string{}
	for b := r; b != nil; b = b.from {
		img.Layers = append([]string{b.folder}, img.Layers...)
		for k, v := range b.Env {
			if _, ok := env[k]; !ok {
				env[k] = v
			}
		}
	}
	for k, v := range env {
		img.Config.Env = append(img.Config.Env, k+"="+v)
	}
	slices.Sort(img.Config.Env)
	img.Digest = "sha256:" + hash(digest, r.hash)
	text, err := json.MarshalIndent(img, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.shared, "images", r.folder+".json"), append(text, '\n'), 0o644)
}
