package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/plan"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/signature"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	catalogCache = "/var/lib/rancher/cache/catalog"
	catalogDir   = "/usr/lib/ros/catalog" // ours, part of the OS image
	coreCatalog  = "core"
	// upBound is how long what was enabled may take to come up, a service beyond
	// its start_period.
	upBound = 3 * time.Minute
)

// enabler carries out what is asked about service files: it fetches, checks,
// keeps and forgets them (server.Catalog). What runs follows from the config,
// which it changes like any operator.
type enabler struct {
	configs    *configurator
	files      *serviceFiles
	supervisor *supervise.Supervisor
	images     *imagestore.Store
	engine     engineImages
	store      catalog.Store
	// loadIntoEngine takes the images of an archive into the user's engine.
	loadIntoEngine func(ctx context.Context, r io.Reader, size int64) ([]string, error)
	fetch          func(ctx context.Context, address string) ([]byte, error) // nil: as the config says
	cache          string                                                    // of catalogs
	certificates   string                                                    // folder with the authorities of the config
	log            *slog.Logger

	turns   turns
	waiting []string // what provision could not get, and why
}

// engineImages are those of the user's engine; a *docker.Runtime.
type engineImages interface {
	Image(ctx context.Context, name string) (pin string, err error)
	Pull(ctx context.Context, name, platform string, login docker.Login, say func(docker.Step)) (pin string, err error)
}

type sayer = func(control.ImageStep)

func text(say sayer, format string, args ...any) {
	say(control.ImageStep{Text: fmt.Sprintf(format, args...)})
}

