package bootloader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/rosteros/ros/internal/slots"
)

// The files on the EFI system partition.
const (
	envFile = "grub/grubenv"
	cfgFile = "grub/grub.cfg"
	// What is in a slot's folder. slot.cfg is written last and removed first: a
	// slot is whole if it is there.
	kernelFile    = "vmlinuz"
	initrdFile    = "initrd.img"
	releaseFile   = "release.json"
	signatureFile = "release.sig"
	slotFile      = "slot.cfg"
	slotFileNew   = "slot.new"
)

func argsFile(n int) string { return fmt.Sprintf("grub/args%d.cfg", n) }

func inSlot(s slots.Slot, name string) string { return path.Join("slots", string(s), name) }

// GRUB is the Loader of a disk that starts with our grub.cfg. Files is its EFI
// system partition.
type GRUB struct{ Files Files }

// Boot implements Loader.
func (g GRUB) Boot() (slots.Boot, error) {
	e, err := g.env()
	if err != nil {
		return slots.Boot{}, fmt.Errorf("cannot read what starts next: %w", err)
	}
	return e.boot, nil
}

// env is the environment block; ErrNoBoot if it says nothing.
func (g GRUB) env() (env, error) {
	block, err := read(g.Files, envFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return env{}, err
	}
	e, ok := decodeEnv(block)
	if !ok {
		return e, ErrNoBoot
	}
	return e, nil
}

// SetBoot implements Loader.
func (g GRUB) SetBoot(b slots.Boot) error {
	if err := g.setBoot(b); err != nil {
		return fmt.Errorf("cannot change what starts next: %w", err)
	}
	return nil
}

func (g GRUB) setBoot(b slots.Boot) error {
	e, err := g.env()
	if err != nil && !errors.Is(err, ErrNoBoot) {
		return err
	}
	if err := admit(b, e.boot, g.whole); err != nil {
		return err
	}
	e.boot = b
	return g.setEnv(e)
}

// setEnv writes one sector, if the block is as it should be, and else all of it.
func (g GRUB) setEnv(e env) error {
	block := e.encode()
	size, err := g.Files.Size(envFile)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && size != envSize:
		if err := g.Files.Create(envFile, strings.NewReader(string(block))); err != nil {
			return err
		}
		return g.Files.Sync()
	case err != nil:
		return err
	}
	if _, err := g.env(); err == nil {
		block = block[:envSector]
	}
	if err := g.Files.Overwrite(envFile, 0, block); err != nil {
		return err
	}
	if now, err := g.env(); err != nil || now != e {
		return fmt.Errorf("what was written to %s does not read back", envFile)
	}
	return nil
}

func (g GRUB) whole(s slots.Slot) bool {
	_, err := g.readSlot(s)
	return err == nil
}

// Args implements Loader.
func (g GRUB) Args() (string, error) {
	args, err := g.readArgs()
	if err != nil {
		return "", fmt.Errorf("cannot read the kernel arguments: %w", err)
	}
	return args, nil
}

func (g GRUB) readArgs() (string, error) {
	e, err := g.env()
	if err != nil && !errors.Is(err, ErrNoBoot) {
		return "", err
	}
	text, err := read(g.Files, argsFile(e.args))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	value, ok := scriptValue(string(text), "args")
	if !ok {
		return "", fmt.Errorf("%s does not set them", argsFile(e.args))
	}
	return joinWords(wordsOf(value)), nil
}

// SetArgs implements Loader. It writes the file that does not count, and then
// makes it count.
func (g GRUB) SetArgs(args string) error {
	if err := g.setArgs(args); err != nil {
		return fmt.Errorf("cannot keep the kernel arguments: %w", err)
	}
	return nil
}

func (g GRUB) setArgs(args string) error {
	words, err := argWords(args)
	if err != nil {
		return err
	}
	e, err := g.env()
	if err != nil {
		return err
	}
	e.args = 1 - e.args
	if err := g.Files.Create(argsFile(e.args), strings.NewReader(scriptLine("args", scriptWords(words)))); err != nil {
		return err
	}
	if err := g.Files.Sync(); err != nil {
		return err
	}
	return g.setEnv(e)
}

// read is a small file.
func read(f Files, name string) ([]byte, error) {
	r, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 1<<20))
}
