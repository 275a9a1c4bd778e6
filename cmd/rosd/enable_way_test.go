package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/catalog"
)

// proxied are a few files that only a proxy knows the way to. It has no TLS to
// offer.
var proxied = map[string]string{
	"http://shop.invalid/shop.yml":                    shop,
	"http://catalog.invalid/index.yml":                "services: [shop]\nimages: {'test/shop:1': {file: shop.tar, digest: '" + digest.FromString("x").String() + "'}}\n",
	"http://catalog.invalid/s/shop.yml":               shop,
	"http://catalog.invalid/shop.tar":                 "the archive",
	"http://10.9.8.7:5000/v2/team/cat/manifests/1":    "{}",
	"http://reg.invalid:5000/v2/team/cat/manifests/1": "{}",
}

func proxy(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(nil)
	t.Cleanup(server.Close)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect { // a server that does not know TLS
			here, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
				_, _ = here.Read(make([]byte, 1))
				_, _ = io.WriteString(here, "HTTP/1.1 400 Bad Request\r\n\r\n")
				_ = here.Close()
			}
			return
		}
		text, ok := proxied[r.URL.String()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, text)
	})
	return server.URL
}

// behind is a station that reaches the world by a proxy only, as a config says
// that rosd has just been given.
func behind(t *testing.T) *station {
	t.Helper()
	s := newStation(t)
	s.fetch = nil
	s.cache, s.certificates = t.TempDir(), t.TempDir()
	at := []byte(proxy(t))
	if _, err := s.configs.edit(t.Context(), setting{[]string{"rancher", "network", "http_proxy"}, at},
		setting{[]string{"rancher", "network", "https_proxy"}, at},
		setting{[]string{"rancher", "docker", "insecure_registry"}, []byte("[10.0.0.0/8, reg.invalid]")},
		setting{[]string{"rancher", "repositories", "far", "url"}, []byte("http://catalog.invalid")}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCatalogBehindAProxy(t *testing.T) {
	s := behind(t)
	for _, what := range []string{"http://shop.invalid/shop.yml", "shop"} {
		file, err := s.catalog().Open(t.Context(), what, false)
		if err != nil || string(file.Text) != shop {
			t.Errorf("%s: %q, %v", what, file.Text, err)
		}
	}
	a, ok := s.catalog().Archive(t.Context(), "far", func(name string, _ catalog.Image) bool { return name == "test/shop:1" })
	if !ok {
		t.Fatal("no image")
	}
	r, _, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "the archive" {
		t.Errorf("the image is %q, %v", text, err)
	}
}

// A registry that a network of rancher.docker.insecure_registry has needs no TLS.
func TestArtifactOfAnInsecureRegistry(t *testing.T) {
	s := behind(t)
	for _, host := range []string{"10.9.8.7:5000", "reg.invalid:5000", "other.invalid:5000"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, tag, err := s.openArtifact(ctx, host+"/team/cat:1")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, text, err := r.Manifest(ctx, tag)
		if got, want := fmt.Sprintf("%s %t", text, err != nil), map[bool]string{false: "{} false", true: " true"}[strings.HasPrefix(host, "other")]; got != want {
			t.Errorf("%s: %s, %v, want %s", host, got, err, want)
		}
	}
}
