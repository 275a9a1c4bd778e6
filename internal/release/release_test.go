package release_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/release/releasetest"
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

func both(key *signature.PrivateKey, packed bool) []releasetest.Spec {
	return []releasetest.Spec{
		{Version: "v1.0.0", Arch: "amd64", Data: releasetest.Content(1, 800), Packed: packed, Key: key, Floor: "v0.1.0"},
		{Version: "v1.0.0", Arch: "arm64", Data: releasetest.Content(2, 40), Packed: packed, Key: key, Floor: "v0.1.0"},
	}
}

func newSlot(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "slot"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOpenLayout(t *testing.T) {
	ctx := context.Background()
	key, public := newKey(t)
	dir := releasetest.Layout(t, both(key, true)...)
	for _, arch := range []string{"amd64", "arm64"} {
		r, err := release.Open(ctx, dir, release.Options{Arch: arch, Keys: []signature.PublicKey{public}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if r.Manifest.Version != "v1.0.0" || r.Manifest.Arch != arch || r.Key != "test" {
			t.Errorf("Open() = %+v signed by %q, want v1.0.0 for %s signed by test", r.Manifest, r.Key, arch)
		}
		var kernel bytes.Buffer
		if err := r.Part(ctx, release.Kernel, &kernel, nil); err != nil || kernel.String() != "kernel v1.0.0 "+arch {
			t.Errorf("Part(kernel) = %q, %v, want that of v1.0.0 for %s", kernel.String(), err, arch)
		}
		slot := newSlot(t)
		if err := r.WriteImage(ctx, slot, nil, nil); err != nil {
			t.Fatal(err)
		}
		if parts, err := (release.Files{release.Image: slot.Name()}).Parts(); err != nil || parts[release.Image].Digest != r.Manifest.Parts[release.Image].Digest {
			t.Errorf("WriteImage() wrote %v, %v, want %v", parts, err, r.Manifest.Parts[release.Image])
		}
		c, err := release.Verify(r.Bundle, []signature.PublicKey{public})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Manifest, c.Manifest); diff != "" || c.Digest != r.Digest {
			t.Errorf("the bundle says something else (-opened +verified):\n%s", diff)
		}
	}
}

func TestSameInputSameDigests(t *testing.T) {
	key, _ := newKey(t)
	if a, b := read(t, filepath.Join(releasetest.Layout(t, both(key, true)...), "index.json")),
		read(t, filepath.Join(releasetest.Layout(t, both(key, true)...), "index.json")); !bytes.Equal(a, b) {
		t.Errorf("two layouts of the same release differ (-first +second):\n%s", cmp.Diff(string(a), string(b)))
	}
}

func TestOpenRefuses(t *testing.T) {
	key, public := newKey(t)
	_, other := newKey(t)
	signed, unsigned := releasetest.Layout(t, both(key, false)...), releasetest.Layout(t, both(nil, false)...)
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

// TestDamagedParts flips a byte in each blob of a release in turn.
func TestDamagedParts(t *testing.T) {
	ctx := context.Background()
	key, public := newKey(t)
	spec := both(key, true)[:1]
	blobs, err := filepath.Glob(filepath.Join(releasetest.Layout(t, spec...), "blobs/sha256/*"))
	if err != nil || len(blobs) < 10 {
		t.Fatalf("the layout has %d blobs, %v", len(blobs), err)
	}
	caught := 0
	for i := range blobs {
		dir := releasetest.Layout(t, spec...)
		file := filepath.Join(dir, "blobs/sha256", filepath.Base(blobs[i]))
		content := read(t, file)
		content[len(content)/2] ^= 4
		if err := os.Remove(file); err != nil { // it may be a hard link of the build's file
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := readAll(ctx, t, dir, public); err != nil {
			caught++
		}
	}
	// What nobody reads does no harm: the signature of the index and its config, and
	// the empty configs of signatures.
	if unread := len(blobs) - caught; unread > 4 {
		t.Errorf("%d of %d damaged blobs went unnoticed, want at most 4", unread, len(blobs))
	}
}

func readAll(ctx context.Context, t *testing.T, ref string, keys ...signature.PublicKey) error {
	t.Helper()
	r, err := release.Open(ctx, ref, release.Options{Arch: "amd64", Keys: keys, Retry: repository.Retry{Attempts: 1}})
	if err != nil {
		return err
	}
	defer r.Close()
	for _, part := range []string{release.Kernel, release.Initrd, release.SBOM} {
		if err := r.Part(ctx, part, io.Discard, nil); err != nil {
			return err
		}
	}
	err = r.WriteImage(ctx, newSlot(t), nil, nil)
	return err
}

func TestUpgradeFetchesLittle(t *testing.T) {
	ctx := context.Background()
	key, public := newKey(t)
	for _, packed := range []bool{true, false} {
		old := releasetest.Content(7, 2000)
		changed := bytes.Clone(old)
		copy(changed[900*releasetest.Block:], releasetest.Content(8, 30))
		dir := releasetest.Layout(t, releasetest.Spec{Version: "v2.0.0", Arch: "amd64", Data: changed, Packed: packed, Key: key})
		server, sent := releasetest.Server(t, dir)
		r, err := release.Open(ctx, server.URL, release.Options{Arch: "amd64", Keys: []signature.PublicKey{public}})
		if err != nil {
			t.Fatal(err)
		}
		image, target := releasetest.Seal(old)
		sent.Store(0)
		if err := r.WriteImage(ctx, newSlot(t), []release.OldImage{{ReaderAt: bytes.NewReader(image), HashOffset: target.HashOffset}}, nil); err != nil {
			t.Fatal(err)
		}
		if n := r.Fetched(); n != sent.Load() || n > r.Manifest.Parts[release.Image].Size/2 {
			t.Errorf("packed %v: Fetched() says %d bytes, the server sent %d, want the same and less than half of %d",
				packed, n, sent.Load(), r.Manifest.Parts[release.Image].Size)
		}
	}
}

// TestPartGoesOn is about a download that is cut off and goes on in another
// process: what the cache has is not fetched again.
func TestPartGoesOn(t *testing.T) {
	ctx := context.Background()
	key, public := newKey(t)
	dir := releasetest.Layout(t, both(key, false)...)
	files := http.FileServer(http.Dir(dir))
	var limit, ranges atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			ranges.Add(1)
		}
		if n := limit.Load(); n > 0 && strings.HasPrefix(r.URL.Path, "/blobs") {
			_, _ = w.Write(read(t, filepath.Join(dir, r.URL.Path))[:n])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	o := release.Options{Arch: "amd64", Keys: []signature.PublicKey{public}, Cache: t.TempDir(), Retry: repository.Retry{Attempts: 1, Wait: time.Millisecond}}
	r, err := release.Open(ctx, server.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(o.Cache, "0123.part") // of a release that was never finished
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	limit.Store(9)
	err = r.Part(ctx, release.Kernel, io.Discard, nil)
	if want := "cannot get the kernel of release v1.0.0: the download stopped at 9 of 19 bytes, 1 attempts to go on failed: unexpected EOF"; text(err) != want {
		t.Errorf("Part() over a line that breaks = %v, want %s", err, want)
	}
	limit.Store(0)
	ranges.Store(0)
	r, err = release.Open(ctx, server.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Prune(); err != nil {
		t.Error(err)
	}
	var kernel bytes.Buffer
	var progress []int64
	if err := r.Part(ctx, release.Kernel, &kernel, func(done, _ int64) { progress = append(progress, done) }); err != nil || kernel.String() != "kernel v1.0.0 amd64" {
		t.Errorf("Part() = %q, %v, want the kernel", kernel.String(), err)
	}
	if ranges.Load() != 1 || !cmp.Equal(progress, []int64{19}) {
		t.Errorf("%d requests for a part, progress %v, want 1 and [19]", ranges.Load(), progress)
	}
	if left, _ := os.ReadDir(o.Cache); len(left) != 0 {
		t.Errorf("the cache still has %v", left)
	}
}

// wholeOnly is a web server that knows no ranges (python3 -m http.server is
// one), over a line that breaks off blobs of some size as often as breaks says.
func wholeOnly(t *testing.T, dir string, breaks *atomic.Int64) string {
	t.Helper()
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ranged := r.Header.Get("Range") != ""
		r.Header.Del("Range")
		info, err := os.Stat(filepath.Join(dir, r.URL.Path))
		isPart := err == nil && strings.HasPrefix(r.URL.Path, "/blobs") && (info.Size() == kernelSize || info.Size() > 1<<20)
		if isPart && !ranged && breaks.Add(-1) >= 0 {
			_, _ = w.Write(read(t, filepath.Join(dir, r.URL.Path))[:info.Size()/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const kernelSize = int64(len("kernel v1.0.0 amd64"))

// TestWholeFilesOnly: what has broken off is fetched again from its beginning,
// at once or in another process.
func TestWholeFilesOnly(t *testing.T) {
	key, public := newKey(t)
	for _, packed := range []bool{true, false} {
		dir := releasetest.Layout(t, both(key, packed)...)
		var breaks atomic.Int64
		o := release.Options{Arch: "amd64", Keys: []signature.PublicKey{public}, Cache: t.TempDir(), Retry: repository.Retry{Attempts: 3, Wait: time.Millisecond}}
		r, err := release.Open(t.Context(), wholeOnly(t, dir, &breaks), o)
		if err != nil {
			t.Fatal(err)
		}
		breaks.Store(100)
		err = r.Part(t.Context(), release.Kernel, io.Discard, nil)
		want := "cannot get the kernel of release v1.0.0: the download stopped at 9 of 19 bytes (unexpected EOF), and the server cannot give out a part of a file"
		if text(err) != want {
			t.Errorf("Part() over a line that always breaks = %v, want %s", err, want)
		}
		breaks.Store(0)
		var kernel bytes.Buffer
		if err := r.Part(t.Context(), release.Kernel, &kernel, nil); err != nil || kernel.String() != "kernel v1.0.0 amd64" {
			t.Errorf("Part() after a download that broke = %q, %v, want the kernel", kernel.String(), err)
		}
		breaks.Store(2)
		kernel.Reset()
		if err := r.Part(t.Context(), release.Kernel, &kernel, nil); err != nil || kernel.String() != "kernel v1.0.0 amd64" {
			t.Errorf("Part() over a line that breaks twice = %q, %v, want the kernel", kernel.String(), err)
		}
		breaks.Store(2)
		slot := newSlot(t)
		if err := r.WriteImage(t.Context(), slot, nil, nil); err != nil {
			t.Errorf("packed %v: WriteImage() over a line that breaks twice = %v, want nil", packed, err)
		}
		if parts, err := (release.Files{release.Image: slot.Name()}).Parts(); err != nil || parts[release.Image].Digest != r.Manifest.Parts[release.Image].Digest {
			t.Errorf("packed %v: WriteImage() wrote %v, %v, want %v", packed, parts, err, r.Manifest.Parts[release.Image])
		}
	}
}

// TestFullDisk: a download that a disk has no room for leaves nothing there.
func TestFullDisk(t *testing.T) {
	key, public := newKey(t)
	dir := releasetest.Layout(t, both(key, false)...)
	fetch := func(t *testing.T, cache string, w io.Writer) {
		t.Helper()
		r, err := release.Open(t.Context(), dir, release.Options{Arch: "amd64", Keys: []signature.PublicKey{public}, Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := r.Part(t.Context(), release.Kernel, w, nil); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Part() = %v, want %v", err, syscall.ENOSPC)
		}
		if left, err := filepath.Glob(filepath.Join(cache, "*.part")); err != nil || len(left) > 0 {
			t.Errorf("there is left: %v, %v", left, err)
		}
	}
	t.Run("where it goes to", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		fetch(t, t.TempDir(), full)
	})
	t.Run("the cache's", func(t *testing.T) {
		cache := t.TempDir()
		if err := syscall.Mount("none", cache, "tmpfs", 0, "size=4k"); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err) // CI runs as root
			}
			t.Skipf("a small disk cannot be mounted: %v", err)
		}
		defer syscall.Unmount(cache, syscall.MNT_DETACH)
		if err := os.WriteFile(filepath.Join(cache, "filler"), make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		fetch(t, cache, io.Discard)
	})
}

func TestMedium(t *testing.T) {
	key, public := newKey(t)
	a, files := releasetest.Artifact(t, both(key, true)[0])
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
	o := release.Options{Arch: "amd64", Keys: []signature.PublicKey{public}}
	r, err := release.Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	slot := newSlot(t)
	if err := r.WriteImage(context.Background(), slot, nil, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, slot.Name()), read(t, files[release.Image])) {
		t.Error("WriteImage() wrote another image")
	}
	if err := os.WriteFile(filepath.Join(dir, "boot/vmlinuz"), []byte("kernel v1.0.0 amd65"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = r.Part(context.Background(), release.Kernel, io.Discard, nil)
	if want := "cannot get the kernel of release v1.0.0: it is damaged: its digest is sha256:"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Part() of a damaged kernel = %v, want %s…", err, want)
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, public := newKey(t)
	a, _ := releasetest.Artifact(t, both(key, false)[1])
	other, _ := releasetest.Artifact(t, both(key, false)[0])
	keys := []signature.PublicKey{public}
	for _, tt := range []struct {
		name string
		b    release.Bundle
		want string
	}{
		{"nothing", release.Bundle{}, "its signature: unexpected end of JSON input"},
		{"no manifest", release.Bundle{Signature: []byte("{}")}, "its signature: it holds no manifest"},
		{"another release", release.Bundle{Release: other.Bundle.Release, Signature: a.Bundle.Signature},
			"release.json is damaged or another one: its digest is " + digestOf(t, other) + ", the signed one is " + digestOf(t, a)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := release.Verify(tt.b, keys); text(err) != "cannot verify the release: "+tt.want {
				t.Errorf("Verify() = %v, want %s", err, tt.want)
			}
		})
	}
}

func digestOf(t *testing.T, a *release.Artifact) string {
	t.Helper()
	c, err := release.Read(a.Bundle, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Digest
}

func TestParseManifest(t *testing.T) {
	a, _ := releasetest.Artifact(t, both(nil, false)[1])
	good := string(a.Bundle.Release)
	for _, tt := range []struct{ name, from, to, want string }{
		{"as it is", "", "", ""},
		{"more keys", `"format": 1`, `"format": 1, "colour": "blue"`, ""},
		{"a later form", `"format": 1`, `"format": 2`, "it has format 2, this version of the OS knows format 1"},
		{"a version that is a path", `"version": "v1.0.0"`, `"version": "../v1"`, `version: "../v1" is no name`},
		{"a file that is a path", `"vmlinuz"`, `"/etc/passwd"`, `parts: kernel: file: "/etc/passwd" is no name of a file`},
		{"a short root hash", `"root_hash": "`, `"root_hash": "zz`, `root_hash: "zz` + rootHash(t, a) + `" is no sha256 in hexadecimal`},
		{"a command line of two lines", `"cmdline": "`, `"cmdline": "a\n`, "cmdline: want one line of ASCII"},
		{"no kernel", `"kernel": {`, `"colonel": {`, "parts: there is no kernel"},
		{"text behind it", "\n}\n", "\n} {}", "something stands behind its end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(good, tt.from) {
				t.Fatalf("the manifest has no %q", tt.from)
			}
			want := tt.want
			if want != "" {
				want = "cannot read the manifest of the release: " + want
			}
			if _, err := release.ParseManifest([]byte(strings.Replace(good, tt.from, tt.to, 1))); text(err) != want {
				t.Errorf("ParseManifest() = %v, want %s", err, want)
			}
		})
	}
}

func rootHash(t *testing.T, a *release.Artifact) string {
	t.Helper()
	var m release.Manifest
	if err := json.Unmarshal(a.Bundle.Release, &m); err != nil {
		t.Fatal(err)
	}
	return m.RootHash
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		a, b         string
		older, known bool
	}{
		{"v1.2.3", "v1.2.4", true, true}, {"v1.10.0", "v1.9.0", false, true}, {"v1.0.0-rc.1", "v1.0.0", true, true},
		{"v1.0.0", "v1.0.0", false, true}, {"6009e54-dirty", "v1.0.0", false, false}, {"v1.0.0", "1.0.0", false, false},
	} {
		if older, known := release.Older(tt.a, tt.b); older != tt.older || known != tt.known {
			t.Errorf("Older(%q, %q) = %v, %v, want %v, %v", tt.a, tt.b, older, known, tt.older, tt.known)
		}
	}
}

func FuzzBundle(f *testing.F) {
	key, err := signature.Generate()
	if err != nil {
		f.Fatal(err)
	}
	a, _ := releasetest.Artifact(f, releasetest.Spec{Version: "v1.0.0", Arch: "amd64", Data: releasetest.Content(1, 3), Key: &key})
	f.Add(a.Bundle.Release, a.Bundle.Signature)
	f.Fuzz(func(t *testing.T, manifest, sig []byte) {
		b := release.Bundle{Release: manifest, Signature: sig}
		c, err := release.Verify(b, []signature.PublicKey{key.Public("k")})
		if err == nil && !bytes.Equal(manifest, a.Bundle.Release) {
			t.Errorf("Verify() takes %q for signed", manifest)
		}
		if _, readErr := release.Read(b, nil); err == nil && readErr != nil || err == nil && c.Key != "k" {
			t.Errorf("Verify() = %v, Read() = %v", c, readErr)
		}
		_, _ = release.ParseManifest(manifest)
	})
}

func FuzzList(f *testing.F) {
	f.Add([]byte("current: registry.example.com/roster:v1.2.3\navailable:\n- ./v1.2.2.tar\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := release.ParseList("https://example.com/releases.yml", data)
		if err == nil && l.Current == "" {
			t.Errorf("ParseList(%q) names no current release and says nothing", data)
		}
	})
}
