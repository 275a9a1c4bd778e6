package release

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/delta"
	"github.com/rosteros/ros/internal/repository"
	"github.com/rosteros/ros/internal/signature"
)

// signedName is the repository name in signatures. cosign wants one that it
// can parse and compares it with nothing.
const signedName = "rosteros/ros"

// Artifact is a release of one architecture on its way into a repository.
type Artifact struct {
	Bundle Bundle
	Digest string // of the OCI manifest, as registries and cosign call it

	manifest []byte
	oci      ocispec.Manifest
	files    map[digest.Digest]string // layers: where they are
	index    []byte                   // the layer that is no file
	signed   *signature.Signature
}

// Files are the files of a build, by the names of the parts.
type Files map[string]string

// Parts measures the files of a build for a manifest.
func (f Files) Parts() (map[string]Part, error) {
	parts := map[string]Part{}
	for name, file := range f {
		d, size, err := measure(file)
		if err != nil {
			return nil, fmt.Errorf("cannot measure the %s: %w", name, err)
		}
		parts[name] = Part{File: filepath.Base(file), Digest: d, Size: size}
	}
	return parts, nil
}

func measure(file string) (digest.Digest, int64, error) {
	r, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, r)
	return digest.NewDigest(digest.SHA256, h), n, err
}

// Packed is an OS image packed for the way, see package delta.
type Packed struct {
	File  string
	Index delta.Index
}

// NewArtifact makes the artifact of a manifest whose parts are in files. With
// packed nil the OS image travels as it is. Without a key it is not signed. The same input gives the same bytes.
func NewArtifact(m Manifest, files Files, packed *Packed, key *signature.PrivateKey) (*Artifact, error) {
	a, err := newArtifact(m, files, packed, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make release %s for %s: %w", m.Version, m.Arch, err)
	}
	return a, nil
}

func newArtifact(m Manifest, files Files, packed *Packed, key *signature.PrivateKey) (*Artifact, error) {
	text, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	a := &Artifact{files: map[digest.Digest]string{}}
	a.Bundle.Release = text
	a.oci = ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: MediaType,
		Config:       ocispec.Descriptor{MediaType: MediaType, Digest: digest.FromBytes(text), Size: int64(len(text))},
		Annotations:  map[string]string{ocispec.AnnotationVersion: m.Version},
	}
	for _, name := range slices.Sorted(maps.Keys(m.Parts)) {
		if err := a.add(name, m.Parts[name], files[name], packed); err != nil {
			return nil, err
		}
	}
	if a.manifest, err = json.Marshal(a.oci); err != nil {
		return nil, err
	}
	a.Digest = digest.FromBytes(a.manifest).String()
	p := proof{Manifest: a.manifest, Signatures: []signature.Signature{}}
	if a.signed, err = sign(key, a.Digest); err != nil {
		return nil, err
	}
	if a.signed != nil {
		p.Signatures = append(p.Signatures, *a.signed)
	}
	a.Bundle.Signature, err = p.marshal()
	return a, err
}

func (a *Artifact) add(name string, part Part, file string, packed *Packed) error {
	if file == "" {
		return fmt.Errorf("there is no file for the %s", name)
	}
	l := rawLayer(name, part)
	if name == Image && packed != nil {
		var err error
		if l, err = a.addPacked(l, packed); err != nil {
			return err
		}
		file = packed.File
	}
	a.files[l.Digest] = file
	a.oci.Layers = append(a.oci.Layers, l)
	return nil
}

// addPacked makes l the layer of the packed image and adds that of its index.
func (a *Artifact) addPacked(l ocispec.Descriptor, packed *Packed) (ocispec.Descriptor, error) {
	var err error
	if a.index, err = json.Marshal(packed.Index); err != nil {
		return l, err
	}
	a.oci.Layers = append(a.oci.Layers, ocispec.Descriptor{MediaType: mediaTypeIndex, Digest: digest.FromBytes(a.index), Size: int64(len(a.index)),
		Annotations: map[string]string{partAnnotation: imageIndex, ocispec.AnnotationTitle: l.Annotations[ocispec.AnnotationTitle] + ".index.json"}})
	l.MediaType = mediaTypePacked
	l.Annotations[ocispec.AnnotationTitle] += ".packed"
	l.Digest, l.Size, err = measure(packed.File)
	return l, err
}

