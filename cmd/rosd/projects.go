package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
)

const (
	// projectProgram reads service files for the engine.
	projectProgram = "/usr/lib/ros/project"
	// projectCache is what it said about files that have not changed.
	projectCache = "/var/lib/rancher/cache/projects"
	// projectNames are those of projects whose files do not say it.
	projectNames = "/var/lib/rancher/projects.json"
	// projectBound is how long it may take.
	projectBound = 30 * time.Second
)

// projects fills in the services of scope user, which package compose only
// names, and writes out files that take something from others.
type projects struct {
	cache string
	names string // file
	load  func(ctx context.Context, req project.Request) (project.Result, error)
	log   *slog.Logger
}

func newProjects(log *slog.Logger) *projects {
	return &projects{cache: projectCache, names: projectNames, load: runProject, log: log}
}

// asking is one reading of all files, in which each is asked about once.
type asking struct {
	*projects
	from  compose.Sources
	known bool
	told  map[string]project.Result
}

// asking begins one. With known, what was said about a file before counts as long
// as the file is the same; what the file names may have changed meanwhile.
func (p *projects) asking(from compose.Sources, known bool) *asking {
	return &asking{p, from, known, map[string]project.Result{}}
}

func (a *asking) about(file string) project.Result {
	result, done := a.told[file]
	if !done {
		result = a.file(a.from, file, a.known)
		a.told[file] = result
	}
	return result
}

// resolve is a compose.Resolver.
func (a *asking) resolve(file string, _ []byte) compose.Resolved {
	return resolved(a.about(file))
}

// resolved is a file as it was written out; one that an earlier version has asked
// about was not.
func resolved(result project.Result) compose.Resolved {
	if result.Resolved == nil {
		return compose.Resolved{}
	}
	return *result.Resolved
}

// fill puts what the engine is to be told into the services of scope user. In
// place of those that it cannot be told about there are faults.
func (a *asking) fill(services []compose.Service, faults []compose.Fault) ([]compose.Service, []compose.Fault) {
	var files []string
	for _, s := range services {
		if s.Scope == compose.ScopeUser && !slices.Contains(files, s.File) {
			files = append(files, s.File)
		}
	}
	for _, file := range files {
		stubs, rest := split(services, file)
		result := a.about(file)
		more, wrong := included(file, stubs, rest, faults, result.Services)
		services = append(rest, a.accept(append(stubs, more...), &result)...)
		faults = slices.Concat(faults, result.Faults, wrong)
	}
	return services, faults
}

// split takes the services of scope user of one file out of all.
func split(all []compose.Service, file string) (stubs, rest []compose.Service) {
	for _, s := range all {
		if s.Scope == compose.ScopeUser && s.File == file {
			stubs = append(stubs, s)
		} else {
			rest = append(rest, s)
		}
	}
	return stubs, rest
}

// included are the stubs of the services that a file has from others (include).
// A name that is taken costs only the service.
func included(file string, stubs, rest []compose.Service, faults []compose.Fault, loaded []compose.Service) (more []compose.Service, wrong []compose.Fault) {
	for _, s := range loaded {
		named := func(have compose.Service) bool { return have.Name == s.Name }
		told := func(f compose.Fault) bool { return f.File == file && f.Key == "services."+s.Name }
		if slices.ContainsFunc(stubs, named) || slices.ContainsFunc(faults, told) { // it stands in the file itself
			continue
		}
		place := ""
		if i := slices.IndexFunc(rest, named); i >= 0 {
			place = fmt.Sprintf("%s:%d", rest[i].File, rest[i].Line)
		} else if i := slices.IndexFunc(faults, func(f compose.Fault) bool { return f.Service == s.Name }); i >= 0 {
			place = fmt.Sprintf("%s:%d", faults[i].File, faults[i].Line)
		}
		if place != "" {
			wrong = append(wrong, compose.Fault{File: file, Line: s.Line, Key: "include",
				Message: fmt.Sprintf("there is a service %q already, from %s", s.Name, place)})
			continue
		}
		more = append(more, compose.Service{Name: s.Name, File: file, Line: s.Line, Scope: compose.ScopeUser})
	}
	return more, wrong
}

