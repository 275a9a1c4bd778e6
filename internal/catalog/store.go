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
// NAME.yml, which is the file, project.json, which is what the engine is told and
// what the file takes from other files, beside.json, which is what the files said
// that it names, and enabled.json.
type Store struct{ Dir string }

// Enabled is one of them.
type Enabled struct {
	Key      string            `json:"key"`            // as in rancher.services_include
	Name     string            `json:"name"`           // of the file, without its ending
	Origin   string            `json:"origin"`         // where it came from
	Home     string            `json:"home,omitempty"` // where relative paths in the file begin; "": where it is kept
	SHA256   string            `json:"sha256"`         // of the file
	Services []string          `json:"services"`
	Images   map[string]string `json:"images,omitempty"` // as the file names them: by their content
	Time     time.Time         `json:"time"`
}

// Folder is where what has a key is kept.
func (s Store) Folder(key string) string {
	return filepath.Join(s.Dir, base(key)+"-"+sum([]byte(key))[:8])
}

// File is the path of the service file, and Project that of what Content calls so.
func (s Store) File(e Enabled) string     { return filepath.Join(s.Folder(e.Key), e.Name+".yml") }
func (s Store) Project(key string) string { return filepath.Join(s.Folder(key), projectFile) }

// Get returns what is kept under a key; fs.ErrNotExist if there is nothing.
func (s Store) Get(key string) (Enabled, error) {
	e, err := s.In(s.Folder(key))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return e, fmt.Errorf("enabled.json of %s: %w", key, err)
	}
	return e, err
}

// Content is what is kept of a service file beside the note.
type Content struct {
	File    []byte
	Project []byte // what the engine is told, and what the file takes from others; nil: nothing
	Beside  []byte // what the files that it names said; nil: it names none
}

// Put keeps a service file. Either all of it is there afterwards, or what was
// there before: a power cut leaves no half of it.
func (s Store) Put(e Enabled, c Content) error {
	if err := s.put(e, c); err != nil {
		return fmt.Errorf("cannot keep service file %q: %w", e.Key, err)
	}
	return nil
}

func (s Store) put(e Enabled, c Content) error {
	e.SHA256 = sum(c.File)
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
	files := map[string][]byte{e.Name + ".yml": c.File, noteFile: append(note, '\n'), projectFile: c.Project, besideFile: c.Beside}
	for name, text := range files {
		if err := atomicfile.WriteFile(filepath.Join(fresh, name), text, 0o600); err != nil {
			return err
		}
	}
	dir := s.Folder(e.Key)
	if err := adopt(dir); err != nil { // what an earlier Put could not end
		return err
	}
	if err := os.Rename(fresh, dir+nextEnd); err != nil {
		return err
	}
	return adopt(dir)
}

const (
	noteFile    = "enabled.json"
	goneFile    = noteFile + ".gone" // what the note becomes when all is to go
	projectFile = "project.json"
	besideFile  = "beside.json"
	nextEnd     = ".next" // of the folder with what is to come into one
)

// adopt moves what is to come into a folder there, one file after the other. It
// can be done again from any point on. The folder itself stays: data of
// containers may be in it. An empty file stands for one that is to go.
func adopt(dir string) error {
	next := dir + nextEnd
	entries, err := os.ReadDir(next)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(next, entry.Name()), filepath.Join(dir, entry.Name())
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Size() > 0 {
			err = os.Rename(from, to)
		} else if err = remove(to); err == nil {
			err = os.Remove(from)
		}
		if err != nil {
			return err
		}
	}
	return os.Remove(next)
}

// remove takes a file or an empty folder away, if it is there.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Recover ends what a power cut has left half done.
func (s Store) Recover() error {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		path := filepath.Join(s.Dir, entry.Name())
		dir, end := strings.TrimSuffix(path, filepath.Ext(path)), filepath.Ext(path)
		switch {
		case strings.HasPrefix(entry.Name(), ".new-"):
			err = errors.Join(err, os.RemoveAll(path))
		case end == nextEnd:
			err = errors.Join(err, adopt(dir))
		case end == ".old": // earlier versions moved the folder aside
			err = errors.Join(err, recoverOld(path, dir))
		case halfGone(path):
			err = errors.Join(err, clean(path))
		}
	}
	return err
}

func recoverOld(old, dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return os.Rename(old, dir)
	}
	return clean(old)
}

// Remove forgets what is kept under a key. Nothing else goes: the data of
// containers are not the store's.
func (s Store) Remove(key string) error {
	dir := s.Folder(key)
	if err := adopt(dir); err != nil {
		return err
	}
	return clean(dir)
}

// halfGone says whether a folder has been cleaned in part.
func halfGone(dir string) bool {
	_, here := os.Stat(filepath.Join(dir, noteFile))
	_, gone := os.Stat(filepath.Join(dir, goneFile))
	return errors.Is(here, fs.ErrNotExist) && gone == nil
}

// clean takes the store's own files out of a folder, and the folder when nothing
// else is in it. The note comes first: without it nothing is kept. It goes last,
// under another name, for it says which files are the store's.
func clean(dir string) error {
	err := os.Rename(filepath.Join(dir, noteFile), filepath.Join(dir, goneFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	own := owned(dir)
	for _, name := range own {
		if err := remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, entry := range entries {
		if !slices.Contains(own, entry.Name()) {
			return nil
		}
	}
	return remove(dir)
}

// owned are the names of the files that the store has written into a folder, the
// note as the last.
func owned(dir string) []string {
	names := []string{projectFile, besideFile}
	for _, note := range []string{noteFile, goneFile} {
		if e, err := readNote(filepath.Join(dir, note)); err == nil {
			names = append(names, e.Name+".yml")
		}
	}
	return append(names, noteFile, goneFile)
}

// Home is where relative paths in the service file of a key begin. own is the
// folder of the file; "": it has none on the machine, and gets one beside the
// store, which nothing removes. Earlier versions let such paths begin in the
// store, so data that are there already stay in use.
func (s Store) Home(key, own string) string {
	dir := s.Folder(key)
	entries, _ := os.ReadDir(dir) // none: nothing is there
	known := owned(dir)
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(known, e.Name()) }) {
		return dir
	}
	if own != "" {
		return own
	}
	return filepath.Join(s.Dir+"-data", filepath.Base(dir))
}

// In returns what a folder of the store keeps.
func (s Store) In(folder string) (Enabled, error) { return readNote(filepath.Join(folder, noteFile)) }

func readNote(path string) (Enabled, error) {
	var e Enabled
	text, err := os.ReadFile(path)
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

// Content is what is kept of a service file.
func (s Store) Content(e Enabled) (c Content, err error) {
	if c.File, err = os.ReadFile(s.File(e)); err != nil {
		return Content{}, err
	}
	if c.Project, err = maybe(s.Project(e.Key)); err != nil {
		return c, err
	}
	c.Beside, err = s.Beside(e.Key)
	return c, err
}

// Beside is what the files said that the service file of a key names; nil: it
// names none.
func (s Store) Beside(key string) ([]byte, error) {
	return maybe(filepath.Join(s.Folder(key), besideFile))
}

// maybe reads a file that need not be there.
func maybe(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