// Do implements server.Catalog.
func (e *enabler) Do(ctx context.Context, verb string, names control.CatalogNames, say func(control.ImageStep)) error {
	end, err := e.turns.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	verbs := map[string]func(context.Context, string, control.CatalogNames, sayer) error{
		"enable": e.enable, "disable": e.disable, "delete": e.forget, "update": e.update, "pull": e.pull,
	}
	var errs []error
	for _, name := range names.Names {
		if err := verbs[verb](ctx, name, names, say); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// catalog is the repositories as the config has them. Ours comes first.
func (e *enabler) catalog() *catalog.Catalog {
	keys, err := signature.ReadKeys(filepath.Dir(trustedKeys))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.log.Warn("catalogs are used without the keys of the releases", "error", err)
	}
	given := e.configs.config().Rancher.Repositories
	c := &catalog.Catalog{Cache: e.cache, Client: e.way().Client(), Fetch: e.fetch, OCI: e.openArtifact}
	if given[coreCatalog].URL == "" {
		c.Repositories = append(c.Repositories, catalog.Repository{Name: coreCatalog, URL: catalogDir})
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if given[name].URL == "" {
			continue
		}
		r := catalog.Repository{Name: name, URL: given[name].URL, Keys: keys}
		if text := given[name].Key; text != "" {
			key, err := signature.ParsePublic(name, []byte(text))
			if err != nil {
				e.log.Error("a repository is not used", "repository", name, "error", err)
				continue
			}
			r.Keys, r.Signed = []signature.PublicKey{key}, true
		}
		c.Repositories = append(c.Repositories, r)
	}
	return c
}

// List implements server.Catalog.
func (e *enabler) List(ctx context.Context, refresh bool) []control.CatalogEntry {
	var list []control.CatalogEntry
	seen := map[string]bool{}
	include := e.configs.config().Rancher.ServicesInclude
	for _, key := range slices.Sorted(maps.Keys(include)) {
		kept, err := e.store.Get(key)
		if err != nil && !include[key] && !strings.ContainsRune(key, '/') {
			continue // a built-in service that is off stands in the list of services
		}
		entry := control.CatalogEntry{Name: key, State: control.Disabled, Origin: kept.Origin, Services: kept.Services, Images: kept.Images, Time: kept.Time}
		if include[key] {
			entry.State = control.Enabled
		}
		seen[key] = true
		list = append(list, entry)
	}
	c := e.catalog()
	for _, r := range c.Repositories {
		index, err := c.Index(ctx, r, refresh)
		if err != nil {
			list = append(list, control.CatalogEntry{Repository: r.Name, Error: err.Error()})
		}
		for _, name := range index.Services {
			if i := slices.IndexFunc(list, func(have control.CatalogEntry) bool { return have.Name == name }); i >= 0 {
				list[i].Repository, list[i].SignedBy = r.Name, index.SignedBy
				continue
			}
			list = append(list, control.CatalogEntry{Name: name, Repository: r.Name, SignedBy: index.SignedBy})
		}
	}
	return list
}

// enable takes a service file in. When something goes wrong on the way the
// machine is as it was.
func (e *enabler) enable(ctx context.Context, what string, _ control.CatalogNames, say sayer) error {
	err := e.tryEnable(ctx, what, say)
	if err != nil {
		return fmt.Errorf("cannot enable %s: %w", what, err)
	}
	return nil
}

func (e *enabler) tryEnable(ctx context.Context, what string, say sayer) error {
	on, named := e.configs.config().Rancher.ServicesInclude[what]
	kept, err := e.store.Get(what)
	switch {
	case err == nil && on:
		text(say, "%s is enabled already", what)
		return nil
	case err == nil && named: // was disabled: all of it is here
		if err := e.clash(kept.Services, e.store.File(kept)); err != nil {
			return err
		}
		return e.begin(ctx, what, kept.Services, say)
	case e.builtIn(what):
		return e.begin(ctx, what, []string{what}, say)
	}
	services, err := e.take(ctx, what, say)
	if err != nil {
		return err
	}
	if err := e.begin(ctx, what, services, say); err != nil {
		return errors.Join(err, e.untake(ctx, what))
	}
	return nil
}

// untake forgets what was taken in and did not come up. A file that was read
// where it lies before is so again.
func (e *enabler) untake(ctx context.Context, key string) error {
	err := e.store.Remove(key)
	if err != nil || !e.configs.config().Rancher.ServicesInclude[key] {
		return err
	}
	return e.reread(context.WithoutCancel(ctx))
}

// builtIn says whether a name is that of a service of the OS.
func (e *enabler) builtIn(name string) bool {
	s := e.files.service(name)
	return s.Name != "" && filepath.Dir(s.File) == e.files.builtIn
}

// prepared is a service file that was read.
type prepared struct {
	kept     catalog.Enabled
	text     []byte
	repo     string // that it is from; "": none
	services []compose.Service
	project  *project.Result // nil: nothing is for the engine, and nothing from other files
	beside   compose.Kept    // what the files said that it names for the OS
}

// prepare fetches and reads a service file.
func (e *enabler) prepare(ctx context.Context, what string, refresh bool, say sayer) (*prepared, error) {
	file, err := e.catalog().Open(ctx, what, refresh)
	if err != nil {
		return nil, err
	}
	if file.Origin != what {
		text(say, "%s: %s", what, file.Origin)
	}
	env := e.files.environment()
	p := &prepared{text: file.Text, repo: file.Repo, beside: compose.Kept{}, kept: catalog.Enabled{Key: what, Name: file.Name, Origin: file.Origin, Time: time.Now().UTC().Truncate(time.Second)}}
	own := file.Dir
	if file.Repo != "" { // whoever gives a repository away does not want what services write
		own = ""
	}
	p.kept.Home = e.store.Home(what, own)
	in := compose.Setting{Home: p.kept.Home, Env: env}
	if own != "" {
		in.Files = p.beside.Noting(compose.FromDisk)
	}
	about := sync.OnceValues(func() (project.Result, error) {
		result, err := e.files.projects.load(ctx, e.question(what, file, p.kept.Home, env))
		p.project = &result
		return result, err
	})
	in.Resolve = func(string, []byte) compose.Resolved {
		result, err := about()
		if err != nil {
			result = unread(file.Origin, err)
		}
		return resolved(result)
	}
	services, faults := compose.ParseIn(file.Origin, file.Text, in)
	if slices.ContainsFunc(services, func(s compose.Service) bool { return s.Scope == compose.ScopeUser }) {
		result, err := about()
		if err != nil {
			return nil, err
		}
		faults = append(faults, result.Faults...)
		services = slices.DeleteFunc(services, func(s compose.Service) bool { return s.Scope == compose.ScopeUser })
		services = append(services, result.Services...)
	}
	p.services = services
	if err := sound(services, faults); err != nil {
		return nil, err
	}
	for _, s := range services {
		p.kept.Services = append(p.kept.Services, s.Name)
	}
	slices.Sort(p.kept.Services)
	return p, nil
}

// sound says what is wrong with a file, all of it.
func sound(services []compose.Service, faults []compose.Fault) error {
	if len(faults) == 0 && len(services) == 0 {
		return errors.New("the file has no services")
	}
	var errs []error
	for _, f := range faults {
		errs = append(errs, f)
	}
	if len(errs) == 0 { // what services say about each other
		alone := slices.Clone(services)
		for _, f := range plan.Make(alone, nil).Faults {
			if !strings.Contains(f.Message, "there is no service") { // it may be one of the machine's
				errs = append(errs, f)
			}
		}
	}
	return errors.Join(errs...)
}

// clash refuses names that other services have.
func (e *enabler) clash(names []string, own string) error {
	var errs []error
	for _, name := range names {
		if have := e.files.service(name); have.Name != "" && have.File != own {
			errs = append(errs, fmt.Errorf("there is a service %q already, from %s:%d", name, have.File, have.Line))
		}
	}
	return errors.Join(errs...)
}

// keep writes down what was prepared.
func (e *enabler) keep(p *prepared) error {
	var told []byte
	if p.project != nil {
		for i, s := range p.project.Services {
			p.project.Services[i].File = e.store.File(p.kept)
			c, err := project.Of(s)
			if err != nil {
				return err
			}
			c.Pin = p.kept.Images[s.Image]
			if p.project.Services[i], err = project.With(p.project.Services[i], c); err != nil {
				return err
			}
		}
		var err error
		if told, err = json.Marshal(p.project); err != nil {
			return err
		}
	}
	beside, err := writeKept(p.beside)
	if err != nil {
		return err
	}
	return e.store.Put(p.kept, catalog.Content{File: p.text, Project: told, Beside: beside})
}

// begin lets the config have a service and waits until it is up. If it does not
// come up the config is as before.
func (e *enabler) begin(ctx context.Context, key string, services []string, say sayer) error {
	before, had := e.configs.config().Rancher.ServicesInclude[key]
	if _, _, err := e.including(key, []byte("true")); err != nil {
		return err // and nothing is written
	}
	err := e.include(ctx, key, []byte("true"))
	if err == nil && before { // the config is the same; the file is another
		err = e.reread(ctx)
	}
	if err == nil {
		err = e.await(ctx, services, say)
	}
	if err == nil {
		return nil
	}
	var back []byte
	if had {
		back = fmt.Appendf(nil, "%t", before)
	}
	return errors.Join(err, e.include(context.WithoutCancel(ctx), key, back))
}

// toComeUp is the time that something new has.
func toComeUp(ctx context.Context) (context.Context, context.CancelFunc) {
	return upWithin(ctx, upBound)
}

func upWithin(ctx context.Context, bound time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, bound, fmt.Errorf("not there after %s", bound))
}

// patience is how long services may take to come up. Each has its own time: they
// may come one after the other.
func (e *enabler) patience(names []string) (bound time.Duration) {
	for _, name := range names {
		bound += upBound
		if check := e.files.service(name).Healthcheck; check != nil {
			bound += check.StartPeriod
		}
	}
	return bound
}

// await waits until services are where they should be.
func (e *enabler) await(ctx context.Context, names []string, say sayer) error {
	ctx, cancel := upWithin(ctx, e.patience(names))
	defer cancel()
	var errs []error
	for _, name := range names {
		s, err := e.supervisor.Do(ctx, name, supervise.Up, supervise.Options{Wait: true})
		switch {
		case err != nil:
			errs = append(errs, err)
		case s.State == supervise.Failed || s.State == supervise.Backoff || s.State == supervise.Unhealthy:
			errs = append(errs, fmt.Errorf("service %q is %s: %s", name, s.State, s.Reason))
		default:
			text(say, "%s %s", name, s.State)
		}
	}
	return errors.Join(errs...)
}

// environment are the values for ${NAME} in service files.
func (f *serviceFiles) environment() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.from.Env
}
