package repository

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"
)

// sections read stretches of one file, near or far.
type sections interface {
	section(ctx context.Context, offset, length int64) (io.ReadCloser, error)
	io.Closer
}

// tarFiles is a layout in a tar. Its table of contents is read once; a file of
// it is a stretch of the tar.
type tarFiles struct {
	sections
	entries map[string]entry
}

type entry struct{ offset, size int64 }

// maxEntries bounds what a tar may make us remember. A release has about 20.
const maxEntries = 10_000

// openTar reads the table of contents of a tar of the given size.
func openTar(r io.ReaderAt, size int64, s sections) (files, error) {
	f := tarFiles{s, map[string]entry{}}
	in := io.NewSectionReader(r, 0, size)
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is no whole tar: %w", err)
		}
		if len(f.entries) >= maxEntries {
			return nil, fmt.Errorf("it is a tar of more than %d files", maxEntries)
		}
		// A sparse file's bytes do not stand in the tar as they are.
		if h.Typeflag != tar.TypeReg || h.Size < 0 || isSparse(h) {
			continue
		}
		offset, err := in.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if h.Size > size-offset {
			return nil, fmt.Errorf("it is no whole tar: %s ends behind its end", h.Name)
		}
		f.entries[path.Clean(strings.TrimPrefix(h.Name, "./"))] = entry{offset, h.Size}
	}
}

func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return true
		}
	}
	return false
}

func (t tarFiles) open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	e, ok := t.entries[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if offset > e.size {
		offset = e.size
	}
	if rest := e.size - offset; length < 0 || length > rest {
		length = rest
	}
	return t.section(ctx, e.offset+offset, length)
}

// localSections are those of a file of this machine.
type localSections struct{ *os.File }

func (l localSections) section(_ context.Context, offset, length int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(l.File, offset, length)), nil
}

// urlSections are those of a file on a server.
type urlSections struct {
	client
	url *url.URL
}

func (u urlSections) Close() error { return nil }

func (u urlSections) section(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if length == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return u.get(ctx, u.url.String(), offset, length)
}

// openTarURL opens a tar on a server. From one that gives out parts of files
// only the table of contents is read now; from another one the tar is
// downloaded.
func openTarURL(ctx context.Context, c client, at *url.URL, o Options) (files, error) {
	s := urlSections{c, at}
	size, err := c.size(ctx, at.String())
	if errors.Is(err, ErrNoRanges) {
		return downloadTar(ctx, c, at, o)
	}
	if err != nil {
		return nil, err
	}
	return openTar(&window{ctx: ctx, s: s, size: size}, size, s)
}

func downloadTar(ctx context.Context, c client, at *url.URL, o Options) (files, error) {
	if o.Cache == "" {
		return nil, fmt.Errorf("%w: copy the tar to this machine", ErrNoRanges)
	}
	file, err := os.CreateTemp(o.Cache, "release-*.tar")
	if err != nil {
		return nil, err
	}
	// Without a name it goes with the last one who has it open, even after a crash.
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	size, err := c.save(ctx, at.String(), file)
	if err == nil {
		var f files
		if f, err = openTar(file, size, localSections{file}); err == nil {
			return f, nil
		}
	}
	file.Close()
	return nil, err
}

func (c client) save(ctx context.Context, at string, w io.Writer) (int64, error) {
	r, err := c.get(ctx, at, 0, -1)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(w, r)
}

// window reads a far file in stretches larger than the headers of a tar: one
// request for each file in it instead of several.
type window struct {
	ctx    context.Context // of the one call of openTar
	s      sections
	size   int64
	offset int64
	have   []byte
}

const windowSize = 16 << 10

func (w *window) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		at := offset + int64(done)
		if at >= w.size {
			return done, io.EOF
		}
		if at < w.offset || at >= w.offset+int64(len(w.have)) {
			if err := w.load(at); err != nil {
				return done, err
			}
		}
		done += copy(p[done:], w.have[at-w.offset:])
	}
	return done, nil
}

func (w *window) load(at int64) error {
	r, err := w.s.section(w.ctx, at, min(windowSize, w.size-at))
	if err != nil {
		return err
	}
	defer r.Close()
	have, err := io.ReadAll(r)
	if err == nil && len(have) == 0 {
		err = io.ErrUnexpectedEOF
	}
	w.offset, w.have = at, have
	return err
}
