package main

import (
	"slices"

	"github.com/rosteros/ros/internal/compose"
)

// consolesDir keeps the consoles that were taken in.
const consolesDir = "/var/lib/rancher/consoles"

// setConsoles says which consoles' files count beside the others, from the next
// reading on, and whether what is written in them is lost with them.
func (f *serviceFiles) setConsoles(anew bool, files ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.extra, f.anew = files, anew
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
