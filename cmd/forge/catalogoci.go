package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/catalog"
)

// catalogTag is the one tag of the layout.
const catalogTag = "latest"

// catalogLayout writes the repository as an OCI artifact, in a layout: files of
// the repository that was just made, and the images. Everything hangs on one
// index, so a tool that copies it into a registry copies all of it.
func (f *forge) catalogLayout(files []string, images []packedImage) error {
	l := layoutDir(filepath.Join(f.shared, "catalog-oci"))
	if err := os.RemoveAll(string(l)); err != nil {
		return err
	}
	platform := &ocispec.Platform{OS: "linux", Architecture: f.arch.Name}
	d, err := l.catalog(f.catalogDir(), files)
	if err != nil {
		return err
	}
	d.Platform = platform
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}}
	for _, p := range images {
		if d, err = l.image(p); err != nil {
			return err
		}
		d.Platform = platform
		index.Manifests = append(index.Manifests, d)
	}
	if d, err = l.document(ocispec.MediaTypeImageIndex, index); err != nil {
		return err
	}
	d.Annotations = map[string]string{ocispec.AnnotationRefName: catalogTag}
	text, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(string(l), ocispec.ImageIndexFile), text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(string(l), ocispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`), 0o644)
}

// layoutDir is an OCI image layout being written.
type layoutDir string

func (l layoutDir) path(d digest.Digest) string {
	return filepath.Join(string(l), catalog.BlobPath(d))
}

func (l layoutDir) blob(kind string, text []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: kind, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if err := os.MkdirAll(filepath.Dir(l.path(d.Digest)), 0o755); err != nil {
		return d, err
	}
	return d, os.WriteFile(l.path(d.Digest), text, 0o644)
}

func (l layoutDir) document(kind string, what any) (ocispec.Descriptor, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return l.blob(kind, text)
}

// catalog is the manifest with the files.
func (l layoutDir) catalog(dir string, files []string) (ocispec.Descriptor, error) {
	config, err := l.blob(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	if err != nil {
		return config, err
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: catalog.ArtifactType, Config: config}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return config, err
		}
		d, err := l.blob(catalog.FileType, text)
		if err != nil {
			return d, err
		}
		d.Annotations = map[string]string{ocispec.AnnotationTitle: filepath.ToSlash(name)}
		m.Layers = append(m.Layers, d)
	}
	d, err := l.document(ocispec.MediaTypeImageManifest, m)
	d.ArtifactType = catalog.ArtifactType
	return d, err
}

// image puts an image beside it. Layers are linked: they are large.
func (l layoutDir) image(p packedImage) (ocispec.Descriptor, error) {
	if _, err := l.blob(ocispec.MediaTypeImageConfig, p.config); err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, layer := range p.layers {
		if err := copyFile(layer.file, l.path(layer.Digest), 0o644); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	return l.blob(ocispec.MediaTypeImageManifest, p.manifest)
}
