package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/internal/bootnote"
)

// ConfigDisk writes a small ISO with a label and files on it, as a datasource
// reads it; the names may have directories in them.
func (b Build) ConfigDisk(path, label string, files map[string]string) error {
	dir, err := os.MkdirTemp("", "rosconfig")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	_, err = b.Run("xorriso", "-as", "mkisofs", "-quiet", "-volid", label, "-joliet", "-rational-rock", "-output", path, dir)
	return err
}

// StateDisk makes a qcow2 disk that is one ext4 file system labelled
// RANCHER_STATE, with the contents of dir on it ("": empty).
func (b Build) StateDisk(path string, sizeMB int, dir string) error {
	raw := path + ".raw"
	defer os.Remove(raw)
	args := []string{"-q", "-t", "ext4", "-L", "RANCHER_STATE", "-E", "lazy_itable_init=1,root_owner=0:0"}
	if dir != "" {
		args = append(args, "-d", dir)
	}
	if _, err := b.Run("mke2fs", append(args, raw, fmt.Sprintf("%dM", sizeMB))...); err != nil {
		return err
	}
	return b.convert(raw, "raw", path, "qcow2")
}

// NoteDisk makes a qcow2 disk with nothing but the partition for boot notes.
func (b Build) NoteDisk(path string) error {
	raw := path + ".raw"
	defer os.Remove(raw)
	if err := errors.Join(os.WriteFile(raw, nil, 0o644), os.Truncate(raw, noteDiskSize)); err != nil {
		return err
	}
	cmd := b.Tool("sfdisk", "--quiet", raw)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("label: gpt\nstart=%dKiB, size=%dKiB, name=%s\n",
		noteStart>>10, bootnote.PartSize>>10, bootnote.PartLabel))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot partition %s: %w\n%s", raw, err, out)
	}
	return b.convert(raw, "raw", path, "qcow2")
}

const (
	noteDiskSize = 16 << 20
	noteStart    = 1 << 20
)

// Note reads the boot note on a NoteDisk, which a machine may be using.
func (b Build) Note(path string) (bootnote.Note, error) {
	raw := path + ".note"
	defer os.Remove(raw)
	_, err := b.Run("qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", "bs=1M",
		fmt.Sprintf("skip=%d", noteStart>>20), fmt.Sprintf("count=%d", noteStart>>20+bootnote.PartSize>>20), "if="+path, "of="+raw)
	if err != nil {
		return bootnote.Note{}, err
	}
	return bootnote.Read(raw)
}

// DataDisk makes a qcow2 disk whose only partition, of partMB at its beginning,
// has an ext4 file system with a label; the rest of the disk is free.
func (b Build) DataDisk(path, label string, partMB, sizeMB int) error {
	raw := path + ".raw"
	if err := errors.Join(os.WriteFile(raw, nil, 0o600), os.Truncate(raw, int64(sizeMB)<<20)); err != nil {
		return err
	}
	defer os.Remove(raw)
	table := b.Tool("sfdisk", "-q", raw)
	table.Stdin = strings.NewReader(fmt.Sprintf("label: gpt\nstart=1MiB, size=%dMiB\n", partMB))
	if out, err := table.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot partition %s: %w\n%s", raw, err, out)
	}
	if _, err := b.Run("mke2fs", "-q", "-t", "ext4", "-L", label, "-E", "offset=1048576,root_owner=0:0", raw, fmt.Sprintf("%dM", partMB)); err != nil {
		return err
	}
	return b.convert(raw, "raw", path, "qcow2")
}

// BlankDisk makes an empty qcow2 disk.
func (b Build) BlankDisk(path string, sizeMB int) error {
	_, err := b.Run("qemu-img", "create", "-q", "-f", "qcow2", path, fmt.Sprintf("%dM", sizeMB))
	return err
}

// Raw makes a raw copy of a qcow2 disk whose machine has ended, for looking
// into it with e2fsck and debugfs.
func (b Build) Raw(path string) (raw string, err error) {
	raw = path + ".raw"
	return raw, b.convert(path, "qcow2", raw, "raw")
}

// FromRaw is the way back.
func (b Build) FromRaw(raw, path string) error { return b.convert(raw, "raw", path, "qcow2") }

func (b Build) convert(from, fromFormat, to, toFormat string) error {
	_, err := b.Run("qemu-img", "convert", "-q", "-f", fromFormat, "-O", toFormat, from, to)
	return err
}

// Overlay makes a qcow2 disk that begins as a copy of another one and leaves
// that one alone.
func (b Build) Overlay(path, base, baseFormat string) error {
	_, err := b.Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", baseFormat, path)
	return err
}

// FlipByte copies an ISO and turns over every bit of one byte of the OS image
// in the copy, at an offset from the image's beginning.
func FlipByte(iso, osImage, to string, offset int64) error {
	start, err := find(iso, osImage)
	if err != nil {
		return fmt.Errorf("cannot find %s in %s: %w", osImage, iso, err)
	}
	if err := copyFile(iso, to); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var one [1]byte
	if _, err := f.ReadAt(one[:], start+offset); err != nil {
		return errors.Join(err, f.Close())
	}
	one[0] = ^one[0]
	_, err = f.WriteAt(one[:], start+offset)
	return errors.Join(err, f.Close())
}

// find is the offset of the contents of small in big. On an ISO every file
// begins at a multiple of 2048 bytes.
func find(big, small string) (int64, error) {
	const sector, enough = 2048, 64 << 10
	s, err := os.Open(small)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	want := make([]byte, enough)
	n, err := io.ReadFull(s, want)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, err
	}
	want = want[:n]
	b, err := os.Open(big)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	have := make([]byte, n)
	for offset := int64(0); ; offset += sector {
		if _, err := b.ReadAt(have[:min(n, sector)], offset); err != nil {
			return 0, errors.New("it is not there")
		}
		if !bytes.HasPrefix(want, have[:min(n, sector)]) {
			continue
		}
		if _, err := b.ReadAt(have, offset); err == nil && bytes.Equal(want, have) {
			return offset, nil
		}
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
