package release_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/repository"
	"github.com/rosteros/ros/internal/signature"
)

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func newKey(t *testing.T) (*signature.PrivateKey, signature.PublicKey) {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return &key, key.Public("test")
}

// build makes files of a release for an architecture, and its artifact.
func build(t *testing.T, version, arch string, key *signature.PrivateKey) (*release.Artifact, release.Files) {
	t.Helper()
	dir := t.TempDir()
	files := release.Files{}
	for name, f := range map[string]struct{ file, content string }{
		release.Kernel: {"vmlinuz", "kernel " + arch},
		release.Initrd: {"initrd.img", "initrd " + arch},
		release.Image:  {"os.img", strings.Repeat(version+arch, 3000)},
		release.SBOM:   {"sbom.spdx.json", "{}"},
	} {
		files[name] = filepath.Join(dir, f.file)
		if err := os.WriteFile(files[name], []byte(f.content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := files.Parts()
	if err != nil {
		t.Fatal(err)
	}
	m := release.Manifest{
		Format: release.Format, Version: version, Arch: arch, Flavour: "vm", Kernel: "6.12.0-" + arch,
		RootHash: strings.Repeat("ab", 32), HashOffset: 8192, Cmdline: "ros.roothash=" + strings.Repeat("ab", 32), Floor: "v0.1.0", Parts: parts,
	}
	a, err := release.NewArtifact(m, files, key)
	if err != nil {
		t.Fatal(err)
	}
	return a, files
}

// layoutOf writes a layout for both architectures.
func layoutOf(t *testing.T, key *signature.PrivateKey) string {
	t.Helper()
	amd64, _ := build(t, "v1.0.0", "amd64", key)
	arm64, _ := build(t, "v1.0.0", "arm64", key)
	dir := filepath.Join(t.TempDir(), "layout")
	if _, err := release.WriteLayout(dir, "v1.0.0", key, amd64, arm64); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenLayout(t *testing.T) {
	key, public := newKey(t)
	dir := layoutOf(t, key)
	r, err := release.Open(context.Background(), dir, release.Options{Arch: "arm64", Keys: []signature.PublicKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Manifest.Version != "v1.0.0" || r.Manifest.Arch != "arm64" || r.Key != "test" {
		t.Errorf("Open() = %+v signed by %q, want v1.0.0 for arm64 signed by test", r.Manifest, r.Key)
	}
	var kernel bytes.Buffer
	if err := r.Part(context.Background(), release.Kernel, &kernel, nil); err != nil || kernel.String() != "kernel arm64" {
		t.Errorf("Part(kernel) = %q, %v, want kernel arm64", kernel.String(), err)
	}
	c, err := release.Verify(r.Bundle, []signature.PublicKey{public})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Manifest, c.Manifest); diff != "" || c.Digest != r.Digest {
		t.Errorf("the bundle says something else (-opened +verified):\n%s", diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	key, public := newKey(t)
	_, other := newKey(t)
	signed, unsigned := layoutOf(t, key), layoutOf(t, nil)
	for _, tt := range []struct {
		name string
		dir  string
		o    release.Options
		want string
		is   error
	}{
		{"no signature", unsigned, release.Options{Keys: []signature.PublicKey{public}}, "it is not signed", signature.ErrUnsigned},
		{"a foreign signature", signed, release.Options{Keys: []signature.PublicKey{other}}, "it is signed with a key that this machine does not trust", signature.ErrUnknownKey},
		{"no keys", signed, release.Options{}, "it is signed with a key that this machine does not trust", signature.ErrUnknownKey},
		{"another architecture", signed, release.Options{Arch: "riscv64", Keys: []signature.PublicKey{public}},
			"it is for another architecture: it has [amd64 arm64], this machine is riscv64", release.ErrArch},
		{"another tag", signed + "#v2", release.Options{}, `tag "v2": there is no such thing (there are: v1.0.0)`, repository.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.Arch == "" {
				tt.o.Arch = "amd64"
			}
			_, err := release.Open(context.Background(), tt.dir, tt.o)
			if want := `cannot open release "` + tt.dir + `": ` + tt.want; text(err) != want || !errors.Is(err, tt.is) {
				t.Errorf("Open() = %v, want %s", err, want)
			}
		})
	}
	r, err := release.Open(context.Background(), unsigned, release.Options{Arch: "amd64", AllowUnsigned: true})
	if err != nil || r.Key != "" {
		t.Errorf("Open() of an unsigned release that may be = %v, want nil and no key", err)
	}
}

func TestMedium(t *testing.T) {
	key, public := newKey(t)
	a, files := build(t, "v1.0.0", "amd64", key)
	dir := t.TempDir()
	for to, content := range map[string][]byte{
		"roster/release.json": a.Bundle.Release, "roster/release.sig": a.Bundle.Signature,
		"boot/vmlinuz": read(t, files[release.Kernel]), "boot/initrd.img": read(t, files[release.Initrd]), "roster/os.img": read(t, files[release.Image]),
	} {
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := release.Open(context.Background(), dir, release.Options{Arch: "amd64", Keys: []signature.PublicKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	slot, err := os.Create(filepath.Join(t.TempDir(), "slot"))
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Close()
	if _, err := r.WriteImage(context.Background(), slot, nil, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, slot.Name()), read(t, files[release.Image])) {
		t.Error("WriteImage() wrote another image")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
