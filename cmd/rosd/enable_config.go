package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/yamledit"
)

// include writes a key of rancher.services_include, or takes it out, and lets
// the machine become so.
func (e *enabler) include(ctx context.Context, key string, value []byte) error {
	path := []string{"rancher", "services_include", key}
	file := e.configs.store.File()
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	was, err := e.configs.store.Sum()
	if err != nil {
		return err
	}
	edited := old
	switch {
	case value == nil:
		edited, err = yamledit.Unset(old, path)
	case len(old) == 0:
		edited, err = yamledit.Set([]byte("#cloud-config\n"), path, value)
	default:
		edited, err = yamledit.Set(old, path, value)
	}
	if err != nil {
		return err
	}
	applied, err := e.configs.Write(ctx, control.ConfigWrite{Text: edited, Was: was})
	if err != nil {
		return err
	}
	if now, ok := e.configs.config().Rancher.ServicesInclude[key]; value != nil && (!ok || fmt.Sprint(now) != string(value)) {
		return fmt.Errorf("a layer of the config that counts more says something else about rancher.services_include.%s", key)
	}
	for _, r := range applied.Results {
		if r.Applier == "services" && r.Error != "" {
			return errors.New(r.Error)
		}
	}
	return nil
}

// known refuses a key that nobody has enabled.
func (e *enabler) known(key string) error {
	include := e.configs.config().Rancher.ServicesInclude
	if _, ok := include[key]; ok || e.builtIn(key) {
		return nil
	}
	if len(include) == 0 {
		return errors.New("no service file was enabled")
	}
	return fmt.Errorf("it was not enabled; there are: %s", strings.Join(slices.Sorted(maps.Keys(include)), ", "))
}

func (e *enabler) disable(ctx context.Context, key string, _ control.CatalogNames, say sayer) error {
	err := e.known(key)
	if err == nil {
		err = e.include(ctx, key, []byte("false"))
	}
	if err != nil {
		return fmt.Errorf("cannot disable %s: %w", key, err)
	}
	text(say, "%s disabled", key)
	return nil
}

// forget undoes enable: the images and the volumes stay, for they may hold what
// somebody needs.
func (e *enabler) forget(ctx context.Context, key string, _ control.CatalogNames, say sayer) error {
	err := e.known(key)
	if err == nil {
		if _, ok := e.configs.config().Rancher.ServicesInclude[key]; ok {
			err = e.include(ctx, key, nil)
		}
	}
	if err == nil {
		err = e.store.Remove(key)
	}
	if err != nil {
		return fmt.Errorf("cannot delete %s: %w", key, err)
	}
	text(say, "%s deleted", key)
	return nil
}
