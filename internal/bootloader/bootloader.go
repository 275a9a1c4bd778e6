// Package bootloader keeps what the boot loader of a disk decides by, the files
// that it loads, and the operator's kernel arguments.
//
// Loader is the one interface; GRUB on an EFI system partition and Memory, a
// model for tests, are its implementations, and package bootloadertest is the
// suite that both pass. What the values mean is package slots' business. It
// never writes the OS image's own partition.
//
// Whatever moment a power cut takes, the boot loader finds the old Boot or the
// new one, and a slot that it may start is whole.
package bootloader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rosteros/ros/internal/slots"
)

// ErrEmpty is of a slot that holds no whole system.
var ErrEmpty = errors.New("the slot is empty")

// ErrNoBoot is of a boot loader whose variables are lost. It starts the first
// whole slot then; SetBoot mends it.
var ErrNoBoot = errors.New("the boot loader's variables are lost")

// A Loader is the boot loader of one disk. One caller at a time; each method
// that writes returns only when the disk has what was written.
type Loader interface {
	// Boot is what the boot loader decides by at the next start.
	Boot() (slots.Boot, error)

	// SetBoot replaces it, in one step. It refuses a value that does not pass
	// Check, one that names a slot which was not named before and is not whole,
	// and arguments that SetArgs would refuse. A value that commits what was on
	// trial makes the trial's arguments the operator's, in the same step.
	SetBoot(slots.Boot) error

	// Fits says why the slot could not hold a kernel and an initrd of size bytes
	// together when it has been cleared, nil if it could. It changes nothing and
	// may be asked of a slot that Boot names: whoever is going to replace a system
	// asks before he gives it up.
	Fits(s slots.Slot, size int64) error

	// ClearSlot removes what the slot holds: from its first step on nothing can
	// start it, and when it has returned its space is free. It comes before the
	// first byte is written to the slot's partition. It refuses a slot that Boot
	// names.
	ClearSlot(slots.Slot) error

	// WriteSlot clears the slot and writes the entry, reads it back and compares.
	// The slot is whole from its last step on. It refuses a slot that Boot names,
	// and an entry that there is no room for before it changes anything.
	WriteSlot(slots.Slot, Entry) error

	// ReadSlot is what the slot holds; ErrEmpty if it is not whole.
	ReadSlot(slots.Slot) (Entry, error)

	// Args are the operator's kernel arguments, consoles among them: the same for
	// both slots, and kept by upgrades. A trial is started with Boot's behind them
	// (Append).
	Args() (string, error)

	// SetArgs replaces them, in one step. It refuses words that belong to the
	// boot loader or to a slot.
	SetArgs(string) error
}

// Entry is what a slot holds beside the OS image on its own partition.
type Entry struct {
	Version   string
	Cmdline   string // what the slot needs of the kernel command line: ros.image=, ros.slot=, ros.roothash=, …
	Kernel    File
	Initrd    File
	Release   []byte // the release's manifest, byte for byte
	Signature []byte // of the manifest; empty: it has none
}

// File is something to copy, or that can be read.
type File struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes is a file in memory.
func Bytes(text []byte) File {
	return File{int64(len(text)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
}

// Path is a file on a disk, which must exist.
func Path(name string) (File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return File{}, err
	}
	return File{info.Size(), func() (io.ReadCloser, error) { return os.Open(name) }}, nil
}

// refuse says why slot s cannot be written or cleared, nil if it can.
func refuse(b slots.Boot, s slots.Slot) error {
	if err := valid(s); err != nil {
		return err
	}
	switch s {
	case b.Committed:
		return fmt.Errorf("slot %s is the committed one", s)
	case b.Trial:
		return fmt.Errorf("slot %s is on trial", s)
	case b.Previous:
		return fmt.Errorf("slot %s is the previous one, which the boot menu offers", s)
	}
	return nil
}

func valid(s slots.Slot) error {
	if !s.Valid() {
		return fmt.Errorf("%q is no slot: A or B", string(s))
	}
	return nil
}
