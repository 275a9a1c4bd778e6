package slots

import (
	"errors"
	"fmt"
)

// The changes. Each returns what the boot loader must keep from now on, or why
// the change cannot be made, and leaves b alone. All but Rollback may be made
// twice: the second time changes nothing, so that work that was cut off can be
// done again.

// Stage says that slot s is about to be overwritten: from now on nothing starts
// it. It must be kept before the first byte of the slot is written.
func (b Boot) Stage(s Slot, running Running) (Boot, error) {
	switch {
	case !s.Valid():
		return b, fmt.Errorf("%q is no slot: A or B", string(s))
	case s == running.Slot && s != b.Committed:
		return b, fmt.Errorf("slot %s cannot be written: it is running and not committed (\"ros os commit\" keeps it, \"ros os rollback\" leaves it)", s)
	case s == running.Slot:
		return b, fmt.Errorf("slot %s cannot be written: it is running", s)
	case s == b.Committed:
		return b, fmt.Errorf("slot %s cannot be written: it is the committed one, and slot %s was started by hand (\"ros os rollback\" keeps that one)", s, running.Slot)
	}
	return Boot{Committed: b.Committed}, nil
}

// Arm puts slot s on trial: the next starts, as many as tries, are of s unless
// it is committed meanwhile. The slot must be whole and checked. args are kernel
// arguments beyond the operator's, on trial with it; those of a trial before are
// gone.
func (b Boot) Arm(s Slot, tries int, args string) (Boot, error) {
	switch {
	case s != b.Committed.Other() || s == "":
		return b, fmt.Errorf("slot %q cannot be tried: slot %s is the committed one", string(s), b.Committed)
	case tries < 1 || tries > MaxTries:
		return b, fmt.Errorf("a trial can have 1 to %d tries, not %d", MaxTries, tries)
	}
	b.Trial, b.Tries, b.Args = s, tries, args
	return b, nil
}

// Disarm takes the trial back: it failed, or is not wanted any more. What was
// committed stays so.
func (b Boot) Disarm() Boot {
	b.Trial, b.Tries, b.Args = "", 0, ""
	return b
}

// Commit makes the slot on trial, which must be the running one, the committed
// one; the old one becomes the previous one.
func (b Boot) Commit(running Running) (Boot, error) {
	switch {
	case running.Slot == "":
		return b, errLive
	case running.Slot == b.Committed && b.Trial == "":
		return b, nil
	case running.Slot != b.Trial:
		return b, fmt.Errorf("slot %s is running, but it is not on trial", running.Slot)
	}
	return Boot{Committed: b.Trial, Previous: b.Committed}, nil
}

// GiveBack returns to a running trial the try that this boot took: the operator
// restarts the machine, and that is no fault of the trial.
func (b Boot) GiveBack(running Running) Boot {
	if running.Trial && running.Slot == b.Trial {
		b.Tries = min(running.Left+1, MaxTries)
	}
	return b
}

// Count takes the try of a running trial that the boot loader has not counted:
// the kernel before it started it, without the boot loader.
func (b Boot) Count(running Running) Boot {
	if running.Trial && running.Slot == b.Trial {
		b.Tries = min(b.Tries, running.Left)
	}
	return b
}

// Rollback is the operator's way back. A trial is taken back, whether it runs
// or waits for the next start; else the previous slot becomes the committed
// one and the two change places; a second time undoes that, and where an
// operator has started the previous slot from the boot menu it keeps that one.
// The machine must restart if it runs another slot than the committed one.
func (b Boot) Rollback(running Running) (Boot, error) {
	switch {
	case running.Slot == "":
		return b, errLive
	case b.Trial != "":
		return b.Disarm(), nil
	case b.Previous == "":
		return b, errors.New("there is nothing to go back to: the other slot has no system that was committed once")
	}
	return Boot{Committed: b.Previous, Previous: b.Committed}, nil
}

// errLive is of what needs a disk.
var errLive = errors.New("this is the live system: it has no slots (\"ros install\" puts it on a disk)")
