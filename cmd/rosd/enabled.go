package main

import (
	"encoding/json"
	"path/filepath"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
)

// enabledDir keeps the service files that are enabled.
const enabledDir = "/var/lib/rancher/enabled"

// enabledFiles are the service files that are kept.
type enabledFiles struct{ catalog.Store }

// enabledFile is one of them.
type enabledFile struct {
	path string
	home string       // where relative paths in it begin; "": beside it
	kept compose.Kept // what the files said that it names
}

// file is what is kept under a key; the zero value: nothing.
func (e enabledFiles) file(key string) enabledFile {
	note, err := e.Get(key)
	if err != nil {
		return enabledFile{}
	}
	// What cannot be read is as if no file were there: the service that names
	// one says which.
	beside, _ := e.Beside(key)
	kept, _ := readKept(beside)
	return enabledFile{e.File(note), note.Home, kept}
}

// readKept is what files said; of nothing, it is empty.
func readKept(text []byte) (compose.Kept, error) {
	kept := compose.Kept{}
	if len(text) == 0 {
		return kept, nil
	}
	err := json.Unmarshal(text, &kept)
	return kept, err
}

// writeKept is the text of what files said; nil: there were none.
func writeKept(kept compose.Kept) ([]byte, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	return json.Marshal(kept)
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
