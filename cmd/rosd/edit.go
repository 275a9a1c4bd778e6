package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/yamledit"
)

// setting is a key of cloud-config.yml and the YAML of its value; nil takes the
// key out.
type setting struct {
	path  []string
	value []byte
}

// edit changes keys of cloud-config.yml, all at once, and lets the machine
// become so. As any change of the config it goes on to its end when who asked is
// gone.
func (c *configurator) edit(ctx context.Context, settings ...setting) (control.ConfigApplied, error) {
	was, err := c.store.Sum() // first: who changes the file meanwhile is heard
	if err != nil {
		return control.ConfigApplied{}, err
	}
	text, err := c.edited(settings...)
	if err != nil {
		return control.ConfigApplied{}, err
	}
	return c.Write(context.WithoutCancel(ctx), control.ConfigWrite{Text: text, Was: was})
}

// with is the config that edit would lead to.
func (c *configurator) with(settings ...setting) (*config.Config, error) {
	text, err := c.edited(settings...)
	if err != nil {
		return nil, err
	}
	return c.given(text), nil
}

// edited is the text of cloud-config.yml with other keys.
func (c *configurator) edited(settings ...setting) ([]byte, error) {
	text, err := os.ReadFile(c.store.File())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, s := range settings {
		switch {
		case s.value == nil:
			text, err = yamledit.Unset(text, s.path)
		case len(text) == 0:
			text, err = yamledit.Set([]byte("#cloud-config\n"), s.path, s.value)
		default:
			text, err = yamledit.Set(text, s.path, s.value)
		}
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}

// fault is what went wrong in an applier; nil: nothing.
func fault(applied control.ConfigApplied, applier string) error {
	for _, r := range applied.Results {
		if r.Applier == applier && r.Error != "" {
			return errors.New(r.Error)
		}
	}
	return nil
}
