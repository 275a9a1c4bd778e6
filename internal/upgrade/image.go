package upgrade

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// holds says whether the slot has the release already, whole and with the same
// signatures: then a second upgrade to it, or one after --stage, has nothing to
// write.
func (m *Machine) holds(ctx context.Context, s slots.Slot, part Partition, r *release.Release) bool {
	entry, err := m.Loader.ReadSlot(s)
	if err != nil || !bytes.Equal(entry.Release, r.Bundle.Release) || !bytes.Equal(entry.Signature, r.Bundle.Signature) {
		return false
	}
	for _, name := range bootFiles {
		if checkFile(name, *fileOf(&entry, name), r.Manifest.Parts[name]) != nil {
			return false
		}
	}
	return m.readBack(ctx, "check", part, r.Manifest.Parts[release.Image]) == nil
}

// writeImage writes the OS image into the partition and checks what the disk
// has. Blocks that this machine has already, in either slot, do not travel.
func (m *Machine) writeImage(ctx context.Context, r *release.Release, s slots.Slot, part Partition) error {
	old, running, err := m.old(s.Other())
	if err != nil {
		m.Log.Info("the whole OS image is fetched", "reason", err)
	} else {
		defer running.Close()
	}
	if err := r.WriteImage(ctx, part, old, func(done, total int64) { m.Events.Progress("OS image", done, total) }); err != nil {
		return err
	}
	if err := part.Settle(); err != nil {
		return fmt.Errorf("cannot make slot %s durable: %w", s, err)
	}
	return m.readBack(ctx, "read back", part, r.Manifest.Parts[release.Image])
}

// readBack hashes what the partition has, all of it.
func (m *Machine) readBack(ctx context.Context, step string, part io.ReaderAt, want release.Part) error {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for at := int64(0); at < want.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := part.ReadAt(buf[:min(int64(len(buf)), want.Size-at)], at)
		if n == 0 {
			return fmt.Errorf("cannot read the OS image back at byte %d: %w", at, err)
		}
		_, _ = h.Write(buf[:n]) // never fails
		at += int64(n)
		m.Events.Progress(step, at, want.Size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.Digest.Encoded() {
		return fmt.Errorf("the OS image on the disk is damaged: sha256 %s, want %s", got, want.Digest.Encoded())
	}
	return nil
}

// old is the OS image of a slot as a place to find blocks in. Its manifest says
// where its verity tree begins; nothing else of it is believed.
func (m *Machine) old(s slots.Slot) ([]release.OldImage, io.Closer, error) {
	entry, err := m.Loader.ReadSlot(s)
	if err != nil {
		return nil, nil, err
	}
	manifest, err := release.ParseManifest(entry.Release)
	if err != nil {
		return nil, nil, err
	}
	part, err := m.Open(s, false)
	if err != nil {
		return nil, nil, err
	}
	return []release.OldImage{{ReaderAt: part, HashOffset: manifest.HashOffset}}, part, nil
}
