package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/catalog"
)

// The catalog of the source tree, catalog/, is in the OS image without the
// images that it names. With them it is a repository, build/<arch>/catalog: see
// docs/catalog.md.

const (
	indexYML     = "index.yml"
	indexSig     = indexYML + ".sig"
	optionalDir  = "catalog-layers" // beside layers, which all go into the OS image
	archivesDir  = "images"         // in the repository
	recipesOfCat = "catalog/images"
)

// catalogFiles are the index and the service files of the catalog.
func (f *forge) catalogFiles() ([]string, error) {
	names := []string{indexYML}
	files, err := filepath.Glob(filepath.Join(f.top, "catalog", "[a-z0-9]", "*.yml"))
	for _, file := range files {
		names = append(names, filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file)))
	}
	return names, err
}

// repository makes the catalog with its images.
func (f *forge) repository() error {
	below, err := f.recipes()
	if err != nil {
		return err
	}
	recipes, err := f.recipesIn(recipesOfCat, optionalDir, below)
	if err != nil {
		return err
	}
	key, err := f.signingKey()
	if err != nil {
		return err
	}
	files, err := f.catalogFiles()
	if err != nil {
		return err
	}
	dir := f.catalogDir()
	if err := os.MkdirAll(filepath.Join(dir, archivesDir), 0o755); err != nil {
		return err
	}
	index, err := f.catalogIndex(files)
	if err != nil {
		return err
	}
	var images []packedImage
	keep := map[string]bool{indexYML: true, indexSig: key != nil}
	for _, r := range recipes {
		if err := f.once(f.shared, "catalog image "+r.folder, r.hash, func() error { return f.layer(r) }); err != nil {
			return err
		}
		packed, err := f.archive(r)
		if err != nil {
			return err
		}
		images = append(images, packed)
		index.Images[r.Name] = packed.image
		keep[packed.image.File] = true
	}
	for _, name := range files[1:] {
		keep[name] = true
		if err := copyFile(filepath.Join(f.top, "catalog", name), filepath.Join(dir, name), 0o644); err != nil {
			return err
		}
	}
	if err := forgetFiles(dir, keep); err != nil {
		return err
	}
	text, err := yaml.Marshal(index)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, indexYML), text, 0o644); err != nil {
		return err
	}
	if key != nil {
		signed, err := catalog.Sign(text, *key)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, indexSig), signed, 0o644); err != nil {
			return err
		}
		files = append(files, indexSig)
	}
	return f.catalogLayout(files, images)
}

func (f *forge) catalogDir() string { return filepath.Join(f.shared, "catalog") }

// catalogIndex is the index of the source tree with the digests of its files.
// Every name has a file and every file a name.
func (f *forge) catalogIndex(files []string) (catalog.Index, error) {
	var index catalog.Index
	text, err := os.ReadFile(filepath.Join(f.top, "catalog", indexYML))
	if err != nil {
		return index, err
	}
	if err := yaml.Unmarshal(text, &index); err != nil {
		return index, fmt.Errorf("catalog/%s: %w", indexYML, err)
	}
	index.Arch, index.Images, index.SHA256 = f.arch.Name, map[string]catalog.Image{}, map[string]string{}
	for _, name := range files[1:] {
		if index.SHA256[name], err = fileHash(filepath.Join(f.top, "catalog", name)); err != nil {
			return index, err
		}
	}
	want := map[string]bool{}
	for _, name := range slices.Concat(index.Services, index.Consoles, index.Engines) {
		want[catalog.Place(name)] = true
	}
	if have := slices.Sorted(maps.Keys(index.SHA256)); !slices.Equal(have, slices.Sorted(maps.Keys(want))) {
		return index, fmt.Errorf("catalog/%s names %v, and there are %v", indexYML, slices.Sorted(maps.Keys(want)), have)
	}
	return index, nil
}

// forgetFiles removes what an earlier build has made and this one has not.
func forgetFiles(dir string, keep map[string]bool) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || keep[rel] {
			return err
		}
		return errors.Join(os.Remove(p))
	})
}
