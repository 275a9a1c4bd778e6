package imagestore

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	baked "github.com/rosteros/ros/internal/images"
)

// patience is how long a registry may send nothing in the middle of a layer.
const patience = time.Minute

var errStalled = errors.New("the registry stopped sending")

// watched is a Fetcher that tells how far it is, and gives up on a registry
// that sends nothing any more.
type watched struct {
	from     remotes.Fetcher
	progress *progress
	stalled  func()
}

func (w *watched) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	body, err := w.from.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	return &watchedBody{ReadCloser: body, of: w, layer: d, alarm: time.AfterFunc(patience, w.stalled)}, nil
}

// watchedBody is one body. It can seek if the one below can, which is how a
// download goes on in the middle.
type watchedBody struct {
	io.ReadCloser
	of    *watched
	layer ocispec.Descriptor
	at    int64
	alarm *time.Timer
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.at += int64(n)
	if n > 0 {
		b.alarm.Reset(patience)
	}
	if images.IsLayerType(b.layer.MediaType) {
		b.of.progress.bytes(Event{
			Layer: short(b.layer.Digest.String()), Status: baked.Downloading, Current: b.at, Total: b.layer.Size,
		})
	}
	return n, err
}

func (b *watchedBody) Seek(offset int64, whence int) (int64, error) {
	seeker, ok := b.ReadCloser.(io.Seeker)
	if !ok {
		return 0, errors.New("the registry cannot go on in the middle of a layer")
	}
	at, err := seeker.Seek(offset, whence)
	b.at = at
	return at, err
}

func (b *watchedBody) Close() error {
	b.alarm.Stop()
	return b.ReadCloser.Close()
}
