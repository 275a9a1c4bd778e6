package upgrade

import (
	"errors"
	"fmt"
	"time"

	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// Reasons that the policy "auto" passes over in silence.
var (
	// ErrRunning is of a release that runs already.
	ErrRunning = errors.New("it is what runs already")
	// ErrFailed is of a release that failed its trial here.
	ErrFailed = errors.New("it has failed here")
)

// refuse says why a release must not be staged now.
func (m *Machine) refuse(r release.Checked, record slots.Record, o Options) error {
	if m.Running.Slot == "" {
		return errors.New(`this is the live system, which has no slots ("ros install" puts it on a disk)`)
	}
	// Running says until the next boot that this one began as a trial; once it is
	// committed it is a system like any other.
	if m.Running.Trial {
		if err := m.trialRuns(); err != nil {
			return err
		}
	}
	if m.isIn(m.Running.Slot, r) {
		return ErrRunning
	}
	if m.failedJustNow(r) && !o.Retry {
		return fmt.Errorf("%w (--retry tries it again)", ErrFailed)
	}
	if f, failed := record.Failed(r.Digest); failed && !o.Retry {
		return fmt.Errorf("%w, on %s: %s (--retry tries it again)", ErrFailed, f.At.UTC().Format(time.DateTime), f.Reason)
	}
	return m.checkFloor(r.Manifest.Version, o)
}

// trialRuns refuses an upgrade of a system that is on trial itself, unless it
// has been committed in this boot.
func (m *Machine) trialRuns() error {
	boot, err := m.Loader.Boot()
	if err != nil {
		return err
	}
	if boot.Committed == m.Running.Slot {
		return nil
	}
	return fmt.Errorf(`what runs, %s, is on trial itself; when it is committed ("ros os status") there can be another`, m.Version)
}

// failedJustNow says whether the release was tried and not committed, and the
// reason could not be kept yet: the state disk is full.
func (m *Machine) failedJustNow(r release.Checked) bool {
	boot, err := m.Loader.Boot()
	return err == nil && boot.Trial != "" && boot.Tries == 0 && m.isIn(boot.Trial, r)
}

// isIn says whether a slot holds the release. One that cannot be read is not a
// reason against an upgrade: it may be the cure.
func (m *Machine) isIn(s slots.Slot, r release.Checked) bool {
	entry, err := m.Loader.ReadSlot(s)
	if err != nil {
		return false
	}
	c, err := release.Read(release.Bundle{Release: entry.Release, Signature: entry.Signature}, nil)
	return err == nil && c.Digest == r.Digest
}

// checkFloor keeps a release out that is older than what this machine may go
// back to: one with a hole that has been closed since, or one that cannot read
// what newer ones wrote.
func (m *Machine) checkFloor(version string, o Options) error {
	if m.Floor == "" || o.BelowFloor {
		return nil
	}
	if older, known := release.Older(version, m.Floor); known && older {
		return fmt.Errorf("it is older than %s, the oldest that %s goes back to (--below-floor does it all the same)", m.Floor, m.Version)
	}
	return nil
}
