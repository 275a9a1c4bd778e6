package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// stalled is how long a server may send nothing in the middle of an archive.
const stalled = time.Minute

// Archive is an image that a repository has, with its name there.
type Archive struct {
	Image
	Name string
	Repo string

	open func(ctx context.Context) (io.ReadCloser, int64, error)
}

// Archive looks for an image in the repositories: in the one that is named
// first, if any, and then in the others in their order. is says whether a name
// of an index means it. Nothing of an index that cannot be read is an error
// here: the image may be had elsewhere.
func (c *Catalog) Archive(ctx context.Context, first string, is func(name string, i Image) bool) (Archive, bool) {
	all := slices.Clone(c.Repositories)
	slices.SortStableFunc(all, func(a, b Repository) int {
		switch {
		case a.Name == first && b.Name != first:
			return -1
		case b.Name == first && a.Name != first:
			return 1
		}
		return 0
	})
	for _, r := range all {
		index, err := c.Index(ctx, r, false)
		if err != nil || index.Arch != "" && index.Arch != runtime.GOARCH {
			continue
		}
		for name, image := range index.Images {
			if is(name, image) {
				return Archive{Image: image, Name: name, Repo: r.Name, open: c.opener(r, image)}, true
			}
		}
	}
	return Archive{}, false
}

// Open reads the archive, size bytes, 0 when nobody knows. What comes is to be
// checked against Digest by who takes the image out of it.
func (a Archive) Open(ctx context.Context) (r io.ReadCloser, size int64, err error) {
	r, size, err = a.open(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot fetch image %q from repository %q: %w", a.Name, a.Repo, err)
	}
	return r, size, nil
}

// opener says how an image of a repository is read.
func (c *Catalog) opener(r Repository, image Image) func(context.Context) (io.ReadCloser, int64, error) {
	at := join(r.URL, image.File)
	return func(ctx context.Context) (io.ReadCloser, int64, error) {
		if ref, ok := artifact(r.URL); ok {
			return c.openImage(ctx, ref, image)
		}
		if file, ok := folder(at); ok {
			return openFile(file)
		}
		return c.openAddress(ctx, at)
	}
}

func openFile(path string) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (c *Catalog) openAddress(ctx context.Context, address string) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	alarm := time.AfterFunc(stalled, func() { cancel(errors.New("the server stopped sending")) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("%s answers %s", address, resp.Status)
	}
	if err != nil {
		alarm.Stop()
		cancel(nil)
		return nil, 0, err
	}
	return &download{ctx, resp.Body, alarm, cancel}, max(resp.ContentLength, 0), nil
}

// download is a body that does not come to a halt for ever.
type download struct {
	ctx    context.Context
	body   io.ReadCloser
	alarm  *time.Timer
	cancel context.CancelCauseFunc
}

func (d *download) Read(p []byte) (int, error) {
	d.alarm.Reset(stalled)
	n, err := d.body.Read(p)
	d.alarm.Stop() // what is done with it may take its time
	if cause := context.Cause(d.ctx); err != nil && !errors.Is(err, io.EOF) && cause != nil {
		err = cause
	}
	return n, err
}

func (d *download) Close() error {
	d.alarm.Stop()
	d.cancel(nil)
	return d.body.Close()
}

// inside says whether a path stays below the repository.
func inside(path string) bool {
	return filepath.IsLocal(path) && !strings.ContainsAny(path, "\\?#")
}
