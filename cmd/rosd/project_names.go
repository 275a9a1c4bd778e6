package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
)

// composeFiles are the names that say nothing about what is in the file.
var composeFiles = []string{"compose.yml", "compose.yaml", "docker-compose.yml", "docker-compose.yaml"}

// projectName is the name that a project has by the place of its file: that of
// the file, or as with docker compose that of the folder when all such files have
// the same name.
func projectName(file string) string {
	folder := path.Base(path.Dir(file))
	if slices.Contains(composeFiles, path.Base(file)) && strings.ContainsFunc(folder, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return folder
	}
	return plainName(file)
}

func plainName(file string) string { return strings.TrimSuffix(path.Base(file), path.Ext(file)) }

// nameInPlace is the name of the project of a file that is read where it lies.
// Volumes go by that name, so what it was at first stays. Earlier versions always
// took the file's name; their answers are in the cache.
func (p *projects) nameInPlace(from compose.Sources, req project.Request) string {
	plain, name := plainName(req.Path), projectName(req.Path)
	if name == plain || slices.Contains(from.Dirs, req.Dir) { // the files of one folder differ in their names
		return plain
	}
	known := p.known()
	if first := known[req.Path]; first != "" {
		return first
	}
	name = cmp.Or(p.answered(req.Path), name)
	known[req.Path] = name
	text, err := json.Marshal(known)
	if err == nil {
		err = atomicfile.WriteFile(p.names, text, 0o600)
	}
	if err != nil {
		p.log.Warn("cannot keep the name of a project", "file", req.Path, "error", err)
	}
	return name
}

// known are the names that projects of files in place have had first.
func (p *projects) known() map[string]string {
	known := map[string]string{}
	if text, err := os.ReadFile(p.names); err == nil {
		if err := json.Unmarshal(text, &known); err != nil {
			p.log.Warn("names of projects", "file", p.names, "error", err)
		}
	}
	return known
}

// answered is the project in any answer about a file that is in the cache,
// whatever stood in the file then; "": there is none.
func (p *projects) answered(file string) string {
	list, _ := filepath.Glob(filepath.Join(p.cache, "*.json")) // the pattern is right
	for _, name := range list {
		result, err := readResult(name)
		if err != nil {
			continue
		}
		services := slices.DeleteFunc(result.Services, func(s compose.Service) bool { return s.File != file })
		if name := projectOf(services); name != "" {
			return name
		}
	}
	return ""
}

// projectOf is the name of the project that services of scope user are in; "":
// they are in none.
func projectOf(services []compose.Service) string {
	for _, s := range services {
		if c, err := project.Of(s); s.Scope == compose.ScopeUser && err == nil {
			return c.Project
		}
	}
	return ""
}

// projectHad is the name of the project that a key stands for already: as it was
// enabled, or as its file is or was read where it lies.
func (e *enabler) projectHad(key string) string {
	if stored, err := readResult(e.store.Project(key)); err == nil && len(stored.Services) > 0 {
		return projectOf(stored.Services)
	}
	return cmp.Or(projectOf(e.files.of(key)), e.files.projects.known()[key])
}

// projectFor is the name for the project of a file that has none itself.
func (e *enabler) projectFor(key string, file catalog.File) string {
	if had := e.projectHad(key); had != "" {
		return had
	}
	if file.Repo != "" {
		return file.Name
	}
	where, _, _ := strings.Cut(file.Origin, "?")
	if !catalog.IsAddress(where) {
		return projectName(where)
	}
	_, where, _ = strings.Cut(where, "://")
	_, where, _ = strings.Cut(where, "/") // the host names no project
	name := projectName("/" + where)
	if e.projectPlace(name, key) != "" { // whoever reads somebody else's file cannot give it a name
		sum := sha256.Sum256([]byte(key))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// sole refuses the name of a project that another file has: they would share
// their volumes. One that a key has had before is its own.
func (e *enabler) sole(p *prepared) error {
	if p.project == nil {
		return nil
	}
	name := projectOf(p.project.Services)
	if name == "" || name == e.projectHad(p.kept.Key) {
		return nil
	}
	if place := e.projectPlace(name, p.kept.Key); place != "" {
		return fmt.Errorf("there is a project %q already, from %s: give this one another name (\"name:\" in the file)", name, place)
	}
	return nil
}

// projectPlace is where a project is that a key has not; "": nowhere.
func (e *enabler) projectPlace(name, key string) string {
	if place := e.files.projectFile(name); place != "" {
		return place
	}
	for _, kept := range e.store.All() {
		if kept.Key != key && e.projectHad(kept.Key) == name {
			return kept.Key
		}
	}
	return ""
}

// of are the services of one file.
func (f *serviceFiles) of(file string) []compose.Service {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.all), func(s compose.Service) bool { return s.File != file })
}

// projectFile is the file that has a project; "": none.
func (f *serviceFiles) projectFile(name string) string {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.all, func(s compose.Service) bool { return projectOf([]compose.Service{s}) == name })
	if i < 0 {
		return ""
	}
	return f.all[i].File
}

func (p *projects) cached(req project.Request) string {
	return filepath.Join(p.cache, keyOf(req)+".json")
}
