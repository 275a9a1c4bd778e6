package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/repository"
)

// Files of a release on the live medium, from its top folder on.
const (
	MediumManifest  = "roster/release.json"
	MediumSignature = "roster/release.sig"
)

// mediumPaths are where the medium has the parts; it carries no list of what
// is inside.
var mediumPaths = map[string]string{Kernel: "boot/vmlinuz", Initrd: "boot/initrd.img", Image: "roster/os.img"}

// medium gives out the parts of a release from a mounted ISO. They are not
// packed there.
type medium struct {
	root  *os.Root
	paths map[digest.Digest]string
}

// OpenMedium opens the release on a mounted live ISO (or stick). Open does so
// too when it is given such a folder.
func OpenMedium(dir string, o Options) (*Release, error) {
	r, err := openMedium(dir, o)
	if err != nil {
		return nil, fmt.Errorf("cannot open the release on %q: %w", dir, err)
	}
	return r, nil
}

func openMedium(dir string, o Options) (*Release, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	r, err := readMedium(root, o)
	if err != nil {
		root.Close()
		return nil, err
	}
	return r, nil
}

func readMedium(root *os.Root, o Options) (*Release, error) {
	var b Bundle
	var err error
	if b.Release, err = root.ReadFile(MediumManifest); err != nil {
		return nil, err
	}
	if b.Signature, err = root.ReadFile(MediumSignature); err != nil {
		return nil, err
	}
	r, err := newRelease(b, o)
	if err != nil {
		return nil, err
	}
	m := medium{root, map[digest.Digest]string{}}
	r.Checked.layers = nil
	for name, file := range mediumPaths {
		part := r.Manifest.Parts[name]
		m.paths[part.Digest] = file
		r.Checked.layers = append(r.Checked.layers, rawLayer(name, part))
	}
	r.place = counted{m, new(int64)}
	return r, nil
}

func isMedium(dir string) bool {
	info, err := os.Stat(path.Join(dir, MediumManifest))
	return err == nil && info.Mode().IsRegular()
}

func (m medium) Manifest(context.Context, string) (repository.Descriptor, []byte, error) {
	return repository.Descriptor{}, nil, errors.New("internal error: a medium has no OCI manifests")
}

func (m medium) Blob(_ context.Context, d repository.Descriptor, offset, length int64) (io.ReadCloser, error) {
	name, ok := m.paths[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, repository.ErrNotFound)
	}
	f, err := m.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, repository.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	size := length
	if size < 0 {
		size = d.Size - offset
	}
	return section{io.NewSectionReader(f, offset, size), f}, nil
}

func (m medium) Close() error { return m.root.Close() }

type section struct {
	io.Reader
	io.Closer
}
