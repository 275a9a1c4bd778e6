package catalog_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/catalog"
)

// layout is an OCI image layout being written.
type layout struct {
	t   *testing.T
	dir string
}

func (l layout) put(name string, text []byte) {
	l.t.Helper()
	file := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l layout) blob(kind, text, title string) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: kind, Digest: digest.FromString(text), Size: int64(len(text))}
	if title != "" {
		d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	}
	l.put(catalog.BlobPath(d.Digest), []byte(text))
	return d
}

func (l layout) document(kind string, what any) ocispec.Descriptor {
	text, err := json.Marshal(what)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.blob(kind, string(text), "")
}

// artifact is a catalog with one service and its image, and another one for
// another machine before it.
func artifact(t *testing.T) (dir string, image ocispec.Descriptor) {
	l := layout{t, t.TempDir()}
	image = l.document(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Config: l.blob(ocispec.MediaTypeImageConfig, "{}", ""),
		Layers: []ocispec.Descriptor{l.blob(ocispec.MediaTypeImageLayerZstd, "a layer", "")},
	})
	index := "services: [shop]\nimages: {test/shop:1: {file: x.tar, digest: '" + image.Digest.String() + "'}}\n"
	top := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{image}}
	for _, of := range []struct{ arch, index string }{{"pdp11", "services: [other]"}, {runtime.GOARCH, index}} {
		d := l.document(ocispec.MediaTypeImageManifest, ocispec.Manifest{Layers: []ocispec.Descriptor{
			l.blob(catalog.FileType, of.index, "index.yml"), l.blob(catalog.FileType, shop, "s/shop.yml"),
		}})
		d.ArtifactType, d.Platform = catalog.ArtifactType, &ocispec.Platform{OS: "linux", Architecture: of.arch}
		top.Manifests = append(top.Manifests, d)
	}
	d := l.document(ocispec.MediaTypeImageIndex, top)
	d.Annotations = map[string]string{ocispec.AnnotationRefName: "latest"}
	text, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{d}})
	if err != nil {
		t.Fatal(err)
	}
	l.put(ocispec.ImageIndexFile, text)
	return l.dir, image
}

func TestArtifact(t *testing.T) {
	dir, image := artifact(t)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	for _, url := range []string{"oci://" + dir, "oci://" + dir + "#latest", "oci://" + server.URL} {
		c := &catalog.Catalog{Cache: t.TempDir(), Repositories: []catalog.Repository{{Name: "core", URL: url}}}
		f, err := c.Open(t.Context(), "shop", false)
		want := catalog.File{Name: "shop", Origin: url + "/s/shop.yml", Text: []byte(shop), Repo: "core"}
		if diff := cmp.Diff(want, f); diff != "" || err != nil {
			t.Fatalf("Open in %s = %v (-want +got):\n%s", url, err, diff)
		}
		a, ok := c.Archive(t.Context(), "", func(name string, _ catalog.Image) bool { return name == "test/shop:1" })
		if !ok {
			t.Fatalf("%s has no image", url)
		}
		r, _, err := a.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		files := untar(t, r)
		if files[catalog.BlobPath(digest.FromString("a layer"))] != "a layer" || files[catalog.BlobPath(digest.FromString("{}"))] != "{}" {
			t.Errorf("the archive has %v", files)
		}
		if _, ok := files[catalog.BlobPath(image.Digest)]; !ok || !strings.Contains(files[ocispec.ImageIndexFile], image.Digest.String()) {
			t.Errorf("the archive has no manifest %s: %v", image.Digest, files)
		}
	}
}

func untar(t *testing.T, r io.ReadCloser) map[string]string {
	t.Helper()
	defer r.Close()
	files := map[string]string{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
}

func TestArtifactFaults(t *testing.T) {
	dir, image := artifact(t)
	c := &catalog.Catalog{Cache: t.TempDir()}
	for url, want := range map[string]string{
		"oci://" + dir + "#v2":                       `cannot use repository "core": tag "v2": there is no such thing (there are: latest)`,
		"oci://" + t.TempDir():                       `cannot use repository "core": it is no OCI image layout: it has no index.json`,
		"oci://" + dir + "/index.json":               `cannot use repository "core": cannot open "` + dir + `/index.json": `,
		"oci://" + dir + "#" + image.Digest.String(): `cannot use repository "core": there is no catalog for this machine in it`,
	} {
		_, err := c.Index(t.Context(), catalog.Repository{Name: "core", URL: url}, false)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Index of %s = %v, want %s", url, err, want)
		}
	}
}
