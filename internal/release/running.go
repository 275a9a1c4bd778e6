package release

import (
	"encoding/json"
	"fmt"
	"os"
)

// RunningFile is where an OS image says what it is.
const RunningFile = "/usr/lib/ros/release.json"

// KeysDir is where an OS image has the public keys of those whose releases it
// takes. An image that was built without a key has no such folder.
const KeysDir = "/usr/share/ros/keys"

// Running is what an OS image says about itself: RunningFile. It is part of the
// image, so the manifest, which has the image's digest, can say more.
type Running struct {
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Flavour string `json:"flavour"`
	Kernel  string `json:"kernel"`
	Floor   string `json:"floor"` // see Manifest
}

// ReadRunning reads what an OS image says about itself.
func ReadRunning(file string) (Running, error) {
	var r Running
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("cannot tell which release runs: %w", err)
	}
	return r, nil
}
