package main

import (
	"slices"

	"github.com/rosteros/ros/internal/compose"
)

// consolesDir keeps the consoles that were taken in.
const consolesDir = "/var/lib/rancher/consoles"

// setConsoles says which consoles' files count beside the others, from the next
// reading on.
func (f *serviceFiles) setConsoles(files ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.extra = files
}

// setAnew says whether what is written in consoles is lost with them, from the
// next reading on, and tells whether that differs.
func (f *serviceFiles) setAnew(anew bool) (differs bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	differs, f.anew = f.anew != anew, anew
	return differs
}

func (f *serviceFiles) hasConsole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.extra) > 0
}

// ephemeral makes the layers of services of some files such as do not stay.
func ephemeral(services []compose.Service, files []string) {
	for i := range services {
		if slices.Contains(files, services[i].File) {
			services[i].Persistent = false
		}
	}
}
