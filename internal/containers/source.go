package containers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/supervise"
)

// Store has images that somebody has pulled or loaded: an *imagestore.Store.
type Store interface {
	Get(ctx context.Context, name string) (imagestore.Image, error)
	View(ctx context.Context, container string, image imagestore.Image) (imagestore.Files, error)
}

// ours begins the names of images that are never anywhere else than in the OS
// image.
const ours = "ros/"

// source is the image of a container.
type source struct {
	images.Image
	stored imagestore.Image // where the store has it; else zero
	below  []string         // layers of the baked image that lies below it, lowest first
	files  imagestore.Files // known after open
}

// find looks for the image of a service in the OS image, then in the store. It
// asks no registry: a boot must not wait for a network.
func (r *Runtime) find(ctx context.Context, svc compose.Service) (source, error) {
	baked, err := r.images.Find(svc.Image)
	if err == nil || r.opts.Store == nil || strings.HasPrefix(svc.Image, ours) {
		return source{Image: baked}, supervise.Permanent(err)
	}
	stored, err := r.opts.Store.Get(ctx, svc.Image)
	var missing *imagestore.MissingError
	switch {
	case err == nil && svc.Over != "":
		below, err := r.images.Find(svc.Over)
		return source{Image: stored.Baked(), stored: stored, below: below.Layers}, supervise.Permanent(err)
	case err == nil:
		return source{Image: stored.Baked(), stored: stored}, nil
	case !errors.As(err, &missing):
		return source{}, err
	case r.opts.Arriving != nil && r.opts.Arriving():
		return source{}, supervise.NotYet(errors.New("its image, while images are being loaded"))
	}
	return source{}, supervise.Permanent(fmt.Errorf("%w; it is not fetched by itself: %s", err, supervise.PullAdvice(svc.Name)))
}

// open finds out where the files of the image are and keeps them there.
func (r *Runtime) open(ctx context.Context, container string, src *source) error {
	if src.stored.ID != "" {
		files, err := r.opts.Store.View(ctx, container, src.stored)
		src.files = files
		for _, l := range slices.Backward(src.below) {
			src.files.Lower = append(src.files.Lower, filepath.Join(r.opts.LayersDir, l))
		}
		return err
	}
	for _, l := range slices.Backward(src.Layers) {
		src.files.Lower = append(src.files.Lower, filepath.Join(r.opts.LayersDir, l))
	}
	return nil
}

// readFile reads a file as a container of the image would see it: the topmost
// layer that has it wins. A link out of the layer is not followed.
func (s source) readFile(path string) ([]byte, error) {
	for _, layer := range s.files.Lower {
		b, err := readInRoot(layer, path)
		// A layer says with a character device that it takes a file away.
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

func readInRoot(dir, path string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(path)
}
