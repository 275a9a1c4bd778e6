package repository_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/repository"
)

var quick = repository.Retry{Wait: time.Millisecond}

func tarOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Size: int64(len(files[name])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// places puts the same content into every kind of place.
func places(t *testing.T, c content) map[string]struct {
	ref  string
	fake *fake
} {
	t.Helper()
	layout := c.layout()
	archive := tarOf(t, layout)
	tarFile := filepath.Join(t.TempDir(), "roster.tar")
	if err := os.WriteFile(tarFile, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	web := map[string][]byte{"/releases/roster.tar": archive}
	for name, content := range layout {
		web["/releases/v1/"+name] = content
	}
	server, registry := newFake(t, web), newFake(t, c.registry())
	private := newFake(t, c.registry())
	private.token = "letmein"
	return map[string]struct {
		ref  string
		fake *fake
	}{
		"folder":             {writeDir(t, layout), nil},
		"tar":                {tarFile, nil},
		"folder at a URL":    {server.URL + "/releases/v1", server},
		"tar at a URL":       {server.URL + "/releases/roster.tar", server},
		"registry":           {registry.host() + "/ros", registry},
		"registry, by token": {private.host() + "/ros", private},
	}
}

func TestPlaces(t *testing.T) {
	ctx := context.Background()
	c := newContent()
	for name, p := range places(t, c) {
		t.Run(name, func(t *testing.T) {
			r, _, err := repository.Open(ctx, p.ref, repository.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			byName, manifest, err := r.Manifest(ctx, "v1")
			if err != nil || !bytes.Equal(manifest, c.manifest) {
				t.Fatalf("Manifest(v1) = %q, %v", manifest, err)
			}
			if d, _, err := r.Manifest(ctx, ""); err != nil || d.Digest != byName.Digest {
				t.Errorf("Manifest() = %v, %v, want %v", d.Digest, err, byName.Digest)
			}
			if d, _, err := r.Manifest(ctx, byName.Digest.String()); err != nil || d.Digest != byName.Digest {
				t.Errorf("Manifest(%s) = %v, %v", byName.Digest, d.Digest, err)
			}
			if _, _, err := r.Manifest(ctx, "v2"); !errors.Is(err, repository.ErrNotFound) {
				t.Errorf("Manifest(v2) = %v, want not found", err)
			}
			other := repository.Descriptor{Digest: digest.Digest("sha256:" + strings.Repeat("0", 64)), Size: 5}
			if _, err := r.Blob(ctx, other, 0, -1); !errors.Is(err, repository.ErrNotFound) {
				t.Errorf("Blob() of another digest = %v, want not found", err)
			}
			if _, err := r.Blob(ctx, repository.Descriptor{Digest: "sha256:../../x"}, 0, -1); err == nil {
				t.Error("Blob() of no digest = nil, want an error")
			}
			for _, s := range []struct{ offset, length, want int64 }{
				{0, -1, 300_000}, {0, 1, 1}, {299_999, 1, 1}, {1000, 2000, 2000}, {150_000, -1, 150_000},
			} {
				var b bytes.Buffer
				n, err := repository.Copy(ctx, &b, r, c.descriptor(), s.offset, s.length, quick)
				if err != nil || n != s.want || !bytes.Equal(b.Bytes(), c.blob[s.offset:s.offset+s.want]) {
					t.Errorf("Copy(%d, %d) = %d, %v, want %d bytes of the blob", s.offset, s.length, n, err, s.want)
				}
			}
		})
	}
}

func TestCopyGoesOn(t *testing.T) {
	ctx := context.Background()
	c := newContent()
	for name, p := range places(t, c) {
		if p.fake == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r, _, err := repository.Open(ctx, p.ref, repository.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			p.fake.cutAfter, p.fake.cuts = 70_000, 3
			var b bytes.Buffer
			if _, err := repository.Copy(ctx, &b, r, c.descriptor(), 0, -1, quick); err != nil || !bytes.Equal(b.Bytes(), c.blob) {
				t.Errorf("Copy() over a line that breaks = %v, %d bytes, want all", err, b.Len())
			}
		})
	}
}

func TestCopyGivesUp(t *testing.T) {
	ctx := context.Background()
	c := newContent()
	f := newFake(t, c.registry())
	r, _, err := repository.Open(ctx, f.host()+"/ros", repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := c.descriptor()
	for _, tt := range []struct {
		status   int
		want     string
		requests int32
	}{
		{503, "the download stopped at 0 of 300000 bytes, 3 attempts to go on failed: HOST answers 503 Service Unavailable", 3},
		{403, "HOST answers 403 Forbidden: a login is needed, or another one", 1},
		{404, "HOST/v2/ros/blobs/" + d.Digest.String() + ": there is no such thing", 1},
	} {
		f.status = tt.status
		f.requests.Store(0)
		_, err := repository.Copy(ctx, io.Discard, r, d, 0, -1, repository.Retry{Attempts: 3, Wait: time.Millisecond})
		got := strings.ReplaceAll(strings.ReplaceAll(text(err), f.URL, "HOST"), f.host(), "HOST")
		if got != tt.want || f.requests.Load() != tt.requests {
			t.Errorf("Copy() = %s after %d requests, want %s after %d", got, f.requests.Load(), tt.want, tt.requests)
		}
	}
	f.status = 0
	full := errors.New("no space left on device")
	if _, err := repository.Copy(ctx, failingWriter{full}, r, d, 0, -1, quick); !errors.Is(err, full) {
		t.Errorf("Copy() to a full disk = %v, want %v", err, full)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := repository.Copy(canceled, io.Discard, r, d, 0, -1, quick); !errors.Is(err, context.Canceled) {
		t.Errorf("Copy() = %v, want canceled", err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestWithoutRanges(t *testing.T) {
	ctx := context.Background()
	c := newContent()
	places := places(t, c)
	for _, name := range []string{"registry", "folder at a URL"} {
		p := places[name]
		p.fake.noRanges = true
		r, _, err := repository.Open(ctx, p.ref, repository.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := repository.Copy(ctx, io.Discard, r, c.descriptor(), 0, 100, quick); !errors.Is(err, repository.ErrNoRanges) {
			t.Errorf("%s: Copy() of a part = %v, want %v", name, err, repository.ErrNoRanges)
		}
		if n, err := repository.Copy(ctx, io.Discard, r, c.descriptor(), 0, -1, quick); err != nil || n != 300_000 {
			t.Errorf("%s: Copy() of all = %d, %v", name, n, err)
		}
	}
	p := places["tar at a URL"]
	p.fake.noRanges = true
	_, _, err := repository.Open(ctx, p.ref, repository.Options{})
	if want := `cannot open "` + p.ref + `": the server cannot give out a part of a file: copy the tar to this machine`; text(err) != want {
		t.Errorf("Open() = %v, want %s", err, want)
	}
	cache := t.TempDir()
	r, _, err := repository.Open(ctx, p.ref, repository.Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := repository.Copy(ctx, io.Discard, r, c.descriptor(), 10, 100, quick); err != nil {
		t.Errorf("Copy() of a part of a downloaded tar = %v, want nil", err)
	}
	if left, _ := os.ReadDir(cache); len(left) != 0 {
		t.Errorf("the cache holds %v, want nothing with a name", left)
	}
}

func TestDamagedManifest(t *testing.T) {
	ctx := context.Background()
	c := newContent()
	files := c.registry()
	f := newFake(t, files)
	r, _, err := repository.Open(ctx, f.host()+"/ros", repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := r.Manifest(ctx, "v1")
	if err != nil {
		t.Fatal(err)
	}
	files["/v2/ros/manifests/"+d.Digest.String()] = []byte("{}")
	if _, _, err := r.Manifest(ctx, d.Digest.String()); err == nil || !strings.HasPrefix(err.Error(), "the manifest is damaged: its digest is ") {
		t.Errorf("Manifest() = %v, want it damaged", err)
	}
}

func TestLogin(t *testing.T) {
	ctx := context.Background()
	c := newContent()
	f := newFake(t, c.registry())
	f.token = "t"
	open := func(name, password string) error {
		r, _, err := repository.Open(ctx, f.host()+"/ros", repository.Options{Credentials: func(host string) (string, string) {
			if host != f.host() {
				t.Errorf("asked for the login of %q, want %q", host, f.host())
			}
			return name, password
		}})
		if err != nil {
			return err
		}
		_, _, err = r.Manifest(ctx, "v1")
		return err
	}
	if err := open("me", "secret"); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	want := "log in to " + f.host() + ": " + f.host() + " answers 401 Unauthorized: a login is needed, or another one"
	if err := open("me", "wrong"); text(err) != want {
		t.Errorf("with a wrong password: %v, want %s", err, want)
	}
}

// TestClockIn1970 is about a machine whose clock stands before the time from
// which on the server's certificate is valid; that of httptest begins in 1970.
func TestClockIn1970(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	before := func() time.Time { return time.Unix(-1000, 0).UTC() }
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: before}}}
	r, _, err := repository.Open(context.Background(), s.URL+"/x", repository.Options{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Manifest(context.Background(), "v1")
	want := "the server's certificate is not valid yet: is the clock of this machine right? current time 1969-12-31T23:43:20Z is before 1970-01-01T00:00:00Z"
	if text(err) != want {
		t.Errorf("Manifest() = %v, want %s", err, want)
	}
}

func TestStall(t *testing.T) {
	c := newContent()
	released := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "300000")
		_, _ = w.Write(c.blob[:1000])
		_ = http.NewResponseController(w).Flush()
		<-released
	}))
	defer s.Close()
	defer close(released)
	r, _, err := repository.Open(context.Background(), strings.TrimPrefix(s.URL, "http://")+"/ros", repository.Options{IdleTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	n, err := repository.Copy(context.Background(), io.Discard, r, c.descriptor(), 0, -1, repository.Retry{Attempts: 1})
	if want := "the download stopped at 1000 of 300000 bytes, 1 attempts to go on failed: nothing came for 20ms"; n != 1000 || text(err) != want {
		t.Errorf("Copy() from a server that says nothing more = %d, %v, want %s", n, err, want)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	noTar := filepath.Join(dir, "x.tar")
	if err := os.WriteFile(noTar, []byte(strings.Repeat("no tar", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	truncated := filepath.Join(dir, "y.tar")
	whole := tarOf(t, newContent().layout())
	if err := os.WriteFile(truncated, whole[:len(whole)-250_000], 0o644); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"./nothing/here": `cannot open "./nothing/here": stat ./nothing/here: no such file or directory`,
		noTar:            `cannot open "` + noTar + `": it is no whole tar: archive/tar: invalid tar header`,
		"Not A Name":     `cannot open "Not A Name": invalid reference format: repository name (library/Not A Name) must be lowercase`,
		"/dev/null":      `cannot open "/dev/null": it is neither a folder nor a file`,
	} {
		if _, _, err := repository.Open(context.Background(), ref, repository.Options{}); text(err) != want {
			t.Errorf("Open(%q) = %v, want %s", ref, err, want)
		}
	}
	if _, _, err := repository.Open(context.Background(), truncated, repository.Options{}); err == nil || !strings.Contains(err.Error(), "it is no whole tar") {
		t.Errorf("Open() of a truncated tar = %v, want it not whole", err)
	}
	r, _, err := repository.Open(context.Background(), dir, repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Manifest(context.Background(), ""); text(err) != "it is no OCI image layout: it has no index.json" {
		t.Errorf("Manifest() of a folder without a layout = %v", err)
	}
}

func FuzzTar(f *testing.F) {
	f.Add([]byte("no tar"))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "index.json", Size: 2})
	_, _ = w.Write([]byte("{}"))
	_ = w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		r, _, err := repository.Open(context.Background(), file, repository.Options{})
		if err != nil {
			return
		}
		defer r.Close()
		_, _, _ = r.Manifest(context.Background(), "") // must come back, whatever it says
	})
}
