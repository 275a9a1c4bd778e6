package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/release"
)

// diskSize is that of a disk image: the smallest there is. The state disk grows
// when the machine starts on a larger one.
const diskSize = install.MinSize

// diskFormats are the forms of a disk image, and how qemu-img makes each from
// the raw one.
var diskFormats = []struct {
	name    string
	options []string
}{
	{"qcow2", []string{"-c"}},
	// The form in which a VMware server takes an upload.
	{"vmdk", []string{"-o", "subformat=streamOptimized,adapter_type=lsilogic"}},
}

func (f *forge) diskFile(format string) string { return f.relFile("roster." + format) }

// disks makes disk images with Roster installed, by the code that installs it
// on a machine.
func (f *forge) disks() error {
	key := []any{forgeFormat, diskSize, diskFormats, f.arch.Console}
	for _, p := range []string{f.relFile(manifestFile), f.relFile(signatureFile), f.grubDir(),
		filepath.Join(f.top, "internal/install"), filepath.Join(f.top, "internal/bootloader")} {
		h, err := hashTree(p)
		if err != nil {
			return err
		}
		key = append(key, h)
	}
	name := "disk images"
	if f.released {
		name = "release disk images"
	}
	return f.once(f.dir, name, hash(key...), func() error {
		raw := f.diskFile("raw")
		if err := f.rawDisk(raw); err != nil {
			return err
		}
		// Zeros that were written become holes again.
		if err := f.inRoot("fallocate", "--dig-holes", raw); err != nil {
			return err
		}
		// As it travels: most of it is empty.
		if err := f.inRoot("zstd", "-q", "-f", "-9", raw, "-o", raw+".zst"); err != nil {
			return err
		}
		for _, format := range diskFormats {
			// -m 1: in the order of the disk, for equal bits.
			args := append([]string{"qemu-img", "convert", "-m", "1", "-f", "raw", "-O", format.name}, format.options...)
			if err := f.inRoot(append(args, raw, f.diskFile(format.name))...); err != nil {
				return err
			}
		}
		return fixedCID(f.diskFile("vmdk"))
	})
}

func (f *forge) rawDisk(path string) error {
	source, err := f.builtSource()
	if err != nil {
		return err
	}
	boot, err := install.ReadBootFiles(f.grubDir())
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	disk, err := install.CreateImage(path, diskSize, 512)
	if err != nil {
		return err
	}
	job := install.Job{
		Source: source, Boot: boot, Args: f.arch.Console, IDs: install.FixedIDs(source.Manifest.RootHash),
		Run: f.runInRoot, Events: quiet{}, Log: slog.New(slog.DiscardHandler),
	}
	return errors.Join(job.Write(context.Background(), disk), disk.Close())
}

// builtSource is the release that was built.
func (f *forge) builtSource() (s install.Source, err error) {
	if s.Bundle.Release, err = os.ReadFile(f.relFile(manifestFile)); err != nil {
		return s, err
	}
	if s.Bundle.Signature, err = os.ReadFile(f.relFile(signatureFile)); err != nil {
		return s, err
	}
	files := f.releaseFiles()
	s.Part = func(_ context.Context, name string, w io.Writer, _ release.Progress) error {
		return copyInto(w, files[name])
	}
	s.Manifest, err = release.ParseManifest(s.Bundle.Release)
	return s, err
}

// runInRoot is install.Runner with the programs of the build root.
func (f *forge) runInRoot(ctx context.Context, stdin io.Reader, out io.Writer, argv ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(f.top, "scripts/in-root.sh"), argv...)
	cmd.Dir = f.top
	cmd.Env = append(install.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch), "TZ=UTC", "BUILD="+f.build)
	return install.Run(cmd, stdin, out, slog.New(slog.DiscardHandler))
}

// quiet is nobody who would look at progress.
type quiet struct{}

func (quiet) Progress(string, int64, int64) {}
func (quiet) Note(string, ...any)           {}

// fixedCID gives a VMDK a content ID that is not drawn by chance: two builds
// must give the same bits. Nothing refers to it.
func fixedCID(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	head := make([]byte, 64<<10)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	at, text, err := withCID(head[:n], "524f5354")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = file.WriteAt(text, int64(at))
	return err
}

// withCID is the descriptor in the head of a VMDK with another content ID, and
// where it lies. qemu-img writes the ID as a number without leading zeros, so one
// in sixteen is shorter than eight digits and what follows it moves: the whole
// text is written again. Zeros pad the place of a descriptor.
func withCID(head []byte, id string) (at int, text []byte, err error) {
	const before = "\nCID="
	if at = bytes.Index(head, []byte("# Disk DescriptorFile\n")); at < 0 {
		return 0, nil, errors.New("no descriptor")
	}
	old, _, ended := bytes.Cut(head[at:], []byte{0})
	start, rest, ok := bytes.Cut(old, []byte(before))
	_, rest, whole := bytes.Cut(rest, []byte("\n"))
	if !ended || !ok || !whole {
		return 0, nil, errors.New("no content ID in its descriptor")
	}
	text = slices.Concat(start, []byte(before+id+"\n"), rest)
	room := head[at+len(old):]
	if more := max(0, len(text)-len(old)); more > len(room) || !isZero(room[:more]) {
		return 0, nil, errors.New("no room behind its descriptor")
	}
	return at, append(text, make([]byte, max(0, len(old)-len(text)))...), nil
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
