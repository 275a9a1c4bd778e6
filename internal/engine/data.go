package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rosteros/ros/internal/atomicfile"
)

// dataNote lies beside the data of engines, so that it goes where they go.
const dataNote = "ros-engine.json"

// newestKnown is the newest major version whose data engines before it were
// seen to use.
const newestKnown = 29

// Data is which engine has used a folder of data last, and how it keeps images.
type Data struct {
	Engine  string `json:"engine"`
	Version string `json:"version"`
	Driver  string `json:"driver"` // "overlayfs": images are in containerd; "overlay2": in dockerd's own folders
}

// ReadData returns what a folder of data says about itself; a zero Data when
// it says nothing.
func ReadData(dir string) (Data, error) {
	text, err := os.ReadFile(filepath.Join(dir, dataNote))
	if errors.Is(err, fs.ErrNotExist) {
		return Data{}, nil
	}
	var d Data
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		return Data{}, fmt.Errorf("cannot find out which engine has used %s: %w", dir, err)
	}
	return d, nil
}

// Write writes the note into a folder of data, unless it says the same.
func (d Data) Write(dir string) error {
	if have, err := ReadData(dir); err == nil && have == d {
		return nil
	}
	text, err := json.Marshal(d)
	if err == nil {
		err = atomicfile.WriteFile(filepath.Join(dir, dataNote), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot note which engine uses %s: %w", dir, err)
	}
	return nil
}

// Takes says why an engine of a version cannot use these data; nil: it can.
func (d Data) Takes(version string) error {
	switch have, next := Major(d.Version), Major(version); {
	case have == 0 || next >= have:
		return nil
	case have > newestKnown:
		return fmt.Errorf("its data were last used by Docker %s (%s), and what that writes Docker %s may not understand", d.Version, d.Engine, version)
	}
	return nil
}
