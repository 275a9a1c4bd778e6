// Package catalog finds service files by name, address or path, and keeps those
// that an operator has enabled.
//
// A repository is what RancherOS called one: a folder, on the machine or behind
// an address, with an index.yml ({services: [], consoles: [], engines: []}) and
// a file <first letter>/<name>.yml for each name in it. Ours also may have the
// digests of these files in the index and a signature over the index beside it
// (index.yml.sig, by the keys of the releases or one that the config names), and
// the images that its files name, as archives. It may also be an OCI artifact,
// in a registry or in a layout.
//
// What was fetched is cached and used without a network until somebody
// refreshes it. It owns no services: what a file means is for package compose
// and package project, and rosd decides what runs.
package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/repository"
	"github.com/rosteros/ros/internal/signature"
	"github.com/rosteros/ros/internal/yamldoc"
)

// Kind is what a name in an index stands for.
type Kind string

// The kinds.
const (
	Services Kind = "services"
	Consoles Kind = "consoles"
	Engines  Kind = "engines"
)

// Repository is one place with service files.
type Repository struct {
	Name string
	URL  string // http, https, file, oci, or a folder of the machine

	// Signed wants a signature over the index by one of the keys. Without it
	// one that is there is checked all the same.
	Signed bool
	Keys   []signature.PublicKey
}

// Index is the index.yml of a repository.
type Index struct {
	Services []string `yaml:"services" json:"services,omitempty"`
	Consoles []string `yaml:"consoles" json:"consoles,omitempty"`
	Engines  []string `yaml:"engines" json:"engines,omitempty"`

	// SHA256 are the digests of the files, in hex, by their path below the
	// repository: "n/nfs.yml".
	SHA256 map[string]string `yaml:"sha256,omitempty" json:"sha256,omitempty"`

	// Images are those that the repository has itself, by the names that its
	// files give them, for machines of one architecture.
	Images map[string]Image `yaml:"images,omitempty" json:"images,omitempty"`
	Arch   string           `yaml:"arch,omitempty" json:"arch,omitempty"`

	SignedBy string `yaml:"-" json:"signed_by,omitempty"` // name of the key; "": nobody
}

// Image is an image that a repository has.
type Image struct {
	File   string `yaml:"file" json:"file"`     // an archive, by its path below the repository
	Digest string `yaml:"digest" json:"digest"` // of the image's manifest in it
	Size   int64  `yaml:"size,omitempty" json:"size,omitempty"`
}

// Names are those of one kind.
func (i Index) Names(kind Kind) []string {
	switch kind {
	case Consoles:
		return i.Consoles
	case Engines:
		return i.Engines
	default:
		return i.Services
	}
}

// File is a service file that was found.
type File struct {
	Name   string // of the service in its catalog, or of the file
	Origin string // address or path of it
	Text   []byte
	Dir    string // where it lies, if that is on the machine: files beside it can be named
	Repo   string // the repository; "": none
}

// Catalog is the repositories of a machine.
type Catalog struct {
	Cache        string // folder
	Repositories []Repository
	Client       *http.Client                                              // nil: http.DefaultClient
	Fetch        func(ctx context.Context, address string) ([]byte, error) // nil: by Client

	// OCI opens what stands behind oci://; nil: repository.Open without a login.
	OCI func(ctx context.Context, ref string) (r repository.Repository, tag string, err error)
}

// NotFoundError says that no repository has a name.
type NotFoundError struct {
	Kind  Kind
	Name  string
	Known []string
}

func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("no catalog has %q", e.Name)
	if near := yamldoc.Nearest(e.Name, e.Known); near != "" {
		return text + fmt.Sprintf(" (did you mean %q?)", near)
	}
	if len(e.Known) == 0 {
		return text + ": there are no catalogs, or none can be reached"
	}
	return text + "; there are: " + strings.Join(e.Known, ", ")
}

// Find looks for a name in the repositories, in their order. With refresh it
// asks the repositories themselves; else what is cached will do.
func (c *Catalog) Find(ctx context.Context, kind Kind, name string, refresh bool) (File, error) {
	missing := &NotFoundError{Kind: kind, Name: name}
	var errs []error
	for _, r := range c.Repositories {
		index, err := c.Index(ctx, r, refresh)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !slices.Contains(index.Names(kind), name) {
			missing.Known = append(missing.Known, index.Names(kind)...)
			continue
		}
		return c.file(ctx, r, index, name, refresh)
	}
	if len(errs) > 0 {
		return File{}, errors.Join(errs...)
	}
	return File{}, missing
}

// Index is the index of a repository.
func (c *Catalog) Index(ctx context.Context, r Repository, refresh bool) (Index, error) {
	index, err := c.index(ctx, r, refresh)
	if err != nil {
		return Index{}, fmt.Errorf("cannot use repository %q: %w", r.Name, err)
	}
	return index, nil
}

