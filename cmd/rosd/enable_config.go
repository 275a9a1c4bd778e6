package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/control"
)

// include writes a key of rancher.services_include, or takes it out, and lets
// the machine become so.
func (e *enabler) include(ctx context.Context, key string, value []byte) error {
	s, _, err := e.including(key, value)
	if err != nil {
		return err
	}
	applied, err := e.configs.edit(ctx, s)
	if err != nil {
		return err
	}
	return fault(applied, "services")
}

// including is what include writes and the config that it leads to, or why it
// would have no effect.
func (e *enabler) including(key string, value []byte) (setting, *config.Config, error) {
	s := setting{[]string{"rancher", "services_include", key}, value}
	cfg, err := e.configs.with(s)
	if err != nil {
		return s, nil, err
	}
	if now, ok := cfg.Rancher.ServicesInclude[key]; value != nil && (!ok || fmt.Sprint(now) != string(value)) {
		return s, nil, fmt.Errorf("a layer of the config that counts more says something else about rancher.services_include.%s", key)
	}
	return s, cfg, nil
}

// known refuses a key that nobody has enabled. What was kept of an enabling that
// was cut off is known, so that it can be deleted.
func (e *enabler) known(key string) error {
	include := e.configs.config().Rancher.ServicesInclude
	if _, ok := include[key]; ok || e.builtIn(key) {
		return nil
	}
	if _, err := e.store.Get(key); err == nil {
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
		err = e.unnamed(ctx, key)
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

// unnamed takes a key out of the config. One that another layer names would be
// fetched again.
func (e *enabler) unnamed(ctx context.Context, key string) error {
	if _, named := e.configs.config().Rancher.ServicesInclude[key]; !named {
		if e.builtIn(key) {
			return errors.New("it is part of the OS; what keeps it from running is: ros service disable")
		}
		return nil
	}
	_, cfg, err := e.including(key, nil)
	if err != nil {
		return err
	}
	if cfg.Rancher.ServicesInclude[key] {
		return fmt.Errorf("%s names it, and it would come back; what keeps it from running is: ros service disable",
			cfg.Origin("rancher.services_include."+key).Layer)
	}
	return e.include(ctx, key, nil)
}
