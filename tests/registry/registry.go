// Package registry is a small registry of images for tests: it serves what it
// was given over the distribution API, /v2, read-only, with ranges, and with a
// login or a fault where a test asks for one.
//
// It runs in the process of the test. A virtual machine reaches it at the
// address of its gateway.
package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry is an http.Handler. The fields may be set while nobody asks.
type Registry struct {
	User, Password string // Basic, or Bearer when Token is set; "": nobody needs a login
	Token          bool   // logins are exchanged for a token at /token

	// Fault, if not nil, may answer a request in the registry's place; true
	// says that it has.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	mu    sync.Mutex
	blobs map[digest.Digest]blob
	tags  map[string]digest.Digest // "library/box:1"
	asked []string
}

type blob struct {
	mediaType string
	text      []byte
}

// token is what a login is exchanged for.
const token = "letmein"

// Asked are the requests so far, "GET /v2/x/blobs/sha256:…", with the range
// behind it if there was one.
func (g *Registry) Asked() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.asked...)
}

// Put adds a piece of content.
func (g *Registry) Put(mediaType string, text []byte) ocispec.Descriptor {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blobs == nil {
		g.blobs, g.tags = map[digest.Digest]blob{}, map[string]digest.Digest{}
	}
	d := digest.FromBytes(text)
	g.blobs[d] = blob{mediaType, text}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(text))}
}

// PutJSON adds a document.
func (g *Registry) PutJSON(mediaType string, v any) ocispec.Descriptor {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of a test's own value
	}
	return g.Put(mediaType, text)
}

// Tag lets a name, "library/box:1", stand for a manifest or an index.
func (g *Registry) Tag(name string, d ocispec.Descriptor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tags[name] = d.Digest
}

func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.asked = append(g.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	g.mu.Unlock()
	switch {
	case g.Fault != nil && g.Fault(w, r):
	case r.URL.Path == "/token":
		g.token(w, r)
	case !g.allowed(w, r):
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED")
	case r.URL.Path == "/v2/":
	default:
		g.content(w, r)
	}
}

func (g *Registry) token(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != g.User || password != g.Password {
		refuse(w, http.StatusUnauthorized, "DENIED")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
}

// allowed asks for a login where one is needed.
func (g *Registry) allowed(w http.ResponseWriter, r *http.Request) bool {
	user, password, _ := r.BasicAuth()
	switch {
	case g.User == "",
		!g.Token && user == g.User && password == g.Password,
		g.Token && r.Header.Get("Authorization") == "Bearer "+token:
		return true
	case g.Token:
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host))
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	}
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
	return false
}

// content answers /v2/NAME/manifests/REFERENCE and /v2/NAME/blobs/DIGEST.
func (g *Registry) content(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	name, reference, isBlob := strings.Cut(path, "/blobs/")
	if !isBlob {
		name, reference, _ = strings.Cut(path, "/manifests/")
	}
	g.mu.Lock()
	d := digest.Digest(reference)
	if tagged, ok := g.tags[name+":"+reference]; ok && !isBlob {
		d = tagged
	}
	b, ok := g.blobs[d]
	g.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
		return
	}
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Content-Type", b.mediaType)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.text))
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": strings.ToLower(code)}}})
}
