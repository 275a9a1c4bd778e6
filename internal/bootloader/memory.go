package bootloader

import (
	"fmt"
	"io"
	"slices"

	"github.com/rosteros/ros/internal/slots"
)

// Memory is a boot loader without a disk, for tests of what stands above this
// package. The zero value has nothing; NewMemory is a machine that boots.
type Memory struct {
	// Step, if set, is called before each step that would reach a disk. An error
	// of it is the power cut: that step and those behind it do not happen.
	Step func() error
	// Room is the space for kernels and initrds, in bytes; 0: no bound.
	Room int64

	boot  slots.Boot
	args  string
	slots map[slots.Slot]held
}

// held is an entry with its files read.
type held struct {
	entry          Entry
	kernel, initrd []byte
}

// NewMemory is a machine with a committed entry in slot A.
func NewMemory(e Entry) (*Memory, error) {
	m := &Memory{boot: slots.Boot{Committed: slots.A}}
	h, err := hold(e)
	if err != nil {
		return nil, err
	}
	m.slots = map[slots.Slot]held{slots.A: h}
	return m, nil
}

func hold(e Entry) (held, error) {
	kernel, err := readAll(e.Kernel)
	if err != nil {
		return held{}, fmt.Errorf("cannot read kernel: %w", err)
	}
	initrd, err := readAll(e.Initrd)
	if err != nil {
		return held{}, fmt.Errorf("cannot read initrd: %w", err)
	}
	e.Kernel, e.Initrd = Bytes(kernel), Bytes(initrd)
	e.Release, e.Signature = slices.Clone(e.Release), slices.Clone(e.Signature)
	return held{e, kernel, initrd}, nil
}

func readAll(f File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (m *Memory) step() error {
	if m.Step == nil {
		return nil
	}
	return m.Step()
}

// Boot implements Loader.
func (m *Memory) Boot() (slots.Boot, error) {
	if m.boot == (slots.Boot{}) {
		return m.boot, ErrNoBoot
	}
	return m.boot, nil
}

// SetBoot implements Loader.
func (m *Memory) SetBoot(b slots.Boot) error {
	words, err := argWords(b.Args)
	if err == nil {
		err = admit(b, m.boot, m.whole)
	}
	args := m.args
	if err == nil && commits(b, m.boot) {
		args, err = Append(args, m.boot.Args)
	}
	if err != nil {
		return fmt.Errorf("cannot change what starts next: %w", err)
	}
	if err := m.step(); err != nil {
		return err
	}
	b.Args = joinWords(words)
	m.boot, m.args = b, args
	return nil
}

func (m *Memory) whole(s slots.Slot) bool {
	_, ok := m.slots[s]
	return ok
}

// Fits implements Loader.
func (m *Memory) Fits(s slots.Slot, size int64) error {
	err := valid(s)
	if err == nil && m.Room > 0 && size > m.Room {
		err = noRoom(size, m.Room)
	}
	if err != nil {
		return fmt.Errorf("cannot write slot %s: %w", s, err)
	}
	return nil
}

// ClearSlot implements Loader.
func (m *Memory) ClearSlot(s slots.Slot) error {
	if err := refuse(m.boot, s); err != nil {
		return fmt.Errorf("cannot clear slot %s: %w", s, err)
	}
	if err := m.step(); err != nil {
		return err
	}
	delete(m.slots, s)
	return nil
}

// WriteSlot implements Loader.
func (m *Memory) WriteSlot(s slots.Slot, e Entry) error {
	if err := refuse(m.boot, s); err != nil {
		return fmt.Errorf("cannot write slot %s: %w", s, err)
	}
	if err := m.Fits(s, e.Kernel.Size+e.Initrd.Size); err != nil {
		return err
	}
	if err := m.ClearSlot(s); err != nil {
		return err
	}
	h, err := hold(e)
	if err != nil {
		return fmt.Errorf("cannot write slot %s: %w", s, err)
	}
	if err := m.step(); err != nil {
		return err
	}
	if m.slots == nil {
		m.slots = map[slots.Slot]held{}
	}
	m.slots[s] = h
	return nil
}

// ReadSlot implements Loader.
func (m *Memory) ReadSlot(s slots.Slot) (Entry, error) {
	h, ok := m.slots[s]
	if !ok {
		return Entry{}, fmt.Errorf("cannot read slot %s: %w", s, ErrEmpty)
	}
	return h.entry, nil
}

// Args implements Loader.
func (m *Memory) Args() (string, error) { return m.args, nil }

// SetArgs implements Loader.
func (m *Memory) SetArgs(args string) error {
	words, err := argWords(args)
	if err != nil {
		return fmt.Errorf("cannot keep the kernel arguments: %w", err)
	}
	if err := m.step(); err != nil {
		return err
	}
	m.args = joinWords(words)
	return nil
}

// admit says why b cannot follow old.
func admit(b, old slots.Boot, whole func(slots.Slot) bool) error {
	if err := b.Check(); err != nil {
		return err
	}
	for _, s := range b.Named() {
		if !slices.Contains(old.Named(), s) && !whole(s) {
			return fmt.Errorf("slot %s: %w", s, ErrEmpty)
		}
	}
	return nil
}

// commits says whether b makes what is on trial in old the committed system.
func commits(b, old slots.Boot) bool { return old.Trial != "" && b.Committed == old.Trial }

func noRoom(need, room int64) error {
	return fmt.Errorf("it needs %d MiB on the EFI system partition, which has room for %d MiB", (need+1<<20-1)>>20, room>>20)
}
