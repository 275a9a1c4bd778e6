// Package preload loads archives of images that lie in a folder, each once.
//
// It owns which archives of the folder have been loaded, and nothing of what
// loading is: that is a function, one for the system containerd and one for
// Docker (docker.go). An archive is written down after it has been loaded, so
// one that the power went away under is loaded again. The record lies with the
// images: where they are lost, the archives are loaded again.
package preload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/images"
)

// Folder is a folder of archives. Every field must be set before use.
type Folder struct {
	Dir    string // what is in it: *.tar, *.tar.gz, *.tar.xz, *.tar.zst, and .tgz and the like
	Record string // file that says what has been loaded
	Log    *slog.Logger

	// Load takes the images out of an archive of size bytes and returns their
	// names.
	Load func(ctx context.Context, r io.Reader, size int64) (images []string, err error)

	running sync.Mutex // one Run at a time
}

// Loaded is what became of one archive.
type Loaded struct {
	File   string   // in the folder
	Images []string // that were in it
	Err    error
}

// entry is one archive that has been loaded. An archive with another size or
// time is another archive.
type entry struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Images   []string  `json:"images,omitempty"`
}

var endings = []string{".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"}

// Pending are the archives that have not been loaded, by name. A folder that is
// not there has none.
func (f *Folder) Pending() ([]string, error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot look for images to load: %w", err)
	}
	loaded := f.loaded()
	var pending []string
	for _, e := range entries {
		isArchive := slices.ContainsFunc(endings, func(end string) bool { return strings.HasSuffix(e.Name(), end) })
		if !isArchive || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(f.Dir, e.Name())) // a link may lead to the archive
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if was, ok := loaded[e.Name()]; !ok || was.Size != info.Size() || !was.Modified.Equal(info.ModTime()) {
			pending = append(pending, e.Name())
		}
	}
	return pending, nil
}

// loaded is what the record says; one that cannot be read counts as none.
func (f *Folder) loaded() map[string]entry {
	all := map[string]entry{}
	text, err := os.ReadFile(f.Record)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Log.Warn("cannot tell which archives of images have been loaded, loading all", "error", err)
		return map[string]entry{}
	}
	return all
}

// Run loads what is pending, in the order of the names. An archive that cannot
// be loaded does not stop the others, and is tried again by the next Run. say is
// told how far each is; nil: nobody wants to know.
func (f *Folder) Run(ctx context.Context, say func(images.Event)) ([]Loaded, error) {
	f.running.Lock()
	defer f.running.Unlock()
	pending, err := f.Pending()
	if err != nil {
		return nil, err
	}
	var done []Loaded
	for _, name := range pending {
		if ctx.Err() != nil {
			return done, ctx.Err()
		}
		f.Log.Info("loading images", "file", filepath.Join(f.Dir, name))
		images, err := f.one(ctx, name, say)
		if err != nil {
			err = fmt.Errorf("cannot load images from %s: %w", filepath.Join(f.Dir, name), err)
			f.Log.Error(err.Error())
		} else {
			f.Log.Info("loaded images", "file", filepath.Join(f.Dir, name), "images", strings.Join(images, " "))
		}
		done = append(done, Loaded{name, images, err})
	}
	return done, nil
}

func (f *Folder) one(ctx context.Context, name string, say func(images.Event)) ([]string, error) {
	file, err := os.Open(filepath.Join(f.Dir, name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	found, err := f.Load(ctx, Watched(file, name, info.Size(), say), info.Size())
	if err != nil {
		return nil, err
	}
	all := f.loaded()
	all[name] = entry{info.Size(), info.ModTime(), found}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return found, err
	}
	return found, atomicfile.WriteFile(f.Record, append(text, '\n'), 0o600)
}
