package repo_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
)

// Every name of our catalog has a file, every file a name and a row in
// docs/catalog.md; files of services are right, and an image of ours that a file
// names is one of catalog/images.
func TestCatalog(t *testing.T) {
	dir := filepath.Join(top(t), "catalog")
	text, err := os.ReadFile(filepath.Join(dir, "index.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var index catalog.Index
	if err := yaml.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(top(t), "docs/catalog.md"))
	if err != nil {
		t.Fatal(err)
	}
	images := catalogImages(t, dir)
	var places []string
	for _, name := range slices.Concat(index.Services, index.Consoles, index.Engines) {
		places = append(places, catalog.Place(name))
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/catalog.md does not name %s", name)
		}
		text, err := os.ReadFile(filepath.Join(dir, catalog.Place(name)))
		if err != nil {
			t.Error(err)
			continue
		}
		services, faults := compose.Parse(catalog.Place(name), text, nil)
		for _, fault := range faults {
			if slices.Contains(index.Services, name) && !user(services) {
				t.Error(fault)
			}
		}
		for _, s := range services {
			if strings.HasPrefix(s.Image, "rosteros/") && !images[s.Image] {
				t.Errorf("%s names image %s, which none of catalog/images makes", catalog.Place(name), s.Image)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "?", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(places, rel) {
			t.Errorf("catalog/index.yml does not name %s", rel)
		}
	}
}

// user says whether services are for the engine: what is right for those is not
// for this package to say.
func user(services []compose.Service) bool {
	return slices.ContainsFunc(services, func(s compose.Service) bool { return s.Scope == compose.ScopeUser })
}

// catalogImages are the names that catalog/images gives.
func catalogImages(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "images/*/image.yml"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var recipe struct{ Name string }
		if err := yaml.Unmarshal(text, &recipe); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		names[recipe.Name] = true
	}
	return names
}
