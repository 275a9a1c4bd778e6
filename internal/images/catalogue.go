package images

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Catalogue is every image that is baked into the OS image, by name.
type Catalogue map[string]Image

// Load reads every <dir>/*.json.
//
// A file that cannot be used is reported and left out; the images of the
// other files are in the result all the same, so that one bad file costs one
// service and not the machine.
func Load(dir string) (Catalogue, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the image catalogue: %w", err)
	}
	c := Catalogue{}
	var faults []error
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		file := filepath.Join(dir, e.Name())
		img, err := read(file)
		if err == nil && c.has(img.Name) {
			err = fmt.Errorf("image %q has another file", img.Name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("cannot use image file %s: %w", file, err))
			continue
		}
		c[img.Name] = img
	}
	return c, errors.Join(faults...)
}

func (c Catalogue) has(name string) bool {
	_, ok := c[name]
	return ok
}

func read(file string) (Image, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Image{}, err
	}
	var img Image
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&img); err != nil {
		return Image{}, err
	}
	if img.Name == "" {
		return Image{}, errors.New("it has no name")
	}
	if len(img.Layers) == 0 {
		return Image{}, errors.New("it has no layers")
	}
	for _, l := range img.Layers {
		// The name becomes part of a path and of overlayfs's lowerdir option.
		if l == "" || l == "." || l == ".." || strings.ContainsAny(l, `/\:,`) {
			return Image{}, fmt.Errorf("layer %q is not the name of a directory", l)
		}
	}
	return img, nil
}

// Find returns the image that a service file means by ref: "ros/ntp". A tag
// or digest ("ros/ntp:1.2", "ros/ntp@sha256:…") is allowed and not looked at,
// because an OS image has one version of each image.
func (c Catalogue) Find(ref string) (Image, error) {
	name, _, _ := strings.Cut(ref, "@")
	// A colon before the last slash belongs to the port of a registry.
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	if img, ok := c[name]; ok {
		return img, nil
	}
	has := "it has none"
	if names := c.Names(); len(names) > 0 {
		has = "it has " + strings.Join(names, ", ")
	}
	return Image{}, fmt.Errorf("image %q is not in this OS image (%s)", ref, has)
}

// Names are the names of the images, sorted.
func (c Catalogue) Names() []string {
	return slices.Sorted(maps.Keys(c))
}
