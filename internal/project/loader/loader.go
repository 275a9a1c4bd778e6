// Package loader reads the services of scope user out of a Compose file: what
// compose-go makes of it, told to the engine as docker compose would tell it.
//
// It is linked by cmd/project alone. It knows no engine and no network: the
// answer to a Request depends on the request and on the files it names.
//
// What docker compose passes over in silence (a key that only a swarm knows, a
// variable that is not set) is a fault here, with file, line and key.
package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/yamldoc"
)

// Load reads the services of scope user of one file, and writes it out for those
// of scope system when they may take something from others.
func Load(ctx context.Context, req project.Request) project.Result {
	var whole *compose.Resolved
	in := compose.Setting{Env: req.Env, Resolve: func(string, []byte) compose.Resolved {
		resolved := resolve(ctx, req)
		whole = &resolved
		return resolved
	}}
	stubs, _ := compose.ParseIn(req.Path, req.Text, in) // whoever asks has told these faults
	stubs = slices.DeleteFunc(stubs, func(s compose.Service) bool { return s.Scope != compose.ScopeUser })
	result := forUser(ctx, req, stubs, whole != nil && len(whole.Faults) == 0)
	result.Resolved = whole
	return result
}

// forUser reads the services of scope user. In a file that was written out the
// stubs are all there are.
func forUser(ctx context.Context, req project.Request, stubs []compose.Service, resolved bool) project.Result {
	c := &checker{path: req.Path, remote: req.Remote}
	doc, wrong := yamldoc.Parse(req.Text)
	if doc == nil || len(wrong) > 0 || len(stubs) == 0 {
		for _, w := range wrong {
			c.add(w)
		}
		return project.Result{Faults: c.faults}
	}
	c.root = doc.Root()
	c.check(stubs)
	if len(c.faults) > 0 {
		return project.Result{Faults: c.faults}
	}
	p, err := read(ctx, req)
	if err != nil {
		c.explain(err)
		return project.Result{Faults: c.faults}
	}
	if !resolved {
		stubs = append(stubs, c.included(p, stubs)...)
	}
	var loaded []compose.Service
	for _, stub := range stubs {
		s, ok := p.Services[stub.Name]
		if !ok {
			continue // its profile is not switched on
		}
		t := translation{checker: c, project: p, service: s, path: yamldoc.Path{"services", s.Name}}
		t.translate(&stub)
		loaded = append(loaded, stub)
	}
	if len(c.faults) > 0 {
		loaded = nil
	}
	ownHealth(loaded)
	return project.Result{Services: loaded, Faults: c.faults}
}

// ownHealth lets rosd ask for the health of those that somebody waits for and
// whose healthcheck can only be that of their image.
func ownHealth(loaded []compose.Service) {
	awaited := map[string]bool{}
	for _, s := range loaded {
		for _, d := range s.DependsOn {
			awaited[d.Service] = awaited[d.Service] || d.Condition == compose.Healthy
		}
	}
	for i, s := range loaded {
		if awaited[s.Name] && s.Healthcheck == nil {
			loaded[i].Healthcheck = &compose.Healthcheck{
				Interval: 30 * time.Second, Timeout: 30 * time.Second, StartInterval: 5 * time.Second, Retries: 3,
			}
		}
	}
}

// included are the services that come from other files.
func (c *checker) included(p *types.Project, stubs []compose.Service) []compose.Service {
	var more []compose.Service
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		here := slices.ContainsFunc(stubs, func(s compose.Service) bool { return s.Name == name })
		if _, _, whole := c.find(yamldoc.Path{"services", name}); here || whole {
			continue
		}
		line, _, _ := c.find(yamldoc.Path{"include"})
		more = append(more, compose.Service{Name: name, File: c.path, Line: line, Scope: compose.ScopeUser})
		if p.Services[name].Extensions["x-ros"] != nil {
			c.wrong(yamldoc.Path{"include"}, "service %q of an included file has \"x-ros\": it counts only in the file itself", name)
		}
	}
	return more
}

// read lets compose-go load the file.
func read(ctx context.Context, req project.Request) (*types.Project, error) {
	dotenv.RegisterFormat(compose.RawFormat, compose.RawValues)
	env, err := environment(req)
	if err != nil {
		return nil, err
	}
	return loader.LoadWithContext(ctx, details(req, env), options(req, env))
}

// environment are the values of variables: the request's, and those of the file
// .env.
func environment(req project.Request) (types.Mapping, error) {
	env := types.Mapping{}
	maps.Copy(env, req.Env)
	return env, dotEnv(req, env)
}

func details(req project.Request, env types.Mapping) types.ConfigDetails {
	return types.ConfigDetails{
		WorkingDir:  req.Dir,
		ConfigFiles: []types.ConfigFile{{Filename: req.Path, Content: req.Text}},
		Environment: env,
	}
}

func options(req project.Request, env types.Mapping) func(*loader.Options) {
	return func(o *loader.Options) {
		o.SetProjectName(loader.NormalizeProjectName(req.Name), false)
		o.ResolvePaths = true
		o.Profiles = compose.Profiles(env)
		o.SkipInclude = req.Remote
		o.Interpolate = &interpolation.Options{
			LookupValue: func(key string) (string, bool) { v, ok := env[key]; return v, ok },
			Substitute:  substitute,
		}
	}
}

// dotEnv adds the values of the file .env beside the service file, as docker
// compose does. What is set already stays.
func dotEnv(req project.Request, env types.Mapping) error {
	if req.Remote {
		return nil
	}
	path := filepath.Join(req.Dir, ".env")
	text, err := yamldoc.Read(path) // which waits for no pipe
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var more map[string]string
	if err == nil {
		more, err = dotenv.ParseWithLookup(bytes.NewReader(text), func(key string) (string, bool) { v, ok := env[key]; return v, ok })
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	for name, value := range more {
		if _, ok := env[name]; !ok {
			env[name] = value
		}
	}
	return nil
}

// substitute fills in variables. Compose takes one that is not set for an empty
// string and says so in a warning that nobody would see here.
func substitute(text string, lookup template.Mapping) (string, error) {
	replace := func(part string, lookup template.Mapping, cfg *template.Config) (string, error) {
		value, set, err := template.DefaultReplacementAppliedFunc(part, lookup, cfg)
		if err == nil && !set {
			err = fmt.Errorf("variable %s is not set: write ${NAME:-value} for a default, or $$ for a dollar sign", part)
		}
		return value, err
	}
	return template.SubstituteWithOptions(text, lookup, template.WithoutLogging, template.WithReplacementFunction(replace))
}
