package repository_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/repository"
)

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// fake is a server on an unreliable line.
type fake struct {
	*httptest.Server
	files    map[string][]byte // by path
	noRanges bool
	cutAfter int   // bytes of an answer after which the line breaks, 0: never
	cuts     int32 // how often it does
	status   int   // what every request gets instead, 0: nothing
	token    string
	requests atomic.Int32
}

func newFake(t *testing.T, files map[string][]byte) *fake {
	t.Helper()
	f := &fake{files: files}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.requests.Add(1)
	if r.URL.Path == "/token" {
		if name, password, _ := r.BasicAuth(); name != "" && password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"token": %q}`, f.token+"|"+r.URL.Query().Get("scope")+"|"+r.URL.Query().Get("service"))
		return
	}
	if f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token+"|repository:ros:pull|fake" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.URL+`/token",service="fake",scope="repository:ros:pull"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if f.status != 0 {
		w.WriteHeader(f.status)
		return
	}
	content, ok := f.files[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if f.noRanges {
		r.Header.Del("Range")
	}
	if f.cutAfter > 0 && len(content) > f.cutAfter && atomic.AddInt32(&f.cuts, -1) >= 0 {
		w = &cut{w, f.cutAfter}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// cut breaks the line after some bytes.
type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func (f *fake) host() string { return strings.TrimPrefix(f.URL, "http://") }

// content is what a test repository holds: one manifest and one blob.
type content struct {
	blob     []byte
	manifest []byte
}

func newContent() content {
	blob := make([]byte, 300_000)
	_, _ = rand.Read(blob) // never fails
	return content{blob, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}`)}
}

func (c content) descriptor() repository.Descriptor {
	return repository.Descriptor{Digest: digest.FromBytes(c.blob), Size: int64(len(c.blob))}
}

// layout are the files of an image layout.
func (c content) layout() map[string][]byte {
	m := digest.FromBytes(c.manifest)
	return map[string][]byte{
		"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`),
		"index.json": []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + m.String() +
			`","size":` + strconv.Itoa(len(c.manifest)) + `,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`),
		"blobs/sha256/" + m.Encoded():                        c.manifest,
		"blobs/sha256/" + digest.FromBytes(c.blob).Encoded(): c.blob,
	}
}

// registry are the paths of a registry.
func (c content) registry() map[string][]byte {
	m := digest.FromBytes(c.manifest)
	return map[string][]byte{
		"/v2/ros/manifests/v1":                               c.manifest,
		"/v2/ros/manifests/latest":                           c.manifest,
		"/v2/ros/manifests/" + m.String():                    c.manifest,
		"/v2/ros/blobs/" + digest.FromBytes(c.blob).String(): c.blob,
	}
}

func writeDir(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
