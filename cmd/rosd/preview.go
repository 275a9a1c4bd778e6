package main

import (
	"maps"
	"slices"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/plan"
)

// Preview implements server.Config.
func (c *configurator) Preview(text []byte) control.ConfigPreview {
	return c.services.preview(c.given(text))
}

// given is the config with another text of cloud-config.yml.
func (c *configurator) given(text []byte) *config.Config {
	layers, _ := config.Read(c.files, c.settings)
	if c.files.File != "" { // else no file counts in this boot
		layers = config.Replaced(layers, c.files.File, text)
	}
	cfg, _ := config.Load(layers...)
	return cfg
}

// preview is what the services would have to do for a config. It reads the
// service files as the applier would, and keeps nothing.
func (f *serviceFiles) preview(cfg *config.Config) control.ConfigPreview {
	before := f.hashes()
	f.mu.Lock()
	offBefore, running, from := f.off, f.from, sources(f.from.Dirs, cfg, f.enabled.file)
	f.mu.Unlock()
	now := before
	if differ(running, from) {
		next := plan.Make(f.load(from, false))
		f.mu.Lock()
		now = hashes(next, f.hold(next))
		f.mu.Unlock()
	}
	off, _ := switchedOff(cfg)
	var p control.ConfigPreview
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, still := now[name]; !offBefore[name] && (!still || off[name]) {
			p.Stop = append(p.Stop, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		old, was := before[name]
		switch {
		case off[name]:
		case !was || offBefore[name]:
			p.Start = append(p.Start, name)
		case old != now[name]:
			p.Recreate = append(p.Recreate, name)
		}
	}
	return p
}
