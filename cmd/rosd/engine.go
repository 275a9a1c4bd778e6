package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/preload"
	"github.com/rosteros/ros/internal/supervise"
)

// dataDir is where the engine has its data.
const dataDir = "/var/lib/docker"

// engines carries out what is asked about engines (server.Engines). Which one
// runs follows from the config, which it changes like any operator.
type engines struct {
	configs    *configurator
	files      *serviceFiles
	supervisor *supervise.Supervisor
	choice     *engineChoice
	halt       engineHalt
	images     engineStore
	bring      func(ctx context.Context, repo, image string, say sayer) (imagestore.Image, error)
	version    func(ctx context.Context, found engine.Engine) (string, error) // asks its dockerd
	info       engineInfo
	enabling   *enabler // for extra engines
	loadExtra  func(ctx context.Context, archive io.Reader, size int64) ([]string, error)
	base       func() (layers []string, digest string) // folders of our docker image, the lowest first
	data       string                                  // folder with the data of the engine
	extras     string                                  // folder with those of extra engines
	log        *slog.Logger

	turns turns
}

// engineStore has the images of engines; an *imagestore.Store.
type engineStore interface {
	Get(ctx context.Context, name string) (imagestore.Image, error)
	Load(ctx context.Context, r io.Reader, total int64, say func(imagestore.Event)) ([]imagestore.Image, error)
	View(ctx context.Context, container string, image imagestore.Image) (imagestore.Files, error)
}

// programs runs a program of an image once; a *containers.Runtime.
type programs interface {
	Run(ctx context.Context, svc compose.Service, attach, input, remove bool) (*containers.Session, error)
	RemoveRun(ctx context.Context, name string, force bool) error
}

var _ engineInfo = (*docker.Runtime)(nil)

func newEngines(enabling *enabler, choice *engineChoice, halt engineHalt, store *imagestore.Store, runtime *containers.Runtime, info engineInfo, log *slog.Logger) *engines {
	return &engines{
		configs: enabling.configs, files: enabling.files, supervisor: enabling.supervisor, enabling: enabling,
		choice: choice, halt: halt, images: store, bring: enabling.bring, version: engineVersion(runtime), info: info,
		loadExtra: preload.IntoDocker(dockerSocket),
		base: func() (layers []string, digest string) {
			baked := runtime.Baked()[engine.Base]
			for _, layer := range baked.Layers {
				layers = append(layers, filepath.Join(containers.LayersDir, layer))
			}
			return layers, baked.Digest
		},
		data: dataDir, extras: engine.ExtrasDir, log: log,
	}
}

// Do implements server.Engines.
func (e *engines) Do(ctx context.Context, verb string, ask control.EngineAsk, say func(control.ImageStep)) error {
	end, err := e.turns.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	verbs := map[string]struct {
		do func(context.Context, control.EngineAsk, sayer) error
		as string
	}{
		"switch": {e.change, "cannot switch to engine %s: %w"}, "enable": {e.enable, "cannot enable engine %s: %w"},
		"create": {e.create, "cannot create engine %s: %w"}, "rm": {e.remove, "cannot remove engine %s: %w"},
	}
	v := verbs[verb]
	if err := v.do(ctx, ask, say); err != nil {
		return fmt.Errorf(v.as, ask.Name, err)
	}
	return nil
}

