package slots

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/cmdline"
)

// Start is what the boot loader does at power-on when nobody touches its menu.
type Start struct {
	Slot      Slot // what it starts; none if nothing that may be started can be loaded
	Trial     bool // as a trial
	Left      int  // of a trial: how often it could still be started after this
	Failed    Slot // the trial that it gives up: its tries are used up, or it cannot be started
	Uncounted bool // the trial was not started because the count could not be written
	After     Boot // what it leaves behind
}

// Medium is what can go wrong for a boot loader. The zero value is a sound disk.
type Medium struct {
	Unloadable []Slot // the kernel or initrd of these is not there
	ReadOnly   bool   // the count cannot be written
}

// Start is what the boot loader does with b. It is the model of grub.cfg, and
// the tests hold one against the other.
func (b Boot) Start(m Medium) Start {
	s := Start{After: b}
	if b.Trial != "" {
		s.Failed = b.Trial
		switch {
		case b.Tries == 0:
		case m.ReadOnly:
			s.Uncounted = true
		default:
			s.After.Tries-- // before anything is loaded: a machine that hangs must have counted
			if !slices.Contains(m.Unloadable, b.Trial) {
				s.Slot, s.Trial, s.Left, s.Failed = b.Trial, true, s.After.Tries, ""
				return s
			}
		}
	}
	for _, slot := range []Slot{b.Committed, b.Previous} {
		if slot != "" && !slices.Contains(m.Unloadable, slot) {
			s.Slot = slot
			break
		}
	}
	return s
}

// The words that the boot loader adds to the kernel command line, and the one
// that each slot brings.
const (
	slotWord      = "ros.slot"      // A, B, or "iso" on the live system
	trialWord     = "ros.trial"     // how often the trial could still be started
	failedWord    = "ros.failed"    // the slot whose trial is given up
	uncountedWord = "ros.uncounted" // bare: the trial was not started, since it could not be counted
)

// Words are what the boot loader adds to the kernel command line of s.
func (s Start) Words() []string {
	var words []string
	if s.Trial {
		words = append(words, trialWord+"="+strconv.Itoa(s.Left))
	}
	if s.Failed != "" {
		words = append(words, failedWord+"="+string(s.Failed))
	}
	if s.Uncounted {
		words = append(words, uncountedWord)
	}
	return words
}

// Running is what this boot is, as its kernel command line says.
type Running struct {
	Slot      Slot `json:"slot,omitempty"` // none on the live system
	Trial     bool `json:"trial,omitempty"`
	Left      int  `json:"left,omitempty"`
	Failed    Slot `json:"failed,omitempty"`
	Uncounted bool `json:"uncounted,omitempty"`
}

// FromCmdline reads what this boot is. Words that make no sense are as if they
// were not there, but a trial whose count cannot be read is still a trial.
func FromCmdline(line cmdline.Line) Running {
	var r Running
	slot, _ := line.Value(slotWord)
	r.Slot, _ = Parse(slot)
	if r.Slot == "" {
		return Running{}
	}
	if left, ok := line.Value(trialWord); ok {
		r.Trial = true
		if n, err := strconv.Atoi(strings.TrimSpace(left)); err == nil && n >= 0 && n < MaxTries {
			r.Left = n
		}
	}
	failed, _ := line.Value(failedWord)
	r.Failed, _ = Parse(failed)
	r.Uncounted = line.Flag(uncountedWord)
	return r
}

// OwnWord says whether a word of the kernel command line belongs to the boot
// loader or to a slot, so that an operator's arguments may not have it.
func OwnWord(key string) bool {
	return slices.Contains([]string{
		slotWord, trialWord, failedWord, uncountedWord, "ros.image", "ros.roothash", "ros.hashoffset",
	}, key)
}
