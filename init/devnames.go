package main

import (
	"errors"
	"os"
	"path/filepath"
)

// descriptors are names in /dev that shells use and the kernel does not make:
// bash's <(command) is a file below /dev/fd. Everything that has the machine's
// /dev sees them, the console too.
var descriptors = map[string]string{
	"fd":     "/proc/self/fd",
	"stdin":  "/proc/self/fd/0",
	"stdout": "/proc/self/fd/1",
	"stderr": "/proc/self/fd/2",
}

// nameDescriptors makes them; one that is there is left alone.
func nameDescriptors(dev string) error {
	var faults []error
	for name, target := range descriptors {
		if err := os.Symlink(target, filepath.Join(dev, name)); !errors.Is(err, os.ErrExist) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
