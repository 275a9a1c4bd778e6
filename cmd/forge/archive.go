package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/catalog"
)

// blob is a layer as it is in an archive.
type blob struct {
	Digest digest.Digest
	DiffID digest.Digest // of the tar in it
	Size   int64
	file   string
}

// packedImage is an image with all that an archive of it has.
type packedImage struct {
	name             string
	image            catalog.Image
	config, manifest []byte
	layers           []blob
}

// archiveFormat changes when forge would make other archives of the same layers.
const archiveFormat = "1"

// archive makes the OCI archive of an image of the catalog: a tar of an image
// layout, which containerd, docker and other tools load. The same layers give
// the same bytes.
func (f *forge) archive(r *recipe) (packedImage, error) {
	p := packedImage{name: r.Name}
	for b := r; b != nil; b = b.from {
		l, err := f.layerBlob(b)
		if err != nil {
			return p, err
		}
		p.layers = append([]blob{l}, p.layers...)
	}
	var err error
	if p.config, p.manifest, err = f.documents(r, p.layers); err != nil {
		return p, err
	}
	p.image = catalog.Image{File: filepath.Join(archivesDir, r.folder+".tar"), Digest: digest.FromBytes(p.manifest).String()}
	to := filepath.Join(f.catalogDir(), p.image.File)
	key := hash(archiveFormat, r.Name, p.image.Digest)
	if _, err := os.Stat(to); err != nil {
		key += " again"
	}
	if err := f.once(f.shared, "archive "+r.folder, key, func() error { return p.writeArchive(to) }); err != nil {
		return p, err
	}
	info, err := os.Stat(to)
	if err == nil {
		p.image.Size = info.Size()
	}
	return p, err
}

// documents are the config and the manifest of an image.
func (f *forge) documents(r *recipe, layers []blob) (config, manifest []byte, err error) {
	c := r.config()
	created := flatTime.UTC()
	image := ocispec.Image{
		Created:  &created,
		Platform: ocispec.Platform{Architecture: f.arch.Name, OS: "linux"},
		Config:   ocispec.ImageConfig{Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, User: c.User, WorkingDir: c.WorkingDir},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, l.DiffID)
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerZstd, Digest: l.Digest, Size: l.Size})
	}
	if config, err = json.Marshal(image); err != nil {
		return nil, nil, err
	}
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	manifest, err = json.Marshal(m)
	return config, manifest, err
}

// layerBlob packs a layer, once for all the images that are built on it.
func (f *forge) layerBlob(r *recipe) (blob, error) {
	dir := filepath.Join(f.shared, "catalog-blobs")
	file := filepath.Join(dir, r.folder+".tar.zst")
	note := file + ".json"
	err := f.once(f.shared, "layer "+r.folder, hash(archiveFormat, r.hash), func() error {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		b, err := packLayer(f.layerDir(r), file)
		if err != nil {
			return err
		}
		text, err := json.Marshal(b)
		if err != nil {
			return err
		}
		return os.WriteFile(note, text, 0o644)
	})
	if err != nil {
		return blob{}, err
	}
	text, err := os.ReadFile(note)
	if err != nil {
		return blob{}, err
	}
	b := blob{file: file}
	return b, json.Unmarshal(text, &b)
}

// packLayer makes a tar of a folder and packs it with zstd, by one thread: with
// several the bytes could differ from one time to the next.
func packLayer(dir, to string) (blob, error) {
	w, err := os.Create(to)
	if err != nil {
		return blob{}, err
	}
	defer w.Close()
	packed, plain := sha256.New(), sha256.New()
	z, err := zstd.NewWriter(io.MultiWriter(w, packed), zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return blob{}, err
	}
	t := tar.NewWriter(io.MultiWriter(z, plain))
	if err := errors.Join(tarTree(t, dir), t.Close(), z.Close()); err != nil {
		return blob{}, err
	}
	info, err := w.Stat()
	if err != nil {
		return blob{}, err
	}
	return blob{Digest: digest.NewDigest(digest.SHA256, packed), DiffID: digest.NewDigest(digest.SHA256, plain), Size: info.Size()}, w.Close()
}

// tarTree writes what is below a folder, in the order of the names.
func tarTree(t *tar.Writer, dir string) error {
	seen := map[uint64]string{} // inode: first name
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h, err := header(p, name, info)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.New("internal error: a file without an inode")
		}
		h.Uid, h.Gid = int(st.Uid), int(st.Gid)
		if first, again := seen[st.Ino]; again && h.Typeflag == tar.TypeReg {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		}
		seen[st.Ino] = name
		if err := t.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
			return err
		}
		return copyInto(t, p)
	})
}

func header(p, name string, info fs.FileInfo) (*tar.Header, error) {
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(p); err != nil {
			return nil, err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return nil, err
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeSymlink {
		return nil, fmt.Errorf("%s is no file of an image", name)
	}
	if h.Name = filepath.ToSlash(name); info.IsDir() {
		h.Name += "/"
	}
	h.Uname, h.Gname, h.PAXRecords = "", "", nil
	h.ModTime, h.AccessTime, h.ChangeTime = flatTime, time.Time{}, time.Time{}
	return h, nil
}

// writeArchive writes an image layout with one image as a tar.
func (p packedImage) writeArchive(to string) error {
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(p.manifest), Size: int64(len(p.manifest)),
			Annotations: map[string]string{
				ocispec.AnnotationRefName:  p.name[strings.LastIndexByte(p.name, ':')+1:],
				"io.containerd.image.name": "docker.io/" + p.name,
			},
		}},
	})
	if err != nil {
		return err
	}
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	t := tar.NewWriter(w)
	for _, file := range []struct {
		name string
		text []byte
	}{
		{ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{ocispec.ImageIndexFile, index},
		{catalog.BlobPath(digest.FromBytes(p.manifest)), p.manifest},
		{catalog.BlobPath(digest.FromBytes(p.config)), p.config},
	} {
		if err := tarEntry(t, file.name, int64(len(file.text)), bytes.NewReader(file.text)); err != nil {
			return err
		}
	}
	for _, l := range p.layers {
		r, err := os.Open(l.file)
		if err != nil {
			return err
		}
		err = errors.Join(tarEntry(t, catalog.BlobPath(l.Digest), l.Size, r), r.Close())
		if err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), w.Close())
}

func tarEntry(t *tar.Writer, name string, size int64, r io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: flatTime, Format: tar.FormatUSTAR}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}
