package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// registry is a repository of a registry (distribution-spec, "Pull").
type registry struct {
	client
	base  *url.URL // ends in /v2/NAME
	login *login
}

func openRegistry(ref string, o Options) (Repository, string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, "", err
	}
	tag := ""
	if t, ok := named.(reference.Tagged); ok {
		tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		tag = d.Digest().String()
	}
	host := reference.Domain(named)
	c := newClient(o)
	l := &login{client: c.http, repository: reference.Path(named)}
	if o.Credentials != nil {
		l.name, l.password = o.Credentials(host)
	}
	base := &url.URL{Scheme: "https", Host: host, Path: "/v2/" + reference.Path(named)}
	if host == "docker.io" {
		base.Host = "registry-1." + host // the one domain that is not its registry
	}
	if local(host) || o.PlainHTTP != nil && o.PlainHTTP(host) {
		base.Scheme = "http"
	}
	return registry{c, base, l}, tag, nil
}

// local says whether a registry is one of this machine, which needs no TLS.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (r registry) Close() error { return nil }

func (r registry) Manifest(ctx context.Context, tag string) (Descriptor, []byte, error) {
	if tag == "" {
		tag = "latest"
	}
	req, err := http.NewRequest(http.MethodGet, r.base.JoinPath("manifests", tag).String(), nil)
	if err != nil {
		return Descriptor{}, nil, err
	}
	req.Header.Set("Accept", ocispec.MediaTypeImageIndex+", "+ocispec.MediaTypeImageManifest)
	body, err := r.stretch(ctx, req, 0, -1, r.login.do)
	if errors.Is(err, ErrNotFound) {
		return Descriptor{}, nil, fmt.Errorf("%s:%s: %w", strings.TrimPrefix(r.base.Path, "/v2/"), tag, ErrNotFound)
	}
	if err != nil {
		return Descriptor{}, nil, err
	}
	defer body.Close()
	want := ""
	if _, err := digest.Parse(tag); err == nil {
		want = tag
	}
	return readManifest(body, want)
}

func (r registry) Blob(ctx context.Context, d Descriptor, offset, length int64) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	req, err := http.NewRequest(http.MethodGet, r.base.JoinPath("blobs", d.Digest.String()).String(), nil)
	if err != nil {
		return nil, err
	}
	return r.stretch(ctx, req, offset, length, r.login.do)
}
