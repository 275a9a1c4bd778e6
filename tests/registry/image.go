package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image that a test makes up.
type Image struct {
	Platform ocispec.Platform // of the config; linux and this architecture must be given
	Config   ocispec.ImageConfig
	Layers   []Layer // lowest first
}

// Layer is the files of a layer by path. A path that ends in "/" is a folder;
// a value that begins with "->" a link to what follows. Files in a folder "bin"
// can be run.
type Layer map[string]string

// Add puts an image into the registry under a name, "library/box:1", and
// returns the descriptor of its manifest.
func (g *Registry) Add(name string, image Image) ocispec.Descriptor {
	config := ocispec.Image{Platform: image.Platform, Config: image.Config, RootFS: ocispec.RootFS{Type: "layers"}}
	made := time.Unix(1_700_000_000, 0).UTC()
	config.Created = &made
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	manifest.SchemaVersion = 2
	for _, layer := range image.Layers {
		plain := layer.Tar()
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		manifest.Layers = append(manifest.Layers, g.Put(ocispec.MediaTypeImageLayerGzip, Gzip(plain)))
	}
	manifest.Config = g.PutJSON(ocispec.MediaTypeImageConfig, config)
	d := g.PutJSON(ocispec.MediaTypeImageManifest, manifest)
	g.Tag(name, d)
	d.Platform = &image.Platform
	return d
}

// AddIndex puts several images of one name into the registry.
func (g *Registry) AddIndex(name string, of ...ocispec.Descriptor) ocispec.Descriptor {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: of}
	index.SchemaVersion = 2
	d := g.PutJSON(ocispec.MediaTypeImageIndex, index)
	g.Tag(name, d)
	return d
}

// Tar is the layer as a tar archive, the same every time.
func (l Layer) Tar() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range slices.Sorted(maps.Keys(l)) {
		text := l[path]
		h := &tar.Header{Name: path, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}
		target, link := strings.CutPrefix(text, "->")
		switch {
		case strings.HasSuffix(path, "/"):
			h.Typeflag, h.Mode, h.Size, text = tar.TypeDir, 0o755, 0, ""
		case link:
			h.Typeflag, h.Linkname, h.Size, text = tar.TypeSymlink, target, 0, ""
		case strings.HasPrefix(path, "bin/"):
			h.Mode = 0o755
		}
		must(w.WriteHeader(h))
		_, err := io.WriteString(w, text)
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// Gzip packs a text.
func Gzip(plain []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(plain)
	must(err)
	must(w.Close())
	return b.Bytes()
}

// Archive is an image as "docker save" writes it.
func (image Image) Archive(tags ...string) []byte {
	config := ocispec.Image{Platform: image.Platform, Config: image.Config, RootFS: ocispec.RootFS{Type: "layers"}}
	files := Layer{}
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	e := entry{RepoTags: tags}
	for _, layer := range image.Layers {
		plain := layer.Tar()
		d := digest.FromBytes(plain)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d)
		files[d.Encoded()+"/layer.tar"] = string(plain)
		e.Layers = append(e.Layers, d.Encoded()+"/layer.tar")
	}
	text, err := json.Marshal(config)
	must(err)
	e.Config = digest.FromBytes(text).Encoded() + ".json"
	files[e.Config] = string(text)
	list, err := json.Marshal([]entry{e})
	must(err)
	files["manifest.json"] = string(list)
	return files.Tar()
}

// must is for what cannot fail: a writer into memory, a value of a test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
