// Package slots is the A/B state machine: which of the two places for an OS
// image is started next, and how that changes when a release is staged, tried,
// committed, given up or rolled back.
//
// It owns three values. Boot is the little that the boot loader keeps and
// decides by; Boot.Start is the model of what it does with it at power-on.
// Running is what this boot is, as the kernel command line says. Record is the
// memory on the state disk: versions, digests and failures. Boot alone is
// enough to start and to commit; a lost Record costs explanations only.
//
// The package is pure but for reading and writing the record. It knows no boot
// loader (package bootloader does) and writes no slot (package upgrade does).
//
// The promise it keeps: what starts by itself is always a slot that has been
// committed, or one on trial that was whole when it was armed, and the trial
// only as often as it was armed for.
package slots

import (
	"errors"
	"fmt"
	"slices"
)

// Slot is a place for an OS image on a disk: "A" or "B". The zero value is no
// slot.
type Slot string

// The two slots of a disk.
const (
	A Slot = "A"
	B Slot = "B"
)

// All are the slots of a disk, in order.
var All = []Slot{A, B}

// Valid says whether s is a slot of a disk.
func (s Slot) Valid() bool { return slices.Contains(All, s) }

// Other is the other slot; of no slot it is no slot.
func (s Slot) Other() Slot {
	switch s {
	case A:
		return B
	case B:
		return A
	}
	return ""
}

// Parse reads the name of a slot.
func Parse(text string) (Slot, error) {
	if s := Slot(text); s.Valid() {
		return s, nil
	}
	return "", fmt.Errorf("%q is no slot: A or B", text)
}

// MaxTries is how often a trial can be started at most; the boot loader counts
// without arithmetic.
const MaxTries = 3

// Boot is all that the boot loader decides by. It is kept where one write of
// one sector replaces it, so a power cut leaves the old value or the new one.
type Boot struct {
	Committed Slot `json:"committed"`          // started when nothing else is said
	Previous  Slot `json:"previous,omitempty"` // the other slot, if it is whole and was committed once
	Trial     Slot `json:"trial,omitempty"`    // the other slot, while it is on trial
	Tries     int  `json:"tries,omitempty"`    // how often the trial may still be started
	// Args are kernel arguments that are on trial too: they join the operator's
	// when the trial is committed, and end with it when it is not.
	Args string `json:"args,omitempty"`
}

// Check says what is wrong with b, nil if nothing is. A boot loader refuses to
// keep a value that does not pass.
func (b Boot) Check() error {
	switch {
	case !b.Committed.Valid():
		return fmt.Errorf("no slot is committed: %q", string(b.Committed))
	case b.Previous != "" && b.Previous != b.Committed.Other():
		return fmt.Errorf("slot %s is committed, so the previous one cannot be %q", b.Committed, string(b.Previous))
	case b.Trial != "" && b.Trial != b.Committed.Other():
		return fmt.Errorf("slot %s is committed, so %q cannot be on trial", b.Committed, string(b.Trial))
	case b.Tries < 0 || b.Tries > MaxTries:
		return fmt.Errorf("a trial has 0 to %d tries, not %d", MaxTries, b.Tries)
	case b.Trial == "" && b.Tries != 0:
		return errors.New("there are tries, but nothing is on trial")
	case b.Trial == "" && b.Args != "":
		return errors.New("there are kernel arguments of a trial, but nothing is on trial")
	}
	return nil
}

// Named are the slots that may be started from b: those that must stay whole.
func (b Boot) Named() []Slot {
	var named []Slot
	for _, s := range All {
		if s == b.Committed || s == b.Previous || s == b.Trial {
			named = append(named, s)
		}
	}
	return named
}
