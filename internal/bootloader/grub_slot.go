package bootloader

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/rosteros/ros/internal/slots"
)

// slack is what a slot takes beyond its two large files: the small ones, and
// the ends of clusters.
const slack = 512 << 10

// Fits implements Loader.
func (g GRUB) Fits(s slots.Slot, size int64) error {
	err := valid(s)
	if err == nil {
		err = g.room(s, size)
	}
	if err != nil {
		return fmt.Errorf("cannot write slot %s: %w", s, err)
	}
	return nil
}

// ClearSlot implements Loader.
func (g GRUB) ClearSlot(s slots.Slot) error {
	err := g.refuse(s)
	if err == nil {
		err = g.clear(s)
	}
	if err != nil {
		return fmt.Errorf("cannot clear slot %s: %w", s, err)
	}
	return nil
}

// refuse says why a slot cannot be written. If the variables are lost GRUB may
// start any whole slot, so none can.
func (g GRUB) refuse(s slots.Slot) error {
	e, err := g.env()
	if err != nil {
		return err
	}
	return refuse(e.boot, s)
}

// clear takes away first what makes the slot whole.
func (g GRUB) clear(s slots.Slot) error {
	for _, step := range [][]string{{slotFile}, {slotFileNew, kernelFile, initrdFile, releaseFile, signatureFile}} {
		for _, name := range step {
			if err := g.Files.Remove(inSlot(s, name)); err != nil {
				return err
			}
		}
		if err := g.Files.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// WriteSlot implements Loader.
func (g GRUB) WriteSlot(s slots.Slot, e Entry) error {
	if err := g.writeSlot(s, e); err != nil {
		return fmt.Errorf("cannot write slot %s: %w", s, err)
	}
	return nil
}

func (g GRUB) writeSlot(s slots.Slot, e Entry) error {
	script, err := slotScript(e)
	if err != nil {
		return err
	}
	if err := g.refuse(s); err != nil {
		return err
	}
	if err := g.room(s, e.Kernel.Size+e.Initrd.Size); err != nil {
		return err
	}
	if err := g.clear(s); err != nil {
		return err
	}
	if err := g.fill(s, e, script); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("the EFI system partition is full: %w", err)
		}
		// Half a slot is of no use, and its space is wanted.
		return errors.Join(err, g.clear(s))
	}
	return nil
}

// slotScript is what slot.cfg says.
func slotScript(e Entry) (string, error) {
	words, err := lineWords(e.Cmdline)
	if err != nil {
		return "", fmt.Errorf("its kernel arguments: %w", err)
	}
	if e.Version == "" || strings.ContainsAny(e.Version, "\"\\\n") {
		return "", fmt.Errorf("%q is no version", e.Version)
	}
	return scriptLine("version", e.Version) + scriptLine("slot_args", scriptWords(words)), nil
}

// room says whether there will be enough space for two files of size bytes
// together, and all that comes with them, when the slot is cleared.
func (g GRUB) room(s slots.Slot, size int64) error {
	room, err := g.Files.Free()
	if err != nil {
		return err
	}
	for _, name := range []string{kernelFile, initrdFile} {
		if size, err := g.Files.Size(inSlot(s, name)); err == nil {
			room += size
		}
	}
	if need := size + slack; need > room {
		return noRoom(need, room)
	}
	return nil
}

// fill writes the files, makes sure that the disk has them, and then says that
// the slot is whole. slot.cfg gets its name only when its content is on the
// disk: FAT may know a new file's name before its content.
func (g GRUB) fill(s slots.Slot, e Entry, script string) error {
	sums := map[string][sha256.Size]byte{}
	for name, file := range map[string]File{
		kernelFile: e.Kernel, initrdFile: e.Initrd, releaseFile: Bytes(e.Release), signatureFile: Bytes(e.Signature),
		slotFileNew: Bytes([]byte(script)),
	} {
		if file.Size == 0 {
			continue
		}
		sum, err := g.copy(inSlot(s, name), file)
		if err != nil {
			return err
		}
		sums[name] = sum
	}
	if err := g.Files.Sync(); err != nil {
		return err
	}
	for name, want := range sums {
		if err := g.check(inSlot(s, name), want); err != nil {
			return err
		}
	}
	if err := g.Files.Rename(inSlot(s, slotFileNew), inSlot(s, slotFile)); err != nil {
		return err
	}
	return g.Files.Sync()
}

// copy writes a file and returns the sum of what it was given.
func (g GRUB) copy(name string, from File) (sum [sha256.Size]byte, err error) {
	r, err := from.Open()
	if err != nil {
		return sum, err
	}
	defer r.Close()
	h := sha256.New()
	var n counter
	if err := g.Files.Create(name, io.TeeReader(r, io.MultiWriter(h, &n))); err != nil {
		return sum, err
	}
	if int64(n) != from.Size {
		return sum, fmt.Errorf("%s: %d bytes instead of %d", name, n, from.Size)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func (g GRUB) check(name string, want [sha256.Size]byte) error {
	r, err := g.Files.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), want[:]) {
		return fmt.Errorf("what was written to %s does not read back", name)
	}
	return nil
}

// ReadSlot implements Loader.
func (g GRUB) ReadSlot(s slots.Slot) (Entry, error) {
	e, err := g.readSlot(s)
	if err != nil {
		return e, fmt.Errorf("cannot read slot %s: %w", s, err)
	}
	return e, nil
}

func (g GRUB) readSlot(s slots.Slot) (e Entry, err error) {
	if err := valid(s); err != nil {
		return e, err
	}
	script, err := read(g.Files, inSlot(s, slotFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e, ErrEmpty
	}
	if err != nil {
		return e, err
	}
	args, ok := scriptValue(string(script), "slot_args")
	if !ok {
		return e, fmt.Errorf("%s does not say how to boot", inSlot(s, slotFile))
	}
	e.Cmdline = joinWords(wordsOf(args))
	e.Version, _ = scriptValue(string(script), "version")
	if e.Kernel, err = g.file(inSlot(s, kernelFile)); err != nil {
		return e, err
	}
	if e.Initrd, err = g.file(inSlot(s, initrdFile)); err != nil {
		return e, err
	}
	if e.Release, err = g.optional(inSlot(s, releaseFile)); err != nil {
		return e, err
	}
	e.Signature, err = g.optional(inSlot(s, signatureFile))
	return e, err
}

func (g GRUB) file(name string) (File, error) {
	size, err := g.Files.Size(name)
	if err != nil {
		return File{}, err
	}
	return File{size, func() (io.ReadCloser, error) { return g.Files.Open(name) }}, nil
}

func (g GRUB) optional(name string) ([]byte, error) {
	text, err := read(g.Files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
