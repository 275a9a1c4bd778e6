package configstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rosteros/ros/internal/atomicfile"
)

const (
	trialName      = "trial"
	trialStateName = "trial.json"
)

// Trial is a change that is taken back unless it is confirmed.
type Trial struct {
	// Boot is the boot that it began in, and Until its end on that boot's clock:
	// seconds since the kernel started. The time of day may be set meanwhile.
	Boot  string  `json:"boot"`
	Until float64 `json:"until"`
}

// Try is Write for a change that is on trial from now on: until Confirm is
// called, Revert brings the present file back.
func (s Store) Try(text []byte, was string, t Trial) error {
	return s.locked(func() error {
		if err := s.writable(was); err != nil {
			return err
		}
		// First what brings the old file back, then the new file. If the power
		// goes in between, the old file replaces itself.
		if err := s.begin(t); err != nil {
			return fmt.Errorf("cannot put the change on trial: %w", err)
		}
		if err := s.put(text); err != nil {
			return errors.Join(err, os.RemoveAll(s.trial()))
		}
		return nil
	})
}

func (s Store) trial() string { return filepath.Join(s.dir, trialName) }

func (s Store) onTrial() bool {
	_, err := os.Lstat(s.trial())
	return err == nil
}

// begin makes the folder of the trial, whole or not at all.
func (s Store) begin(t Trial) error {
	temp, err := s.stage(s.trial())
	if err != nil {
		return err
	}
	state, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(filepath.Join(temp, trialStateName), state, 0o600); err != nil {
		return err
	}
	if err := os.Rename(temp, s.trial()); err != nil {
		return err
	}
	return sync(s.dir)
}

// Trial is the change on trial, nil if there is none. What cannot be read any
// more is over: its zero Trial belongs to no boot.
func (s Store) Trial() *Trial {
	if !s.onTrial() {
		return nil
	}
	var t Trial
	if text, err := os.ReadFile(filepath.Join(s.trial(), trialStateName)); err == nil && json.Unmarshal(text, &t) != nil {
		t = Trial{}
	}
	return &t
}

// Confirm keeps what is on trial.
func (s Store) Confirm() error {
	return s.locked(func() error {
		if !s.onTrial() {
			return &ConflictError{"nothing is on trial; perhaps the time was over and the change has been taken back"}
		}
		return s.endTrial()
	})
}

// Revert brings back the file that was there before what is on trial.
func (s Store) Revert() error {
	return s.locked(func() error {
		if !s.onTrial() {
			return nil // confirmed meanwhile
		}
		// A folder without its state is one that the disk has lost; without a
		// copy in it nothing says that there was no file before.
		if _, err := os.Stat(filepath.Join(s.trial(), trialStateName)); err == nil {
			if err := s.restore(filepath.Join(s.trial(), fileName)); err != nil {
				return fmt.Errorf("cannot take back what was on trial: %w", err)
			}
		}
		return s.endTrial()
	})
}

// endTrial makes the end of the trial one step.
func (s Store) endTrial() error {
	gone := s.trial() + ".old"
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	if err := os.Rename(s.trial(), gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := sync(s.dir); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}
