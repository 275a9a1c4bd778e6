package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	Database   bool              `yaml:"database"`

	folder string
	source string // folder of image.yml, below the source tree
	layers string // folder for its layer, below that of the architecture
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
	ordered, err := f.recipesIn("images", "layers", nil)
	f.read = ordered
	return ordered, err
}

// recipesIn reads the recipes in a folder of the source tree. What they are
// built on may also be one of below.
func (f *forge) recipesIn(source, layers string, below []*recipe) ([]*recipe, error) {
	files, err := filepath.Glob(filepath.Join(f.top, source, "*/image.yml"))
	if err != nil {
		return nil, err
	}
	byFolder := map[string]*recipe{}
	for _, r := range below {
		byFolder[r.folder] = r
	}
	for _, file := range files {
		r, err := readRecipe(file, f.arch.Name)
		if err != nil {
			return nil, err
		}
		if byFolder[r.folder] != nil {
			return nil, fmt.Errorf("there are two image folders %q", r.folder)
		}
		r.source, r.layers = filepath.Join(source, r.folder), layers
		byFolder[r.folder] = r
	}
	ordered := slices.Clone(below)
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
				return fmt.Errorf("%s/image.yml: from: no image folder %q", r.source, r.From)
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
	ordered = ordered[len(below):]
	for _, r := range ordered {
		if err := f.prepare(r); err != nil {
			return nil, fmt.Errorf("%s/image.yml: %w", r.source, err)
		}
	}
	return ordered, nil
}

func readRecipe(file, arch string) (*recipe, error) {
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
	for i := range r.Packages { // some have it in their name
		r.Packages[i] = strings.ReplaceAll(r.Packages[i], "${ARCH}", arch)
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
	text, err := fileHash(filepath.Join(f.top, r.source, "image.yml"))
	if err != nil {
		return err
	}
	root, err := hashTree(filepath.Join(f.top, r.source, "rootfs"))
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
	cache := filepath.Join(f.build, "apt", f.arch.Name, "stamps", "resolved "+strings.ReplaceAll(strings.TrimPrefix(r.source, "images/"), "/", " "))
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

// config is what the image says about its process.
func (r *recipe) config() images.Config {
	c := images.Config{Entrypoint: r.Entrypoint, Cmd: r.Cmd, User: r.User, WorkingDir: r.WorkDir}
	env := map[string]string{}
	for b := r; b != nil; b = b.from {
		for k, v := range b.Env {
			if _, ok := env[k]; !ok {
				env[k] = v
			}
		}
	}
	for k, v := range env {
		c.Env = append(c.Env, k+"="+v)
	}
	slices.Sort(c.Env)
	return c
}

// wants says whether a path of a package goes into the layer.
func (r *recipe) wants(name string) bool {
	if r.Database {
		return keepWhole(name) && !matches(name, r.Drop)
	}
	return !matches(name, alwaysDropped) && !matches(name, r.Drop)
}
