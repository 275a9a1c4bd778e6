package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/fetch"
	"github.com/rosteros/ros/internal/yamldoc"
)

const (
	fetchBound = 30 * time.Second
	maxIndex   = yamldoc.MaxSize
)

// get reads what is at an address.
func (c *Catalog) get(ctx context.Context, address string) ([]byte, error) {
	if c.Fetch != nil {
		return c.Fetch(ctx, address)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchBound)
	defer cancel()
	return fetch.Text(ctx, address, c.Client)
}

// IsAddress says whether what an operator gave is an address.
func IsAddress(what string) bool {
	return strings.HasPrefix(what, "http://") || strings.HasPrefix(what, "https://")
}

// Open finds the service file that an operator means: by its address, by its
// path, or by its name in a repository.
func (c *Catalog) Open(ctx context.Context, what string, refresh bool) (File, error) {
	return c.OpenKind(ctx, Services, what, refresh)
}

// OpenKind is Open of a name that stands for something else than services.
func (c *Catalog) OpenKind(ctx context.Context, kind Kind, what string, refresh bool) (File, error) {
	switch {
	case IsAddress(what):
		text, err := c.get(ctx, what)
		if err != nil {
			return File{}, fmt.Errorf("cannot fetch the service file: %w", err)
		}
		u, _ := url.Parse(what)
		return File{Name: base(u.Path), Origin: what, Text: text}, nil
	case filepath.IsAbs(what):
		text, err := yamldoc.Read(what)
		if err != nil {
			return File{}, fmt.Errorf("cannot read %s: %w", what, err)
		}
		return File{Name: base(what), Origin: what, Text: text, Dir: filepath.Dir(what)}, nil
	case strings.ContainsRune(what, '/'):
		return File{}, fmt.Errorf("%q is no name, no address and no path that begins with /", what)
	case !plainName(what):
		return File{}, errors.New("the name is missing")
	}
	return c.Find(ctx, kind, what, refresh)
}

// base is the name of a file without its ending.
func base(file string) string {
	name := path.Base(file)
	return strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml")
}

// folder is the folder of the machine that a repository is, if it is one.
func folder(address string) (string, bool) {
	dir := strings.TrimPrefix(address, "file://")
	if !filepath.IsAbs(dir) {
		return "", false
	}
	return filepath.Clean(dir), true
}

func join(address, path string) string {
	if dir, ok := folder(address); ok {
		return filepath.Join(dir, path)
	}
	return strings.TrimSuffix(address, "/") + "/" + path
}
