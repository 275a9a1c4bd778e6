// Package bootnote is what a trial boot writes about itself, for the system
// that runs after it: how far it came, and how and why it ended.
//
// The note stands on a small partition of its own without a file system, so
// that PID 1 can write it before anything is mounted and when nothing else
// works any more. Two copies take turns, each with a checksum and a number
// that grows; a write that is cut anywhere leaves the note before it.
//
// PID 1 of a trial boot writes it. Who arms a trial writes one of no slot before
// that. What follows from a note is not decided here.
package bootnote

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
)

// PartLabel is the name of the partition.
const PartLabel = "BOOT_NOTE"

// PartSize is how large the installer makes it; nothing less will do.
const PartSize = 1 << 20

// Outcomes. A note without one is of a boot that still goes on, or that ended
// without a word: a panic, a hang, a power cut.
const (
	Failed    = "failed"    // PID 1 or rosd gave it up
	Committed = "committed" // it is the system now
	Stopped   = "stopped"   // the operator took it down before it was decided
	Ended     = "ended"     // the operator has rolled it back
)

// Note is what one trial boot says. Fields that a reader does not know it
// passes over, so a field may come but never change its meaning.
type Note struct {
	BootID   string    `json:"boot_id"` // of the kernel, for as long as it ran
	Slot     string    `json:"slot"`
	RootHash string    `json:"root_hash"`
	Version  string    `json:"version,omitempty"` // not known before the OS image is open
	Tries    int       `json:"tries"`             // that were left after this one
	Began    time.Time `json:"began"`             // by a clock that may be wrong
	Phase    string    `json:"phase"`             // the last that was begun
	Outcome  string    `json:"outcome,omitempty"`
	Reason   string    `json:"reason,omitempty"` // one line
	Check    string    `json:"check,omitempty"`  // what failed: "phase verity", "service network"
	Lines    []string  `json:"lines,omitempty"`  // the last of the log
	At       time.Time `json:"at"`               // when this was written
	Uptime   float64   `json:"uptime"`           // the same in seconds since the kernel started
	Stops    int       `json:"stops,omitempty"`  // how often in a row this release was stopped, this time included
}

// ErrNone is the error of Read for a partition that no trial has written to.
var ErrNone = errors.New("no boot note")

// Read is the newest note on the device.
func Read(device string) (Note, error) {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Note{}, fmt.Errorf("cannot read boot note: %w", err)
	}
	defer f.Close()
	n, err := get(f)
	if err != nil {
		return Note{}, fmt.Errorf("cannot read boot note on %q: %w", device, err)
	}
	return n, nil
}

// Write puts the note on the device in place of the older of the two there. It
// is on the disk when Write returns. Of a note that is too long the first log
// lines are left out.
func Write(device string, n Note) error {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot write boot note: %w", err)
	}
	defer f.Close()
	if err := put(f, n); err != nil {
		return fmt.Errorf("cannot write boot note on %q: %w", device, err)
	}
	return nil
}

// Find is the device of the note. image says what the running system came
// from, as ros.image= does before its colon ("PARTUUID=…"): a machine may have
// a second Roster disk, and its note is not ours. If that disk has none, or
// image is "" or not there, the only one of the machine is taken.
func Find(host blockdev.Host, image string) (string, error) {
	disk := ""
	if image != "" {
		if d, err := host.Find(image); err == nil {
			disk = d.Disk
		}
	}
	devices, err := host.List()
	if err != nil {
		return "", fmt.Errorf("cannot find boot note: %w", err)
	}
	var all []string
	for _, d := range devices {
		if d.PartLabel != PartLabel || d.Size < PartSize {
			continue
		}
		if disk != "" && d.Disk == disk {
			return d.Path, nil
		}
		all = append(all, d.Path)
	}
	switch len(all) {
	case 0:
		return "", fmt.Errorf("cannot find boot note: no partition %s: %w", PartLabel, blockdev.ErrNotFound)
	case 1:
		return all[0], nil
	}
	return "", fmt.Errorf("cannot find boot note: none of %q is on the disk of the OS image", all)
}

// encode makes the text of a note fit into a copy.
func encode(n Note) ([]byte, error) {
	for {
		text, err := json.Marshal(n)
		if err != nil {
			return nil, err
		}
		if len(text) <= maxText {
			return text, nil
		}
		if len(n.Lines) == 0 {
			return nil, fmt.Errorf("it has %d bytes without its log lines, more than %d", len(text), maxText)
		}
		n.Lines = n.Lines[(len(n.Lines)+1)/2:]
	}
}
