package imagestore_test

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/imagestore"
)

// A registry with TLS is trusted by the config's own authorities, or when the
// config says that it need not be.
func TestTrust(t *testing.T) {
	r := newRig(t)
	r.registry.Add("box:1", box(amd64))
	server := httptest.NewTLSServer(r.registry)
	t.Cleanup(server.Close)
	// "localhost" would be trusted as it is; a name that leads there is not.
	proxy := httptest.NewServer(tunnel{})
	t.Cleanup(proxy.Close)
	port := server.URL[strings.LastIndexByte(server.URL, ':'):]
	name := "example.com" + port + "/box:1"

	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		reach   imagestore.Registries
		wantErr string
	}{
		{name: "authority", reach: imagestore.Registries{Certificates: dir}},
		{name: "one file", reach: imagestore.Registries{Certificates: filepath.Join(dir, "ca.crt")}},
		{name: "insecure", reach: imagestore.Registries{Insecure: []string{"example.com" + port}}},
		{
			name: "neither", wantErr: `cannot pull "` + name + `": registry example.com` + port +
				" has a certificate that nobody here vouches for (ca_certs.trusted, or rancher.docker.insecure_registry): x509: certificate signed by unknown authority",
		},
		{name: "no authorities", reach: imagestore.Registries{Certificates: dir + "/none"}, wantErr: `cannot pull "` + name +
			`": registry example.com` + port + ": certificate authorities: open " + dir + "/none: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.reach = tt.reach
			r.reach.HTTPSProxy = proxy.URL
			_, err := r.Pull(t.Context(), name, nil)
			if text(err) != tt.wantErr {
				t.Errorf("Pull = %q, want %q", text(err), tt.wantErr)
			}
		})
	}
}

func TestFullName(t *testing.T) {
	for _, tt := range []struct{ name, domain, want, wantErr string }{
		{name: "alpine", want: "docker.io/library/alpine:latest"},
		{name: "rancher/os-console:v1", want: "docker.io/rancher/os-console:v1"},
		{name: "host:5000/x", want: "host:5000/x:latest"},
		{name: "alpine", domain: "reg:5000", want: "reg:5000/alpine:latest"},
		{name: "rancher/x:1", domain: "reg.example/team/", want: "reg.example/team/rancher/x:1"},
		{name: "quay.example/x/y:1", domain: "reg:5000", want: "quay.example/x/y:1"},
		{name: "alpine", domain: "docker.io", want: "docker.io/library/alpine:latest"},
		{
			name: "alpine:3@sha256:" + strings.Repeat("a", 64),
			want: "docker.io/library/alpine@sha256:" + strings.Repeat("a", 64),
		},
		{name: "", wantErr: `"" is not the name of an image: invalid reference format`},
		{name: "a b", wantErr: `"a b" is not the name of an image: invalid reference format`},
	} {
		got, err := imagestore.FullName(tt.name, tt.domain)
		if got != tt.want || text(err) != tt.wantErr {
			t.Errorf("FullName(%q, %q) = %q, %q, want %q, %q", tt.name, tt.domain, got, text(err), tt.want, tt.wantErr)
		}
	}
}
