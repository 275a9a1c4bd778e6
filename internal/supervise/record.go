package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
)

// record is what a rosd writes down about one service for the next rosd of
// the same boot: <dir>/<service>.json. The folder lies in /run, so a reboot
// forgets it.
type record struct {
	State     State     `json:"state"`
	Next      State     `json:"next,omitempty"` // while stopping
	Own       bool      `json:"own,omitempty"`  // failed by itself: nothing but an operator ends that
	Reason    string    `json:"reason,omitempty"`
	Since     time.Time `json:"since"`
	Hash      string    `json:"hash,omitempty"` // Task.Hash of the last task
	ExitCode  *int      `json:"exit_code,omitempty"`
	Restarts  int       `json:"restarts,omitempty"`
	BootStart float64   `json:"boot_start,omitempty"`
	BootReady float64   `json:"boot_ready,omitempty"`
}

// settled says whether the service has to be left as it is: a one-shot does
// not run twice in a boot, and what an operator stopped stays stopped.
func (r record) settled() bool {
	return r.State == Done || r.State == Stopped || r.State == Failed && r.Own
}

// remember writes the record. A failure costs nothing now, so it is only
// logged.
func (m *machine) remember() {
	r := record{
		State: m.now.State, Reason: m.now.Reason, Since: m.now.Since, Own: m.failure == ofItself, Hash: m.ranWith,
		ExitCode: m.now.ExitCode, Restarts: m.now.Restarts, BootStart: m.now.BootStart, BootReady: m.now.BootReady,
	}
	if r.State == Stopping {
		r.Next = m.next
	}
	if err := r.write(m.sup.cfg.Dir, m.name); err != nil {
		m.sup.log.Warn("cannot write down the state of a service", "service", m.name, "error", err)
	}
}

func (r record) write(dir, service string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, service+".json"), text, 0o600) // from the hash somebody could guess a short secret
}

// readRecord returns the zero record for a service that has none.
func readRecord(dir, service string) (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(dir, service+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("%s.json: %w", service, err)
	}
	return r, nil
}
