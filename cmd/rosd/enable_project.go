package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
)

// question is what is asked about a service file. One of a repository that is a
// folder may name files in it for the engine; services of the OS are alone, as
// are those of any other repository.
func (e *enabler) question(what string, file catalog.File, home string, env map[string]string) project.Request {
	req := project.Request{Path: file.Origin, Text: file.Text, Dir: file.Dir, Name: e.projectFor(what, file), Env: env}
	switch {
	case file.Dir == "":
		req.Dir, req.Remote = home, true
	case file.Repo != "":
		req.Home = home
	}
	return req
}

// newProject says which services of a file that is the same mean something else
// to the engine now, because of what the file names (.env, env_file, include) or
// of a variable of the config.
func newProject(stored []byte, fresh *project.Result) ([]string, error) {
	if fresh == nil || stored == nil {
		return nil, nil
	}
	var was project.Result
	if err := json.Unmarshal(stored, &was); err != nil {
		return nil, fmt.Errorf("%s: %w", storedResult, err)
	}
	before, err := meanings(was.Services)
	if err != nil {
		return nil, err
	}
	now, err := meanings(fresh.Services)
	if err != nil {
		return nil, err
	}
	return differences(before, now), nil
}

// newFiles is the same for services of the OS.
func (e *enabler) newFiles(kept catalog.Enabled, old catalog.Content, fresh *prepared) ([]string, error) {
	beside, err := readKept(old.Beside)
	if err != nil {
		return nil, fmt.Errorf("what %s was enabled with: %w", kept.Key, err)
	}
	in := compose.Setting{Home: kept.Home, Env: e.files.environment(), Files: beside.Read}
	if old.Project != nil {
		var stored project.Result
		if err := json.Unmarshal(old.Project, &stored); err != nil {
			return nil, fmt.Errorf("%s: %w", storedResult, err)
		}
		in.Resolve = func(string, []byte) compose.Resolved { return resolved(stored) }
	}
	was, _ := compose.ParseIn(kept.Origin, old.File, in)
	return differences(systemHashes(was), systemHashes(fresh.services)), nil
}

// systemHashes say what the containers of services of the OS are made from.
func systemHashes(services []compose.Service) map[string]string {
	all := map[string]string{}
	for _, s := range services {
		if s.Scope == compose.ScopeSystem {
			all[s.Name] = compose.DefinitionHash(s)
		}
	}
	return all
}

// differences are lines for people.
func differences(before, now map[string]string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, still := now[name]; !still {
			lines = append(lines, "-"+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch old, had := before[name]; {
		case !had:
			lines = append(lines, "+"+name)
		case old != now[name]:
			lines = append(lines, name+": what its file names, or a variable, has changed")
		}
	}
	return lines
}

// meanings are services as text, without their places in files and without their
// images' pins, which are compared by themselves.
func meanings(services []compose.Service) (map[string]string, error) {
	all := map[string]string{}
	for _, s := range services {
		c, err := project.Of(s)
		if err != nil {
			return nil, err
		}
		c.Pin = ""
		if s, err = project.With(s, c); err != nil {
			return nil, err
		}
		s.File, s.Line, s.DependsOn = "", 0, slices.Clone(s.DependsOn)
		for i := range s.DependsOn {
			s.DependsOn[i].Line = 0
		}
		text, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("internal error: service %q: %w", s.Name, err)
		}
		all[s.Name] = string(text)
	}
	return all, nil
}