// accept takes what can be used of a result. A name that another file has is no
// stub any more, so it is left out here too; what has faults has no services.
func (p *projects) accept(stubs []compose.Service, result *project.Result) []compose.Service {
	var taken []compose.Service
	for _, s := range result.Services {
		i := slices.IndexFunc(stubs, func(stub compose.Service) bool { return stub.Name == s.Name })
		if i < 0 {
			continue
		}
		s.File, s.Line, s.Required, s.StartLast = stubs[i].File, stubs[i].Line, stubs[i].Required, stubs[i].StartLast
		s.DependsOn = append(s.DependsOn, compose.Dependency{Service: dockerService, Condition: compose.Healthy, Required: true, Line: s.Line})
		taken = append(taken, s)
	}
	if len(result.Faults) == 0 {
		return taken
	}
	for _, stub := range stubs { // each is listed with the reason
		if slices.ContainsFunc(result.Faults, func(f compose.Fault) bool { return f.Service == stub.Name }) {
			continue
		}
		result.Faults = append(result.Faults, compose.Fault{File: stub.File, Line: stub.Line, Key: "services." + stub.Name, Service: stub.Name,
			Message: "its project cannot be used: " + result.Faults[0].Error()})
	}
	return nil
}

// file is what the engine is to be told about one service file.
func (p *projects) file(from compose.Sources, file string, known bool) project.Result {
	if stored, err := readResult(filepath.Join(filepath.Dir(file), storedResult)); err == nil {
		return stored // enabled: it is as it was then
	}
	req, lines, err := p.request(from, file)
	if err != nil {
		return unread(file, err)
	}
	cached := p.cached(req)
	if known {
		if result, err := readResult(cached); err == nil {
			return result
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), projectBound)
	defer cancel()
	result, err := p.load(ctx, req)
	if err != nil {
		return unread(file, err)
	}
	if lines != nil {
		result.Faults = inConfig(result.Faults, lines)
	}
	if err := writeResult(cached, result); err != nil {
		p.log.Warn("a service file has to be read again at the next boot", "file", file, "error", err)
	}
	return result
}

// unread is the answer about a file when there is none.
func unread(file string, err error) project.Result {
	faults := []compose.Fault{{File: file, Message: err.Error()}}
	return project.Result{Faults: faults, Resolved: &compose.Resolved{Faults: faults}}
}

// request asks about a file. lines are where the services stand when the file is
// a part of the config.
func (p *projects) request(from compose.Sources, file string) (project.Request, map[string]int, error) {
	req := project.Request{Path: file, Dir: filepath.Dir(file), Env: from.Env}
	config := slices.DeleteFunc(slices.Clone(from.Config), func(c compose.ConfigService) bool { return c.File != file })
	if len(config) > 0 {
		text, lines, err := compose.UserFile(config)
		req.Text, req.Name = text, "config"
		return req, lines, err
	}
	text, err := os.ReadFile(file)
	req.Text = text
	req.Name = p.nameInPlace(from, req)
	return req, nil, err
}

// inConfig gives faults the places that people know.
func inConfig(faults []compose.Fault, lines map[string]int) []compose.Fault {
	for i, f := range faults {
		faults[i].Line, faults[i].Column = lines[f.Service], 0
		if f.Key != "" {
			faults[i].Key = "rancher." + f.Key
		}
	}
	return faults
}

func keyOf(req project.Request) string {
	text, _ := json.Marshal(req) // maps are written in order
	sum := sha256.Sum256(append(text, resultVersion...))
	return hex.EncodeToString(sum[:16])
}

// storedResult stands beside the service file of an enabled service.
const storedResult = "project.json"

// resultVersion changes when the same file comes to mean something else.
const resultVersion = "3"

func readResult(path string) (project.Result, error) {
	var r project.Result
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

func writeResult(path string, r project.Result) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // there may be secrets in it
		return err
	}
	return atomicfile.WriteFile(path, text, 0o600)
}

// runProject asks the program.
func runProject(ctx context.Context, req project.Request) (project.Result, error) {
	var result project.Result
	in, err := json.Marshal(req)
	if err != nil {
		return result, err
	}
	cmd := exec.CommandContext(ctx, projectProgram)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = fmt.Errorf("%s", bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return result, fmt.Errorf("cannot be read for the engine: %w", err)
	}
	return result, json.Unmarshal(out, &result)
}
