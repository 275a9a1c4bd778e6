package fetch_test

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/fetch"
)

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// tunnel is a proxy that knows every name, all of them as one server.
func tunnel(t *testing.T, to *httptest.Server) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			hello(w, r)
			return
		}
		there, err := net.Dial("tcp", to.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, err = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		}
		if err != nil {
			t.Error(err)
			return
		}
		go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
		go func() { _, _ = io.Copy(here, there); _ = here.Close() }()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestWay(t *testing.T) {
	secure, open := httptest.NewTLSServer(http.HandlerFunc(hello)), httptest.NewServer(http.HandlerFunc(hello))
	defer secure.Close()
	defer open.Close()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o644); err != nil {
		t.Fatal(err)
	}
	toSecure, toOpen := tunnel(t, secure), tunnel(t, open)
	ours := func(host string) bool { return host == "example.com" }
	for _, tt := range []struct {
		name, address string
		way           fetch.Way
		err           string
	}{
		{"proxy", "http://example.com/x", fetch.Way{HTTPProxy: toSecure}, ""},
		{"proxy and authority", "https://example.com/x", fetch.Way{HTTPSProxy: toSecure, Certificates: dir}, ""},
		{"unknown authority", "https://example.com/x", fetch.Way{HTTPSProxy: toSecure}, "certificate signed by unknown authority"},
		{"another one is insecure", "https://example.com/x", fetch.Way{HTTPSProxy: toSecure, Insecure: func(string) bool { return false }}, "certificate signed by unknown authority"},
		{"insecure", "https://example.com/x", fetch.Way{HTTPSProxy: toSecure, Insecure: ours}, ""},
		{"insecure without TLS", "https://example.com/x", fetch.Way{HTTPProxy: toOpen, HTTPSProxy: toOpen, Insecure: ours}, ""},
		{"not by the proxy", open.URL, fetch.Way{HTTPProxy: "http://127.0.0.1:1", NoProxy: "127.0.0.1"}, ""},
		{"no authorities", open.URL, fetch.Way{Certificates: dir + "/none"}, "certificate authorities: open " + dir + "/none: no such file or directory"},
	} {
		text, err := fetch.Text(t.Context(), tt.address, tt.way.Client())
		if tt.err == "" && (err != nil || string(text) != "hello") || tt.err != "" && !strings.HasSuffix(errText(err), tt.err) {
			t.Errorf("%s: got %q, %v, want %q", tt.name, text, err, tt.err)
		}
	}
}