func (c *Catalog) index(ctx context.Context, r Repository, refresh bool) (Index, error) {
	text, fresh, err := c.read(ctx, r, "index.yml", refresh)
	if err != nil {
		return Index{}, err
	}
	signed, err := c.signature(ctx, r, fresh)
	switch {
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist) && r.Signed:
		return Index{}, err
	case r.Signed:
		return Index{}, errors.New("its index is not signed, and has to be")
	}
	var index Index
	if err := yaml.Unmarshal(text, &index); err != nil {
		return Index{}, fmt.Errorf("index.yml: %w", err)
	}
	if index.SignedBy, err = check(text, signed, r.Keys); err != nil && (r.Signed || len(r.Keys) > 0 && len(signed) > 0) {
		return Index{}, fmt.Errorf("index.yml: %w", err)
	}
	for _, name := range slices.Concat(index.Services, index.Consoles, index.Engines) {
		if !plainName(name) {
			return Index{}, fmt.Errorf("index.yml: %q cannot be a name", name)
		}
		if _, ok := index.SHA256[Place(name)]; !ok && r.Signed {
			return Index{}, fmt.Errorf("index.yml has no digest of %s", Place(name))
		}
	}
	for name, image := range index.Images {
		if !inside(image.File) || digest.Digest(image.Digest).Validate() != nil {
			return Index{}, fmt.Errorf("index.yml: image %s has no file of the repository, or no digest", name)
		}
	}
	return index, nil
}

// signature reads what is signed about an index; fs.ErrNotExist: nobody has. That
// nobody has is kept too, as an empty file, or a repository whose index is here
// would be asked again and again. One that has to be signed is asked all the same.
func (c *Catalog) signature(ctx context.Context, r Repository, refresh bool) ([]byte, error) {
	const path = "index.yml.sig"
	text, fresh, err := c.read(ctx, r, path, refresh)
	if err == nil && len(text) == 0 && !fresh && r.Signed {
		text, _, err = c.read(ctx, r, path, true)
	}
	_, local := folder(r.URL)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !local:
		c.keep(r, path, nil)
	case err == nil && len(text) == 0:
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return text, err
}

// check returns the name of the key that has signed the index.
func check(text, signed []byte, keys []signature.PublicKey) (string, error) {
	if len(signed) == 0 {
		return "", nil
	}
	var list []signature.Signature
	if err := json.Unmarshal(signed, &list); err != nil {
		return "", fmt.Errorf("its signature: %w", err)
	}
	return signature.Check("sha256:"+sum(text), list, keys)
}

// Sign is the text of index.yml.sig.
func Sign(index []byte, key signature.PrivateKey) ([]byte, error) {
	s, err := key.Sign("index.yml", "sha256:"+sum(index))
	if err != nil {
		return nil, err
	}
	return json.Marshal([]signature.Signature{s})
}

// file reads the file of a name that an index has.
func (c *Catalog) file(ctx context.Context, r Repository, index Index, name string, refresh bool) (File, error) {
	path := Place(name)
	want := index.SHA256[path]
	text, fresh, err := c.read(ctx, r, path, refresh)
	if err == nil && want != "" && want != sum(text) && !fresh { // the index is newer than the cache
		text, _, err = c.read(ctx, r, path, true)
	}
	if err != nil {
		return File{}, fmt.Errorf("cannot fetch %q from repository %q: %w", name, r.Name, err)
	}
	if want != "" && want != sum(text) {
		return File{}, fmt.Errorf("cannot use %q of repository %q: it is not the file that the index names", name, r.Name)
	}
	f := File{Name: name, Origin: join(r.URL, path), Text: text, Repo: r.Name}
	if dir, ok := folder(r.URL); ok {
		f.Dir = filepath.Join(dir, filepath.Dir(path))
	}
	return f, nil
}

// read reads a file of a repository: a folder directly, anything else through
// the cache. fresh says that it comes from the repository itself.
func (c *Catalog) read(ctx context.Context, r Repository, path string, refresh bool) (text []byte, fresh bool, err error) {
	if dir, ok := folder(r.URL); ok {
		text, err := os.ReadFile(filepath.Join(dir, path))
		return text, true, err
	}
	cached := c.cached(r, path)
	if !refresh {
		if text, err := os.ReadFile(cached); err == nil {
			return text, false, nil
		}
	}
	if ref, ok := artifact(r.URL); ok {
		text, err = c.readArtifact(ctx, ref, path)
	} else {
		text, err = c.get(ctx, join(r.URL, path))
	}
	if errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(cached) // it was taken away there
	}
	if err != nil {
		return nil, true, err
	}
	c.keep(r, path, text)
	return text, true, err
}

// cached is where a file of a repository is kept.
func (c *Catalog) cached(r Repository, path string) string {
	return filepath.Join(c.Cache, r.Name+"-"+sum([]byte(r.URL))[:8], path)
}

// keep makes a copy of a file of a repository.
func (c *Catalog) keep(r Repository, path string, text []byte) {
	cached := c.cached(r, path)
	if os.MkdirAll(filepath.Dir(cached), 0o755) == nil {
		_ = atomicfile.WriteFile(cached, text, 0o644) // without a copy it is fetched again
	}
}

// Place is where a repository has the file of a name.
func Place(name string) string { return name[:1] + "/" + name + ".yml" }

func plainName(name string) bool {
	return name != "" && name[0] != '.' && !strings.ContainsAny(name, "/\\ \t\r\n\x00")
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}
