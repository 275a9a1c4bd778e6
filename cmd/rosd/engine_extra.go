package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"strings"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/supervise"
)

var extraName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,40}$`)

// extraFile is the service file of an extra engine, which is also the key that
// it is enabled by.
func (e *engines) extraFile(name string) string { return filepath.Join(e.extras, name, "engine.yml") }

// listExtras are the extra engines that somebody has made.
func (e *engines) listExtras() []control.EngineEntry {
	files, _ := filepath.Glob(e.extraFile("*"))
	var list []control.EngineEntry
	for _, file := range files {
		x := engine.Extra{Name: filepath.Base(filepath.Dir(file))}
		entry := control.EngineEntry{Name: x.Name, Extra: true, Image: engine.ExtraImage, Socket: x.Socket(), State: control.EngineDisabled}
		if s, err := e.supervisor.Service(x.Name); err == nil {
			entry.State, entry.Error = string(s.State), s.Reason
		}
		list = append(list, entry)
	}
	return list
}

// create makes an extra engine: our own docker image as a service of the user.
func (e *engines) create(ctx context.Context, ask control.EngineAsk, say sayer) error {
	if err := e.creatable(ask); err != nil {
		return err
	}
	digest, err := e.loadBase(ctx, say)
	if err != nil {
		return err
	}
	x := engine.Extra{Name: ask.Name, Network: ask.Network, FixedIP: ask.FixedIP}
	file := e.extraFile(ask.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o711); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(file, x.Compose(e.extras, digest), 0o644); err != nil {
		return err
	}
	names := control.CatalogNames{Names: []string{file}}
	if err := e.enabling.Do(ctx, "enable", names, say); err != nil {
		return errors.Join(err, e.enabling.store.Remove(file), os.RemoveAll(filepath.Dir(file)))
	}
	text(say, "it listens on %s", x.Socket())
	return nil
}

func (e *engines) creatable(ask control.EngineAsk) error {
	switch {
	case !extraName.MatchString(ask.Name):
		return errors.New("a name has small letters, digits, - and _, and begins with a letter or digit")
	case ask.Name == engine.BuiltIn || ask.Name == engine.None || e.files.service(ask.Name).Name != "":
		return fmt.Errorf("there is a service %q already", ask.Name)
	case ask.FixedIP != "" && ask.Network == "":
		return errors.New("--fixed-ip is an address in a network of the engine: --network says which")
	case ask.FixedIP != "":
		if _, err := netip.ParseAddr(ask.FixedIP); err != nil {
			return fmt.Errorf("--fixed-ip: %q is not an IP address", ask.FixedIP)
		}
	}
	if _, err := os.Stat(e.extraFile(ask.Name)); err == nil {
		return errors.New("it exists")
	}
	if !e.well(e.choice.current().Engine) || e.choice.current().Name == engine.None {
		return errors.New("it is a container of the engine, and no engine runs: ros service ps")
	}
	return nil
}

// loadBase puts our docker image into the engine, unless it is there.
func (e *engines) loadBase(ctx context.Context, say sayer) (digest string, err error) {
	layers, digest := e.base()
	name := engine.ExtraImage + ":" + strings.TrimPrefix(digest, "sha256:")[:12]
	if _, err := e.enabling.engine.Image(ctx, name); err == nil {
		return digest, nil
	}
	text(say, "giving the engine the docker image of the OS")
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(engine.Archive(w, layers, goruntime.GOARCH, engine.ExtraImage+":latest", name))
	}()
	defer r.Close()
	if _, err := e.loadExtra(ctx, r, 0); err != nil {
		return "", fmt.Errorf("cannot load image %s: %w", engine.ExtraImage, err)
	}
	return digest, nil
}

// remove takes an extra engine away, with its data.
func (e *engines) remove(ctx context.Context, ask control.EngineAsk, say sayer) error {
	file := e.extraFile(ask.Name)
	if _, err := os.Stat(file); !extraName.MatchString(ask.Name) || err != nil {
		var known []string
		for _, x := range e.listExtras() {
			known = append(known, x.Name)
		}
		if len(known) == 0 {
			return errors.New("there are no extra engines; an engine that was fetched is an image: sudo system-docker rmi")
		}
		return fmt.Errorf("there is no such extra engine; there are: %s", strings.Join(known, ", "))
	}
	if s, err := e.supervisor.Service(ask.Name); err == nil && s.Up() {
		o := supervise.Options{TimeoutSeconds: ask.TimeoutSeconds, Wait: true}
		if _, err := e.supervisor.Do(ctx, ask.Name, supervise.Stop, o); err != nil {
			return err
		}
	}
	if _, ok := e.configs.config().Rancher.ServicesInclude[file]; ok {
		if err := e.enabling.Do(ctx, "delete", control.CatalogNames{Names: []string{file}}, say); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		return fmt.Errorf("its data: %w", err)
	}
	return os.RemoveAll(filepath.Dir(engine.Extra{Name: ask.Name}.Socket()))
}
