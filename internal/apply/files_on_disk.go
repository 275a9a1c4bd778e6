package apply

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rosteros/ros/internal/atomicfile"
)

// appliedDir has what each applier must remember in order to undo it.
const appliedDir = "run/ros/applied"

func put(path string, text []byte, perm os.FileMode) (changed bool, err error) {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm() == perm {
			return false, nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	return true, atomicfile.WriteFile(path, text, perm)
}

// remove removes a file that may not be there.
func (h *Host) remove(path string) (changed bool, err error) {
	err = os.Remove(h.Path(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// remember keeps what an applier did, for its next run.
func (h *Host) remember(applier string, what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	_, err = h.put(appliedDir+"/"+applier+".json", text, 0o600)
	return err
}

// recall reads that. Nothing remembered leaves what alone.
func (h *Host) recall(applier string, what any) error {
	text, err := os.ReadFile(h.Path(appliedDir, applier+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, what)
}