func sign(key *signature.PrivateKey, of string) (*signature.Signature, error) {
	if key == nil {
		return nil, nil
	}
	s, err := key.Sign(signedName, of)
	return &s, err
}

// WriteLayout writes an OCI image layout with an index over the artifacts
// under the given tag, and cosign's signatures. The folder must be empty or
// not there. It returns the digest of the index.
func WriteLayout(dir, tag string, key *signature.PrivateKey, artifacts ...*Artifact) (string, error) {
	d, err := writeLayout(dir, tag, key, artifacts)
	if err != nil {
		return "", fmt.Errorf("cannot write the release to %q: %w", dir, err)
	}
	return d, nil
}

func writeLayout(dir, tag string, key *signature.PrivateKey, artifacts []*Artifact) (string, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", errors.New("it is not empty")
	}
	l := layout{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, ocispec.ImageBlobsDir, "sha256"), 0o755); err != nil {
		return "", err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, a := range artifacts {
		d, err := l.artifact(a)
		if err != nil {
			return "", err
		}
		index.Manifests = append(index.Manifests, d)
	}
	text, err := json.Marshal(index)
	if err != nil {
		return "", err
	}
	top, err := l.blob(ocispec.MediaTypeImageIndex, text)
	if err != nil {
		return "", err
	}
	s, err := sign(key, top.Digest.String())
	if err != nil {
		return "", err
	}
	if err := l.signature(top.Digest.String(), s); err != nil {
		return "", err
	}
	return top.Digest.String(), l.finish(tag, top)
}

// layout is an OCI image layout being written.
type layout struct {
	dir        string
	signatures []ocispec.Descriptor
}

func (l *layout) artifact(a *Artifact) (ocispec.Descriptor, error) {
	for d, file := range a.files {
		if err := copyFile(file, l.path(d)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if _, err := l.blob(MediaType, a.Bundle.Release); err != nil {
		return ocispec.Descriptor{}, err
	}
	if a.index != nil {
		if _, err := l.blob(mediaTypeIndex, a.index); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	m, err := ParseManifest(a.Bundle.Release)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := l.blob(ocispec.MediaTypeImageManifest, a.manifest)
	if err != nil {
		return d, err
	}
	d.ArtifactType = MediaType
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: m.Arch}
	return d, l.signature(a.Digest, a.signed)
}

// signature stores one as cosign does: an image of its own, with the payload
// as its only layer and an empty config.
func (l *layout) signature(of string, s *signature.Signature) error {
	if s == nil {
		return nil
	}
	payload, err := l.blob(signature.PayloadMediaType, s.Payload)
	if err != nil {
		return err
	}
	payload.Annotations = map[string]string{signature.Annotation: signature.Encode(s.Signature)}
	// cosign's config is that of an image without anything but its one layer.
	config, err := json.Marshal(ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{payload.Digest}}})
	if err != nil {
		return err
	}
	c, err := l.blob(ocispec.MediaTypeImageConfig, config)
	if err != nil {
		return err
	}
	text, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: c, Layers: []ocispec.Descriptor{payload}})
	if err != nil {
		return err
	}
	d, err := l.blob(ocispec.MediaTypeImageManifest, text)
	if err != nil {
		return err
	}
	d.Annotations = map[string]string{ocispec.AnnotationRefName: signature.Tag(of)}
	l.signatures = append(l.signatures, d)
	return nil
}

func (l *layout) finish(tag string, top ocispec.Descriptor) error {
	top.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: append([]repository.Descriptor{top}, l.signatures...)}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.dir, ocispec.ImageIndexFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	mark, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, ocispec.ImageLayoutFile), mark, 0o644)
}

func (l *layout) path(d digest.Digest) string {
	return filepath.Join(l.dir, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (l *layout) blob(mediaType string, content []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	return d, os.WriteFile(l.path(d.Digest), content, 0o644)
}

// copyFile copies. A second name would do, if the next build did not write over
// what has the first one.
func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
