// Package bootlog is the record of one boot: which phase ran when, for how
// long, and how it ended. PID 1 writes it, rosd and ros read it.
//
// It decides nothing about phases; that is what the lists in init do.
package bootlog

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Path is where PID 1 keeps the record of the running boot.
const Path = "/run/ros/boot.json"

// Record is the whole boot as far as PID 1 saw it.
type Record struct {
	Version  string   `json:"version"`            // of the OS image
	Slot     string   `json:"slot"`               // "iso", "A", "B"
	State    string   `json:"state"`              // "disk /dev/vda" or "RAM"
	Warnings []string `json:"warnings,omitempty"` // for the operator: what the boot went on without
	Phases   []Phase  `json:"phases"`
}

// Phase is one named step. Times are seconds since the kernel started
// (CLOCK_BOOTTIME), so that they can be laid beside dmesg.
type Phase struct {
	Name     string  `json:"name"`
	Stage    int     `json:"stage"` // 1: in the initrd, 2: after the root switch
	Required bool    `json:"required"`
	Start    float64 `json:"start"`
	End      float64 `json:"end"`
	Detail   string  `json:"detail,omitempty"` // what was found or done: "slot iso, root hash 3f2a…"
	Error    string  `json:"error,omitempty"`
}

// Now is the time on the clock that phases are measured with.
func Now() float64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // only an unknown clock can fail, and Linux has had this one since 2.6.39
	}
	return float64(ts.Sec) + float64(ts.Nsec)/1e9
}

// Write puts the record at path so that a reader sees the old one or the new
// one, never half of one. It does not sync: the record belongs to the running
// boot and lives in memory.
func Write(path string, r Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode boot record: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".boot-*")
	if err != nil {
		return fmt.Errorf("cannot write boot record: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = tmp.Write(append(text, '\n'))
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write boot record: %w", err)
	}
	return nil
}

// Read returns the record at path.
func Read(path string) (Record, error) {
	var r Record
	text, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("cannot read boot record: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("cannot read boot record %q: %w", path, err)
	}
	return r, nil
}
