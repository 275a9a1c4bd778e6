// Package repository reads OCI content from wherever it is kept: a registry,
// an OCI image layout as a directory, as a tar of it, or at a URL. All of them
// are one interface: manifests by tag or digest, and stretches of blobs.
//
// Manifests are checked against their digest here. Blobs are not, because
// callers read parts of them: whoever has read a whole one checks it. Nothing
// is written, and nothing is pushed. Copy goes on where a connection broke.
//
// What the content means is for the callers. Decision 14 says why no library
// for registries is used.
package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Descriptor names content: digest, size, media type.
type Descriptor = ocispec.Descriptor

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("there is no such thing")
	// ErrNoRanges is the answer of a server that gives out whole files only.
	ErrNoRanges = errors.New("the server cannot give out a part of a file")
)

// Repository is one place with OCI content.
type Repository interface {
	// Manifest returns a manifest or an index by tag or by digest. The empty tag
	// is the place's own choice: the only one of a layout, "latest" of a registry.
	Manifest(ctx context.Context, tag string) (Descriptor, []byte, error)
	// Blob reads length bytes of a blob from offset on; a negative length means to
	// its end. Fewer bytes may come than were asked for.
	Blob(ctx context.Context, d Descriptor, offset, length int64) (io.ReadCloser, error)
	io.Closer
}

// Options say how to reach a repository. The zero value is fine for most.
type Options struct {
	// Client makes the requests; nil: one with time limits for an unreliable network.
	Client *http.Client
	// Credentials returns the login for a registry; nil, or an empty name: none.
	Credentials func(host string) (name, password string)
	// PlainHTTP says which registries are spoken to without TLS, besides localhost.
	PlainHTTP func(host string) bool
	// Cache is a folder for what cannot be read in parts: a tar on a server without
	// ranges. "": such a tar is refused.
	Cache string
	// IdleTimeout ends a download from which nothing comes; 0: one minute.
	IdleTimeout time.Duration
}

// Open finds out what kind of place a reference means and opens it. The
// returned tag is what the reference says behind the place, perhaps nothing.
//
//	https://host/path/roster.tar[#TAG]     a tar of a layout
//	https://host/path[#TAG]                a layout
//	./path, /path, or what exists [#TAG]   a layout directory or a tar
//	host/name[:TAG][@DIGEST]               a registry, with Docker's short forms
func Open(ctx context.Context, ref string, o Options) (r Repository, tag string, err error) {
	r, tag, err = open(ctx, ref, o)
	if err != nil {
		return nil, "", fmt.Errorf("cannot open %q: %w", ref, err)
	}
	return r, tag, nil
}

func open(ctx context.Context, ref string, o Options) (Repository, string, error) {
	place, tag, _ := strings.Cut(ref, "#")
	if strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://") {
		base, err := url.Parse(place)
		if err != nil {
			return nil, "", err
		}
		r, err := openURL(ctx, base, o)
		return r, tag, err
	}
	if IsPath(place) {
		r, err := openPath(place)
		return r, tag, err
	}
	return openRegistry(ref, o)
}

// IsPath says whether a reference means a file or a folder of this machine.
func IsPath(place string) bool {
	for _, prefix := range []string{"/", "./", "../"} {
		if strings.HasPrefix(place, prefix) {
			return true
		}
	}
	if place == "." || place == ".." {
		return true
	}
	_, err := os.Stat(place)
	return err == nil
}

func openPath(path string) (Repository, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		f, err := openDir(path)
		if err != nil {
			return nil, err
		}
		return newLayout(f)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is neither a folder nor a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f, err := openTar(file, info.Size(), localSections{file})
	if err != nil {
		file.Close()
		return nil, err
	}
	return newLayout(f)
}

func openURL(ctx context.Context, base *url.URL, o Options) (Repository, error) {
	c := newClient(o)
	if !strings.HasSuffix(base.Path, ".tar") {
		return newLayout(urlFiles{c, base})
	}
	f, err := openTarURL(ctx, c, base, o)
	if err != nil {
		return nil, err
	}
	return newLayout(f)
}

// maxManifest is the largest manifest or index that is read, as registries
// have it too.
const maxManifest = 4 << 20

// readManifest reads a manifest and names it. want, if given, is the digest
// that it must have.
func readManifest(r io.Reader, want string) (Descriptor, []byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return Descriptor{}, nil, err
	}
	if len(text) > maxManifest {
		return Descriptor{}, nil, fmt.Errorf("the manifest has more than %d bytes", maxManifest)
	}
	d := Descriptor{MediaType: mediaType(text), Digest: digest.FromBytes(text), Size: int64(len(text))}
	if want != "" && d.Digest.String() != want {
		return Descriptor{}, nil, fmt.Errorf("the manifest is damaged: its digest is %s, want %s", d.Digest, want)
	}
	return d, text, nil
}
