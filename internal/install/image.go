package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/release"
)

// syncEvery is how much is written between two waits for the disk: without them
// progress would run ahead into memory and then stand still.
const syncEvery = 32 * mib

// writeImage copies the OS image to its slot.
func (j Job) writeImage(ctx context.Context, disk *Disk, slot Extent) error {
	w := &diskWriter{ctx: ctx, disk: disk, at: slot.Start, end: slot.End()}
	err := j.Source.Part(ctx, release.Image, w, func(done, total int64) { j.Events.Progress(stepImage, done, total) })
	if err != nil {
		return fmt.Errorf("write the OS image: %w", err)
	}
	return disk.file.Sync()
}

// diskWriter writes one byte behind the other, and not beyond end.
type diskWriter struct {
	ctx      context.Context
	disk     *Disk
	at, end  int64
	unsynced int64
}

func (w *diskWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if w.at+int64(len(p)) > w.end {
		return 0, errors.New("it is larger than its place")
	}
	n, err := w.disk.WriteAt(p, w.at)
	w.at += int64(n)
	w.unsynced += int64(n)
	if err == nil && w.unsynced >= syncEvery {
		w.unsynced = 0
		err = w.disk.file.Sync()
	}
	return n, err
}

// readBack compares what is on the disk with what the release says, and the
// files of the EFI system partition with what was written.
func (j Job) readBack(ctx context.Context, disk *Disk, slot, esp Extent, tree map[string]bootloader.File) error {
	part := j.Source.Manifest.Parts[release.Image]
	total := part.Size
	for _, file := range tree {
		total += file.Size
	}
	meter := &meter{ctx: ctx, total: total, events: j.Events}
	sum := digest.SHA256.Hash()
	from := io.LimitReader(disk.section(slot), part.Size)
	if _, err := io.Copy(io.MultiWriter(sum, meter), from); err != nil {
		return fmt.Errorf("read the OS image back: %w", err)
	}
	if got := digest.NewDigest(digest.SHA256, sum); got != part.Digest {
		return fmt.Errorf("what the disk has kept is not what was written: the OS image reads as %s, want %s", got, part.Digest)
	}
	for _, name := range names(tree) {
		if lastOnESP(name) {
			continue
		}
		if err := j.checkFile(ctx, disk, esp, name, tree[name], meter); err != nil {
			return err
		}
	}
	return nil
}

func (j Job) checkFile(ctx context.Context, disk *Disk, esp Extent, name string, want bootloader.File, meter io.Writer) error {
	wantSum, err := sumOf(want)
	if err != nil {
		return err
	}
	got := sha256.New()
	if err := j.Run(ctx, nil, io.MultiWriter(got, meter), "mcopy", "-i", fatImage(disk.Path, esp), "::/"+name, "-"); err != nil {
		return fmt.Errorf("read %s back: %w", name, err)
	}
	if !bytes.Equal(got.Sum(nil), wantSum) {
		return fmt.Errorf("what the disk has kept is not what was written: %s", name)
	}
	return nil
}

func sumOf(f bootloader.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, r)
	return h.Sum(nil), err
}

func names(tree map[string]bootloader.File) []string {
	all := make([]string, 0, len(tree))
	for name := range tree {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// meter counts what is read back.
type meter struct {
	ctx         context.Context
	done, total int64
	events      Events
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	m.events.Progress(stepVerify, m.done, m.total)
	return len(p), m.ctx.Err()
}
