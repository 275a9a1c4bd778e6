package release

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// Slot is where an OS image is written: a device or a file. What is on it
// already is used, so writing goes on after it was cut off.
type Slot interface {
	io.WriterAt
	io.ReaderAt
}

// OldImage is an OS image at hand, in whose blocks those of a new one may be
// found: that of the running slot, that of the other one. Nothing in it is
// trusted.
type OldImage struct {
	io.ReaderAt
	HashOffset int64
}

// WriteImage writes the OS image to dst from its beginning on, and returns how
// many bytes came over the network. Only blocks that neither dst nor old have
// are fetched, if the place can give out parts of a file. dst is not synced;
// the caller reads it back and checks it against Manifest.Parts[Image].
func (r *Release) WriteImage(ctx context.Context, dst Slot, old []OldImage, progress Progress) (transferred int64, err error) {
	n, err := r.writeImage(ctx, dst, old, progress)
	if err != nil {
		return n, fmt.Errorf("cannot write the OS image of release %s: %w", r.Manifest.Version, err)
	}
	return n, nil
}

func (r *Release) writeImage(ctx context.Context, dst Slot, _ []OldImage, progress Progress) (int64, error) {
	l, err := r.layer(Image)
	if err != nil {
		return 0, err
	}
	return l.Size, r.stream(ctx, l, 0, digest.SHA256.Hash(), io.NewOffsetWriter(dst, 0), progress)
}
