package bootloader

import (
	"bytes"
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
	if e.trialArgs == noFile {
		return e, nil
	}
	added, err := g.argsValue(e.trialArgs, "added")
	switch {
	case err == nil:
		e.boot.Args = joinWords(wordsOf(added))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errUnset):
		e.trialArgs = noFile // GRUB starts the trial without them then
	default:
		return e, err
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
	words, err := argWords(b.Args)
	if err != nil {
		return err
	}
	b.Args = joinWords(words)
	if err := admit(b, e.boot, g.whole); err != nil {
		return err
	}
	if len(words) > 0 {
		if err := g.knowsTrialArgs(); err != nil {
			return err
		}
	}
	next, err := g.follow(e, b)
	if err != nil {
		return err
	}
	return g.setEnv(next)
}

// knowsTrialArgs is an error if the boot menu would start a trial without its
// arguments: it is that of the release that was installed, and stays.
func (g GRUB) knowsTrialArgs() error {
	menu, err := read(g.Files, cfgFile)
	if err == nil && !bytes.Contains(menu, []byte("trial_args")) {
		err = errors.New(`the boot menu of this disk is older than arguments that are on trial with a release: upgrade without, then add them ("ros config syslinux")`)
	}
	return err
}

// follow is the block of b, when e is what the disk has. Arguments of a trial
// lie ready in a file, the operator's and theirs together: a commit only makes
// that file the operator's, and so is one write of one sector like all else.
func (g GRUB) follow(e env, b slots.Boot) (env, error) {
	next := env{boot: b, args: e.args, trialArgs: noFile}
	if commits(b, e.boot) && e.trialArgs != noFile {
		next.args = e.trialArgs
	}
	switch {
	case b.Args == "":
		return next, nil
	case b.Args == e.boot.Args && next.args == e.args:
		next.trialArgs = e.trialArgs
		return next, nil
	}
	words, err := g.argsOf(next)
	if err != nil {
		return next, err
	}
	next.trialArgs = freeFile(e.args, e.trialArgs)
	return next, g.writeTrialArgs(next, words)
}

// writeTrialArgs writes the file of a trial's arguments, which does not count
// yet.
func (g GRUB) writeTrialArgs(e env, args []string) error {
	added, err := argWords(e.boot.Args)
	if err != nil {
		return err
	}
	if err := g.Files.Create(argsFile(e.trialArgs), strings.NewReader(argsScript(appendWords(args, added), added))); err != nil {
		return err
	}
	return g.Files.Sync()
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
	words, err := g.argsOf(e)
	return joinWords(words), err
}

// argsOf are the operator's words. Without their file there are none.
func (g GRUB) argsOf(e env) ([]string, error) {
	value, err := g.argsValue(e.args, "args")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return wordsOf(value), err
}

// errUnset is of a file that does not say what it is for.
var errUnset = errors.New("it does not set them")

// argsValue is what a file with arguments sets a variable to.
func (g GRUB) argsValue(n int, name string) (string, error) {
	text, err := read(g.Files, argsFile(n))
	if err != nil {
		return "", err
	}
	value, ok := scriptValue(string(text), name)
	if !ok {
		return "", fmt.Errorf("%s: %w", argsFile(n), errUnset)
	}
	return value, nil
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
	next := e
	next.args = freeFile(e.args, e.trialArgs)
	if err := g.Files.Create(argsFile(next.args), strings.NewReader(argsScript(words, nil))); err != nil {
		return err
	}
	if e.trialArgs != noFile { // a trial has the new ones too
		next.trialArgs = freeFile(e.args, e.trialArgs, next.args)
		if err := g.writeTrialArgs(next, words); err != nil {
			return err
		}
	}
	if err := g.Files.Sync(); err != nil {
		return err
	}
	return g.setEnv(next)
}

// argsScript is a file with arguments. added, which only a trial's has, are those
// of args that are on trial: GRUB has no use for it.
func argsScript(args, added []string) string {
	script := scriptLine("args", scriptWords(args))
	if len(added) > 0 {
		script += scriptLine("added", scriptWords(added))
	}
	return script
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
