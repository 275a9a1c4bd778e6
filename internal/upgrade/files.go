package upgrade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// bootFiles are the parts of a release that the boot loader loads.
var bootFiles = [...]string{release.Kernel, release.Initrd}

// fileOf is what an entry has of a part.
func fileOf(e *bootloader.Entry, name string) *bootloader.File {
	if name == release.Kernel {
		return &e.Kernel
	}
	return &e.Initrd
}

// bootSize is how much room kernel and initrd of a release take.
func bootSize(m release.Manifest) (size int64) {
	for _, name := range bootFiles {
		size += m.Parts[name].Size
	}
	return size
}

// tidy removes from the download folder what upgrades left there that did not
// come to an end: files of a download that no other one goes on with. Folders
// are of releases that still gave the files on their way a name.
func (m *Machine) tidy(r *release.Release) {
	err := r.Prune()
	if m.Scratch != "" {
		left, globErr := filepath.Glob(filepath.Join(m.Scratch, "release-*"))
		err = errors.Join(err, globErr)
		for _, name := range left {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	if err != nil {
		m.Log.Warn("something is left in the download folder", "error", err)
	}
}

// fetch brings kernel and initrd, which are small, before anything is given up
// for them. done, which is never nil, lets go of them.
func (m *Machine) fetch(ctx context.Context, r *release.Release, s slots.Slot, uuid string) (e bootloader.Entry, done func(), err error) {
	var open []*os.File
	done = func() {
		for _, f := range open {
			_ = f.Close()
		}
	}
	e = bootloader.Entry{
		Version: r.Manifest.Version, Cmdline: bootloader.SlotCmdline(s, uuid, r.Manifest.Cmdline),
		Release: r.Bundle.Release, Signature: r.Bundle.Signature,
	}
	for _, name := range bootFiles {
		f, err := m.nameless()
		if err != nil {
			return e, done, err
		}
		open = append(open, f)
		if err := m.bring(ctx, r, name, f); err != nil {
			return e, done, err
		}
		size := r.Manifest.Parts[name].Size
		*fileOf(&e, name) = bootloader.File{Size: size, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(f, 0, size)), nil
		}}
	}
	return e, done, nil
}

// nameless is a file of the download folder that nobody else sees: it goes when
// it is closed, and with the process.
func (m *Machine) nameless() (*os.File, error) {
	if m.Scratch != "" {
		if err := os.MkdirAll(m.Scratch, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.CreateTemp(m.Scratch, "release-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// bring writes a part to the file: from a slot that has it, or else from where
// the release is.
func (m *Machine) bring(ctx context.Context, r *release.Release, name string, to *os.File) error {
	want := r.Manifest.Parts[name]
	for _, s := range []slots.Slot{m.Running.Slot, m.Running.Slot.Other()} {
		if m.takeFrom(s, name, want, to) {
			m.Events.Progress(name, want.Size, want.Size)
			return nil
		}
	}
	if err := to.Truncate(0); err != nil {
		return err
	}
	return r.Part(ctx, name, io.NewOffsetWriter(to, 0), func(done, total int64) { m.Events.Progress(name, done, total) })
}

// takeFrom copies a part from a slot, and says whether that was it. Whatever is
// wrong with the slot, the part can still be fetched.
func (m *Machine) takeFrom(s slots.Slot, name string, want release.Part, to *os.File) bool {
	entry, err := m.Loader.ReadSlot(s)
	if err != nil || fileOf(&entry, name).Size != want.Size {
		return false
	}
	return copyFile(name, *fileOf(&entry, name), want, io.NewOffsetWriter(to, 0)) == nil
}

// copyFile copies what a slot has of a part, and checks it.
func copyFile(name string, file bootloader.File, want release.Part, to io.Writer) error {
	r, err := file.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, h), r); err != nil {
		return fmt.Errorf("cannot read the %s: %w", name, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.Digest.Encoded() {
		return fmt.Errorf("the %s is damaged: sha256 %s, want %s", name, got, want.Digest.Encoded())
	}
	return nil
}

// checkFile reads what a slot has of a part, every byte.
func checkFile(name string, file bootloader.File, want release.Part) error {
	return copyFile(name, file, want, io.Discard)
}

// fullDisk says which disk is full, where err is of one.
func fullDisk(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the state disk is full: %w", err)
	}
	return err
}
