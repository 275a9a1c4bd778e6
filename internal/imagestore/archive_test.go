package imagestore_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/tests/registry"
)

// packed is a text after a packer.
func packed(t *testing.T, plain []byte, packer func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := packer(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(plain)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLoad(t *testing.T) {
	plain := box(amd64).Archive("team/box:1", "box:latest")
	for name, archive := range map[string][]byte{
		"tar":  plain,
		"gzip": registry.Gzip(plain),
		"xz":   packed(t, plain, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"zstd": packed(t, plain, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var last imagestore.Event
			list, err := r.Load(t.Context(), bytes.NewReader(archive), int64(len(archive)), func(e imagestore.Event) { last = e })
			if err != nil || len(list) != 2 {
				t.Fatalf("Load = %v, %v, want two names", list, err)
			}
			if last.Status != images.Complete {
				t.Errorf("last event = %+v, want %q", last, images.Complete)
			}
			r.collect(t)
			image, err := r.Get(t.Context(), "box")
			if err != nil || image.Name != "docker.io/library/box:latest" || image.ID != list[0].ID {
				t.Fatalf("Get(box) = %q %s, %v", image.Name, image.ID, err)
			}
			files, err := r.View(t.Context(), "x", image)
			if err != nil {
				t.Fatal(err)
			}
			if motd, _ := os.ReadFile(filepath.Join(files.Lower[0], "etc/motd")); string(motd) != "box\n" {
				t.Errorf("motd = %q, want box", motd)
			}
		})
	}
}

func TestLoadWithoutName(t *testing.T) {
	r := newRig(t)
	list, err := r.Load(t.Context(), bytes.NewReader(box(amd64).Archive()), 0, nil)
	if err != nil || len(list) != 1 || list[0].Name != "" {
		t.Fatalf("Load = %+v, %v, want one image without a name", list, err)
	}
	if _, err := r.Get(t.Context(), list[0].ID); err != nil {
		t.Error(err)
	}
}

// A repository says by its digest which image an archive has. What the archive
// calls it is of no account.
func TestLoadAs(t *testing.T) {
	archive := box(amd64).Archive("somebody/else:1")
	r := newRig(t)
	list, err := r.Load(t.Context(), bytes.NewReader(archive), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := newRig(t)
	image, err := other.LoadAs(t.Context(), bytes.NewReader(archive), 0, "team/box:2", list[0].Digest, nil)
	if err != nil || image.Name != "docker.io/team/box:2" || image.Digest != list[0].Digest {
		t.Errorf("LoadAs = %q %s, %v", image.Name, image.Digest, err)
	}
	if _, err := other.Get(t.Context(), "somebody/else:1"); err == nil {
		t.Error("the name in the archive was taken")
	}
	_, err = other.LoadAs(t.Context(), bytes.NewReader(archive), 0, "team/box:2", "sha256:0001", nil)
	if want := `cannot load image "team/box:2": the archive does not have it as sha256:0001`; text(err) != want {
		t.Errorf("LoadAs = %q, want %q", text(err), want)
	}
	if now, err := other.Get(t.Context(), "team/box:2"); err != nil || now.Digest != image.Digest {
		t.Errorf("after that it is %s, %v, want %s", now.Digest, err, image.Digest)
	}
}

func TestLoadFaults(t *testing.T) {
	whole := box(amd64).Archive("box:1")
	for _, tt := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"empty", nil, "it is empty"},
		{"a text", []byte(strings.Repeat("no archive\n", 100)), "it is not an archive of images (docker save, or an OCI layout)"},
		{"another tar", registry.Layer{"etc/motd": "x"}.Tar(), "it is not an archive of images (docker save, or an OCI layout)"},
		{"cut off", whole[:len(whole)/2], "it ends in the middle"},
		{"cut off gzip", registry.Gzip(whole)[:500], "it ends in the middle"},
		{"not gzip after all", []byte("\x1f\x8bnot gzip at all"), "cannot unpack: gzip: invalid header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.Load(t.Context(), bytes.NewReader(tt.archive), 0, nil)
			if want := "cannot load the archive: " + tt.want; text(err) != want {
				t.Errorf("Load = %q, want %q", text(err), want)
			}
			r.collect(t)
			if n := r.blobs(t); n != 0 {
				t.Errorf("%d pieces of content are left behind", n)
			}
		})
	}
}

// What Save writes, Load takes, on another machine.
func TestSave(t *testing.T) {
	r := newRig(t)
	r.registry.AddIndex("box:1",
		r.registry.Add("box:amd", box(amd64)),
		r.registry.Add("box:arm", box(arm64)))
	name := r.host + "/box:1"
	want, err := r.Pull(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := r.Save(t.Context(), &archive, name); err != nil {
		t.Fatal(err)
	}
	other := newRig(t)
	list, err := other.Load(t.Context(), &archive, 0, nil)
	if err != nil || len(list) != 1 || list[0].Name != name || list[0].ID != want.ID || list[0].Digest != want.Digest {
		t.Errorf("Load = %+v, %v, want %+v", list, err, want)
	}
	if err := r.Save(t.Context(), io.Discard, name, "nobody"); text(err) != `cannot save image "nobody": image "nobody" is not on this machine` {
		t.Errorf("Save = %v", err)
	}
}