// List implements server.Engines.
func (e *engines) List(ctx context.Context, refresh bool) []control.EngineEntry {
	now, wanted := e.choice.current(), wantedEngine(e.configs.config())
	var list []control.EngineEntry
	add := func(entry control.EngineEntry) {
		switch {
		case entry.Name == now.Name:
			entry.State = control.EngineCurrent
		case entry.Name == wanted:
			entry.State = control.EngineEnabled
		}
		if entry.State == control.EngineCurrent && entry.Version == "" && entry.Name != engine.None {
			if about, err := e.info.About(ctx); err == nil {
				entry.Version = about.ServerVersion
			}
		}
		list = append(list, entry)
	}
	add(control.EngineEntry{Name: engine.BuiltIn, State: control.EngineAvailable, Image: engine.Base})
	known, err := e.choice.store.List()
	if err != nil {
		list = append(list, control.EngineEntry{Error: err.Error()})
	}
	for _, k := range known {
		add(control.EngineEntry{Name: k.Name, State: control.EngineAvailable, Version: k.Version, Image: k.Image, Pin: k.Pin})
	}
	c := e.enabling.catalog()
	for _, r := range c.Repositories {
		index, err := c.Index(ctx, r, refresh)
		if err != nil {
			list = append(list, control.EngineEntry{Repository: r.Name, Error: err.Error()})
		}
		for _, name := range index.Engines {
			if i := slices.IndexFunc(list, func(have control.EngineEntry) bool { return have.Name == name }); i >= 0 {
				list[i].Repository = r.Name
				continue
			}
			add(control.EngineEntry{Name: name, State: control.EngineDisabled, Repository: r.Name})
		}
	}
	if !slices.ContainsFunc(list, func(have control.EngineEntry) bool { return have.Name == wanted }) {
		add(control.EngineEntry{Name: wanted, State: control.EngineDisabled})
	}
	if wanted != engine.None {
		add(control.EngineEntry{Name: engine.None, State: control.EngineAvailable})
	}
	return append(list, e.listExtras()...)
}

// take gets an engine ready to be started: its image is fetched unless it is
// here, and looked into.
func (e *engines) take(ctx context.Context, name string, noPull bool, say sayer) (engine.Engine, error) {
	if name == engine.BuiltIn || name == engine.None {
		return engine.Engine{Name: name}, nil
	}
	found, image, err := e.find(ctx, name, noPull, say)
	if err != nil {
		return engine.Engine{}, err
	}
	found.Pin = pinned(found.Image, image.Digest)
	if have, ok := e.choice.store.Get(found.Name); ok && have.Pin == found.Pin {
		return have, nil
	}
	files, err := e.images.View(ctx, checkedEngine, image)
	if err != nil {
		return engine.Engine{}, err
	}
	defer files.Release()
	if found.Dockerd, err = engine.Find(files.Lower); err != nil {
		return engine.Engine{}, fmt.Errorf("image %s is no engine: %w", found.Image, err)
	}
	if found.Version, err = e.version(ctx, found); err != nil {
		return engine.Engine{}, fmt.Errorf("image %s: %w", found.Image, err)
	}
	found.Time = time.Now().UTC().Truncate(time.Second)
	text(say, "%s is Docker %s, %s", found.Name, found.Version, found.Pin)
	return found, nil
}

// find looks for the image of an engine: in an archive, by the name of the
// engine in a catalog, or by its own.
func (e *engines) find(ctx context.Context, name string, noPull bool, say sayer) (engine.Engine, imagestore.Image, error) {
	found := engine.Engine{Name: name, Image: name}
	if strings.HasPrefix(name, "/") {
		image, err := e.archive(ctx, name, say)
		found.Name = imagestore.ShortName(image.Name)
		found.Image, found.Origin = found.Name, name
		return found, image, err
	}
	repo := ""
	if !strings.ContainsAny(name, "/:@") {
		file, err := e.enabling.catalog().Find(ctx, catalog.Engines, name, false)
		if err == nil {
			found.Origin, repo = file.Origin, file.Repo
			found.Image, err = engine.ImageOf(file.Text, e.files.environment())
			if err != nil {
				return found, imagestore.Image{}, fmt.Errorf("%s: %w", file.Origin, err)
			}
		} else if have, ok := e.choice.store.Get(name); ok {
			found = have
		} else {
			return found, imagestore.Image{}, e.unknown(err)
		}
	}
	image, err := e.images.Get(ctx, found.Image)
	var missing *imagestore.MissingError
	switch {
	case err == nil:
		return found, image, nil
	case !errors.As(err, &missing):
		return found, image, err
	case noPull:
		return found, image, fmt.Errorf("%w, and is not to be pulled", err)
	}
	image, err = e.bring(ctx, repo, found.Image, say)
	return found, image, err
}

// unknown names all engines that there are, not only those of catalogs.
func (e *engines) unknown(err error) error {
	var missing *catalog.NotFoundError
	if !errors.As(err, &missing) {
		return err
	}
	missing.Known = append(missing.Known, engine.BuiltIn, engine.None)
	known, _ := e.choice.store.List()
	for _, k := range known {
		if !slices.Contains(missing.Known, k.Name) {
			missing.Known = append(missing.Known, k.Name)
		}
	}
	return missing
}
