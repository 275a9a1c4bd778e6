package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// openSource opens a release to install; done lets go of it.
type openSource func(context.Context) (s install.Source, done func(), err error)

// runningSource is the release that runs: from its medium or from its slot.
func runningSource(kernel cmdline.Line, medium string) openSource {
	return func(ctx context.Context) (s install.Source, done func(), err error) {
		slot := slots.FromCmdline(kernel).Slot
		if slot == "" {
			s, done, err = mediumSource(medium)
		} else {
			s, done, err = slotSource(ctx, kernel, slot)
		}
		if err != nil {
			return s, nil, fmt.Errorf("cannot install what runs: %w", err)
		}
		if hash, _ := kernel.Value("ros.roothash"); hash != s.Manifest.RootHash {
			done()
			return s, nil, fmt.Errorf("cannot install what runs: release %s is in its place, which is another", s.Manifest.Version)
		}
		return s, done, nil
	}
}

// mediumSource is the release on the live medium. Who started the medium trusts
// it; its parts are checked all the same.
func mediumSource(medium string) (install.Source, func(), error) {
	r, err := release.OpenMedium(medium, release.Options{AllowUnsigned: true})
	if err != nil {
		return install.Source{}, nil, err
	}
	return install.Source{Manifest: r.Manifest, Bundle: r.Bundle, Part: r.Part}, func() { r.Close() }, nil
}

// slotSource is the release in the slot that runs.
func slotSource(ctx context.Context, kernel cmdline.Line, slot slots.Slot) (s install.Source, done func(), err error) {
	image, _ := kernel.Value("ros.image")
	host := blockdev.Local()
	device, err := host.Find(image)
	if err != nil {
		return s, nil, err
	}
	esp, _, err := bootloader.OpenESP(ctx, host, image)
	if err != nil {
		return s, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, esp.Close())
		}
	}()
	entry, err := esp.ReadSlot(slot)
	if err != nil {
		return s, nil, err
	}
	s.Bundle = release.Bundle{Release: entry.Release, Signature: entry.Signature}
	if s.Manifest, err = release.ParseManifest(entry.Release); err != nil {
		return s, nil, err
	}
	files := map[string]bootloader.File{
		release.Kernel: entry.Kernel, release.Initrd: entry.Initrd,
		release.Image: {Size: s.Manifest.Parts[release.Image].Size, Open: func() (io.ReadCloser, error) { return os.Open(device.Path) }},
	}
	s.Part = func(ctx context.Context, name string, w io.Writer, progress release.Progress) error {
		return copyPart(ctx, files[name], s.Manifest.Parts[name], w, progress)
	}
	return s, func() { _ = esp.Close() }, nil
}

// copyPart copies what a slot has of a part, and checks it.
func copyPart(ctx context.Context, file bootloader.File, part release.Part, w io.Writer, progress release.Progress) error {
	r, err := file.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	sum := digest.SHA256.Hash()
	out := io.MultiWriter(w, sum)
	chunk := make([]byte, 1<<20)
	for done := int64(0); done < part.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, chunk[:min(int64(len(chunk)), part.Size-done)])
		if err != nil {
			return fmt.Errorf("%s: %w", part.File, err)
		}
		if _, err := out.Write(chunk[:n]); err != nil {
			return err
		}
		done += int64(n)
		if progress != nil {
			progress(done, part.Size)
		}
	}
	if got := digest.NewDigest(digest.SHA256, sum); got != part.Digest {
		return fmt.Errorf("%s is damaged: its digest is %s, want %s", part.File, got, part.Digest)
	}
	return nil
}
