// Package releasetest makes small releases for tests: real in everything but
// what their parts contain.
package releasetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/rosteros/ros/internal/delta"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/signature"
)

// Block is the size of a block of an OS image.
const Block = 4096

// Content is data for an image, that compress a little; another seed gives
// others.
func Content(seed uint64, blocks int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, blocks*Block)
	for i := range data {
		data[i] = byte(r.UintN(64))
	}
	return data
}

// Seal puts a verity tree behind data, as veritysetup does. The length of data
// is a multiple of Block.
func Seal(data []byte) ([]byte, delta.Target) {
	salt := []byte("roster")
	le := binary.LittleEndian
	sb := make([]byte, Block)
	copy(sb, "verity\x00\x00")
	le.PutUint32(sb[8:], 1)
	le.PutUint32(sb[12:], 1)
	copy(sb[32:], "sha256")
	le.PutUint32(sb[64:], Block)
	le.PutUint32(sb[68:], Block)
	le.PutUint64(sb[72:], uint64(len(data)/Block))
	le.PutUint16(sb[80:], uint16(len(salt)))
	copy(sb[88:], salt)
	var tree []byte
	for level := data; ; {
		var hashes []byte
		for at := 0; at < len(level); at += Block {
			sum := sha256.Sum256(append(bytes.Clone(salt), level[at:at+Block]...))
			hashes = append(hashes, sum[:]...)
		}
		if len(level) == Block {
			image := append(append(bytes.Clone(data), sb...), tree...)
			return image, delta.Target{Size: int64(len(image)), HashOffset: int64(len(data)), RootHash: hex.EncodeToString(hashes)}
		}
		hashes = append(hashes, make([]byte, (Block-len(hashes)%Block)%Block)...)
		tree = append(bytes.Clone(hashes), tree...)
		level = hashes
	}
}

// Pack packs an image as forge does, with another implementation of zstd.
func Pack(t testing.TB, image []byte, target delta.Target, dictionary delta.Span) ([]byte, delta.Index) {
	t.Helper()
	index := delta.Split(target, dictionary)
	var packed []byte
	for i, f := range index.Frames {
		options := []zstd.EOption{zstd.WithEncoderConcurrency(1)}
		if i >= index.Plain {
			options = append(options, zstd.WithEncoderDictRaw(0, image[dictionary.Offset:dictionary.Offset+dictionary.Size]))
		}
		enc, err := zstd.NewWriter(nil, options...)
		if err != nil {
			t.Fatal(err)
		}
		frame := enc.EncodeAll(image[f.Offset:f.Offset+f.Size], nil)
		index.Frames[i].Packed = int64(len(frame))
		packed = append(packed, frame...)
	}
	return packed, index
}

// Spec is a release to make.
type Spec struct {
	Version string
	Arch    string
	Floor   string
	Data    []byte                // of the OS image, see Content
	Packed  bool                  // whether the image travels packed
	Key     *signature.PrivateKey // nil: unsigned
}

// Artifact makes a release of one architecture, and its files.
func Artifact(t testing.TB, s Spec) (*release.Artifact, release.Files) {
	t.Helper()
	dir := t.TempDir()
	image, target := Seal(s.Data)
	files := release.Files{}
	for name, f := range map[string]struct {
		file    string
		content []byte
	}{
		release.Kernel: {"vmlinuz", []byte("kernel " + s.Version + " " + s.Arch)},
		release.Initrd: {"initrd.img", []byte("initrd " + s.Version + " " + s.Arch)},
		release.Image:  {"os.img", image},
		release.SBOM:   {"sbom.spdx.json", []byte("{}")},
	} {
		files[name] = write(t, filepath.Join(dir, f.file), f.content)
	}
	parts, err := files.Parts()
	if err != nil {
		t.Fatal(err)
	}
	var packed *release.Packed
	if s.Packed {
		content, index := Pack(t, image, target, delta.Span{Size: target.HashOffset / 4 / Block * Block})
		packed = &release.Packed{File: write(t, filepath.Join(dir, "os.img.packed"), content), Index: index}
	}
	a, err := release.NewArtifact(release.Manifest{
		Format: release.Format, Version: s.Version, Arch: s.Arch, Flavour: "vm", Kernel: "6.12.0-" + s.Arch,
		RootHash: target.RootHash, HashOffset: target.HashOffset, Cmdline: "ros.roothash=" + target.RootHash, Floor: s.Floor, Parts: parts,
	}, files, packed, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	return a, files
}

// Layout makes a layout directory of releases of one version.
func Layout(t testing.TB, specs ...Spec) string {
	t.Helper()
	var artifacts []*release.Artifact
	for _, s := range specs {
		a, _ := Artifact(t, s)
		artifacts = append(artifacts, a)
	}
	dir := filepath.Join(t.TempDir(), "oci")
	if _, err := release.WriteLayout(dir, specs[0].Version, specs[0].Key, artifacts...); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Server gives out a folder, and counts the bytes that it sends.
func Server(t testing.TB, dir string) (server *httptest.Server, sent *atomic.Int64) {
	t.Helper()
	sent = new(atomic.Int64)
	files := http.FileServer(http.Dir(dir))
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { files.ServeHTTP(counting{w, sent}, r) }))
	t.Cleanup(server.Close)
	return server, sent
}

type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func write(t testing.TB, to string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(to, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}
