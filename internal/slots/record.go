package slots

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
)

// RecordPath is where the record of the running system is.
const RecordPath = "/var/lib/rancher/os/slots.json"

// recordFormat rises only when an older system could not read the record any
// more. New fields do not raise it: who does not know them drops them.
const recordFormat = 1

// maxFailures bounds what is remembered, newest first.
const maxFailures = 10

// Release names a release: what a person calls it, and what tells it from
// every other.
type Release struct {
	Version string `json:"version"`
	Digest  string `json:"digest"` // of its manifest, "sha256:…"
}

// Content is what was written to a slot.
type Content struct {
	Release
	Written time.Time `json:"written"`
}

// Failure is a trial that was not committed, and why.
type Failure struct {
	Release
	Slot   Slot      `json:"slot"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`          // in a sentence
	Check  string    `json:"check,omitempty"` // what failed: "service network", "phase verity"
	Lines  []string  `json:"lines,omitempty"` // the last of the failed boot's log
}

// Record is what is remembered about the slots beyond what the boot loader
// keeps. The boot loader's word counts where the two differ.
type Record struct {
	Format    int              `json:"format"`
	Last      State            `json:"last,omitempty"` // what happened last, since no clock can be trusted to tell
	Slots     map[Slot]Content `json:"slots,omitempty"`
	Wanted    *Release         `json:"wanted,omitempty"`    // what an operator, or the policy, asked for last
	Committed *time.Time       `json:"committed,omitempty"` // when a trial was committed last
	Failures  []Failure        `json:"failures,omitempty"`  // newest first
}

// LoadRecord reads the record at path. One that is not there is empty. One that
// cannot be read, or is of a newer format, is an error beside an empty record,
// which the caller may go on with: SaveRecord sets the old file aside.
func LoadRecord(path string) (Record, error) {
	r, err := readRecord(path)
	if err != nil {
		return Record{Format: recordFormat}, fmt.Errorf("cannot read the record of the slots %q: %w", path, err)
	}
	return r, nil
}

func readRecord(path string) (Record, error) {
	r := Record{Format: recordFormat}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	if r.Format != recordFormat {
		return r, fmt.Errorf("its format is %d, and this system knows format %d", r.Format, recordFormat)
	}
	return r, nil
}

// SaveRecord writes the record so that a reader sees the old one or the new one.
// A file that LoadRecord cannot read is kept beside as PATH.old.
func SaveRecord(path string, r Record) error {
	if _, err := readRecord(path); err != nil {
		_ = os.Rename(path, path+".old") // for somebody to look at; the new one matters more
	}
	r.Format = recordFormat
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = atomicfile.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the record of the slots: %w", err)
	}
	return nil
}

// Staged notes what slot s holds now: whole, checked and never started.
func (r Record) Staged(s Slot, release Release, at time.Time) Record {
	r.Slots = maps.Clone(r.Slots)
	if r.Slots == nil {
		r.Slots = map[Slot]Content{}
	}
	r.Slots[s] = Content{Release: release, Written: at}
	r.Last = Staged
	return r
}

// Holds notes what slot s was found to hold. What is remembered of the same
// release stays.
func (r Record) Holds(s Slot, release Release) Record {
	if r.Slots[s].Release == release {
		return r
	}
	r.Slots = maps.Clone(r.Slots)
	if r.Slots == nil {
		r.Slots = map[Slot]Content{}
	}
	r.Slots[s] = Content{Release: release}
	return r
}

// Wants notes that an operator wants what slot s holds. That it failed once is
// forgotten.
func (r Record) Wants(s Slot) Record {
	release := r.Slots[s].Release
	r.Wanted = &release
	r.Failures = without(r.Failures, release.Digest)
	return r
}

// without is all failures but those of a release.
func without(failures []Failure, digest string) []Failure {
	return slices.DeleteFunc(slices.Clone(failures), func(f Failure) bool { return digest != "" && f.Digest == digest })
}

// Cleared notes that what slot s held is gone.
func (r Record) Cleared(s Slot) Record {
	if r.Last == Staged {
		r.Last = ""
	}
	r.Slots = maps.Clone(r.Slots)
	delete(r.Slots, s)
	return r
}

// Kept notes that slot s was committed. A failure of its release is forgotten:
// somebody wanted it again, and it went well.
func (r Record) Kept(s Slot, at time.Time) Record {
	r.Last, r.Committed = Committed, &at
	r.Failures = without(r.Failures, r.Slots[s].Digest)
	return r
}

// Add notes a trial that was not committed, or a release that an operator has
// left again. It takes the place of an earlier failure of the same release.
func (r Record) Add(f Failure) Record {
	r.Last = Failed
	r.Failures = without(r.Failures, f.Digest)
	r.Failures = append([]Failure{f}, r.Failures...)
	r.Failures = r.Failures[:min(len(r.Failures), maxFailures)]
	return r
}

// Failed is the last failure of a release, by its digest. Nothing tries such a
// release again by itself.
func (r Record) Failed(digest string) (Failure, bool) {
	for _, f := range r.Failures {
		if digest != "" && f.Digest == digest {
			return f, true
		}
	}
	return Failure{}, false
}
