package main

import (
	"path/filepath"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
)

// enabledDir keeps the service files that are enabled.
const enabledDir = "/var/lib/rancher/enabled"

// enabledFiles are the service files that are kept.
type enabledFiles struct{ catalog.Store }

// file is where the file of a key is kept, and where relative paths in it begin;
// "": it is not kept, or they begin beside it.
func (e enabledFiles) file(key string) (path, home string) {
	kept, err := e.Get(key)
	if err != nil {
		return "", ""
	}
	return e.File(kept), kept.Home
}

// pin gives services of the OS the images that were found when they were
// enabled. Those of the engine have theirs in their project.
func (e enabledFiles) pin(services []compose.Service) {
	known := map[string]map[string]string{}
	for i, s := range services {
		dir := filepath.Dir(s.File)
		if s.Scope != compose.ScopeSystem || filepath.Dir(dir) != e.Dir {
			continue
		}
		if known[dir] == nil {
			kept, _ := e.In(dir)
			known[dir] = kept.Images
		}
		if pin := known[dir][s.Image]; pin != "" {
			services[i].Image = pin
		}
	}
}
