package release

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/delta"
	"github.com/rosteros/ros/internal/repository"
)

// Slot is where an OS image is written: a device or a file. What is on it
// already is used, so writing goes on after it was cut off.
type Slot = delta.Slot

// OldImage is an OS image at hand, in whose blocks those of a new one may be
// found: that of the running slot, that of the other one. Nothing in it is
// trusted.
type OldImage = delta.Image

// WriteImage writes the OS image to dst from its beginning on. Blocks that dst
// or old have are not fetched, if the place can give out parts of a file.
// progress is told how much of the image is in place. dst is not synced; the
// caller reads it back and checks it against Manifest.Parts[Image].
func (r *Release) WriteImage(ctx context.Context, dst Slot, old []OldImage, progress Progress) error {
	if err := r.writeImage(ctx, dst, old, progress); err != nil {
		return fmt.Errorf("cannot write the OS image of release %s: %w", r.Manifest.Version, err)
	}
	return nil
}

func (r *Release) writeImage(ctx context.Context, dst Slot, old []OldImage, progress Progress) error {
	l, err := r.layer(Image)
	if err != nil {
		return err
	}
	target := delta.Target{Size: r.Manifest.Parts[Image].Size, HashOffset: r.Manifest.HashOffset, RootHash: r.Manifest.RootHash}
	index := delta.Stored(target)
	if l.MediaType == mediaTypePacked {
		if index, err = r.index(ctx); err != nil {
			return err
		}
	}
	fetch := func(ctx context.Context, w io.Writer, offset, length int64) error {
		_, err := repository.Copy(ctx, w, r.place, l, offset, length, r.retry)
		if errors.Is(err, repository.ErrNoRanges) {
			return noRanges{err}
		}
		return err
	}
	return repository.Again(ctx, r.retry, func() error {
		_, err := delta.Write(ctx, target, index, fetch, dst, old, progress)
		if l.MediaType != mediaTypePacked && errors.Is(err, delta.ErrNoRanges) {
			// As a whole it needs no index: it is the image as it is.
			return r.stream(ctx, l, 0, digest.SHA256.Hash(), io.NewOffsetWriter(dst, 0), progress)
		}
		return err
	})
}

// noRanges is what package delta has to hear, in the words of the place.
type noRanges struct{ error }

func (noRanges) Is(target error) bool { return target == delta.ErrNoRanges }
func (n noRanges) Unwrap() error      { return n.error }

// index reads the index of a packed image.
func (r *Release) index(ctx context.Context) (delta.Index, error) {
	l, err := r.layer(imageIndex)
	if err != nil {
		return delta.Index{}, fmt.Errorf("the index of the packed image: %w", err)
	}
	text, err := small(ctx, r.place, l, r.retry)
	if err != nil {
		return delta.Index{}, fmt.Errorf("the index of the packed image: %w", err)
	}
	return delta.ParseIndex(text)
}
