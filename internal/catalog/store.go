package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
)

// Store keeps the service files that are enabled, as they were then, so that a
// boot needs neither a network nor the repository: a folder for each with
// NAME.yml, which is the file, project.json, which is what the engine is told,
// and enabled.json.
type Store struct{ Dir string }

// Enabled is one of them.
type Enabled struct {
	Key      string            `json:"key"`    // as in rancher.services_include
	Name     string            `json:"name"`   // of the file, without its ending
	Origin   string            `json:"origin"` // where it came from
	SHA256   string            `json:"sha256"` // of the file
	Services []string          `json:"services"`
	Images   map[string]string `json:"images,omitempty"` // as the file names them: by their content
	Time     time.Time         `json:"time"`
}

// Folder is where what has a key is kept.
func (s Store) Folder(key string) string {
	return filepath.Join(s.Dir, base(key)+"-"+sum([]byte(key))[:8])
}

// File is the path of the service file, and Project that of what the engine is
// told.
func (s Store) File(e Enabled) string     { return filepath.Join(s.Folder(e.Key), e.Name+".yml") }
func (s Store) Project(key string) string { return filepath.Join(s.Folder(key), "project.json") }

// Get returns what is kept under a key; fs.ErrNotExist if there is nothing.
func (s Store) Get(key string) (Enabled, error) {
	var e Enabled
	text, err := os.ReadFile(filepath.Join(s.Folder(key), "enabled.json"))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("enabled.json of %s: %w", key, err)
	}
	return e, nil
}

// Put keeps a service file. Either all of it is there afterwards, or what was
// there before: a power cut leaves no half of it.
func (s Store) Put(e Enabled, file, project []byte) error {
	if err := s.put(e, file, project); err != nil {
		return fmt.Errorf("cannot keep service file %q: %w", e.Key, err)
	}
	return nil
}

func (s Store) put(e Enabled, file, project []byte) error {
	e.SHA256 = sum(file)
	note, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil { // a project may have secrets in it
		return err
	}
	fresh, err := os.MkdirTemp(s.Dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	files := map[string][]byte{e.Name + ".yml": file, "enabled.json": append(note, '\n')}
	if project != nil {
		files["project.json"] = project
	}
	for name, text := range files {
		if err := atomicfile.WriteFile(filepath.Join(fresh, name), text, 0o600); err != nil {
			return err
		}
	}
	dir := s.Folder(e.Key)
	old := dir + ".old"
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// Recover ends what a power cut has left half done.
func (s Store) Recover() error {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		path := filepath.Join(s.Dir, entry.Name())
		switch dir, old := cutOld(path); {
		case filepath.Ext(entry.Name()) == ".old" && old:
			if _, missing := os.Stat(dir); missing != nil {
				err = errors.Join(err, os.Rename(path, dir))
				continue
			}
			fallthrough
		case len(entry.Name()) > 5 && entry.Name()[:5] == ".new-":
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}

func cutOld(path string) (string, bool) {
	if filepath.Ext(path) != ".old" {
		return path, false
	}
	return path[:len(path)-len(".old")], true
}

// Remove forgets what is kept under a key.
func (s Store) Remove(key string) error { return os.RemoveAll(s.Folder(key)) }

// In returns what a folder of the store keeps.
func (s Store) In(folder string) (Enabled, error) {
	var e Enabled
	text, err := os.ReadFile(filepath.Join(folder, "enabled.json"))
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(text, &e)
}

// All are those that can be read, by key.
func (s Store) All() []Enabled {
	folders, _ := os.ReadDir(s.Dir) // none: nothing is kept
	var list []Enabled
	for _, folder := range folders {
		if e, err := s.In(filepath.Join(s.Dir, folder.Name())); err == nil && s.Folder(e.Key) == filepath.Join(s.Dir, folder.Name()) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Enabled) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// Content is the file that is kept, and what the engine is told; nil: nothing.
func (s Store) Content(e Enabled) (file, project []byte, err error) {
	if file, err = os.ReadFile(s.File(e)); err != nil {
		return nil, nil, err
	}
	project, err = os.ReadFile(s.Project(e.Key))
	if errors.Is(err, fs.ErrNotExist) {
		return file, nil, nil
	}
	return file, project, err
}
