package main

import (
	"context"
	"slices"
	"time"

	"github.com/rosteros/ros/internal/supervise"
)

// goodAfter is how long all required services have to be well before the config
// counts as good.
const goodAfter = 30 * time.Second

// watcher looks at what the services do and tells the configurator what that
// means for the config.
type watcher struct {
	config     *configurator
	supervisor *supervise.Supervisor
	files      *serviceFiles
	spawn      func(func()) // runs beside the watcher
	found      func()       // called when what a service has found is applied

	due     bool             // the present config has not been kept as good
	well    <-chan time.Time // ends goodAfter; nil: something is not well
	network bool             // the network has been there once
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	events, stop := w.supervisor.Events()
	defer func() { stop() }()
	w.due = true
	for {
		w.look()
		select {
		case <-ctx.Done():
			return
		case <-w.config.applied:
			w.due, w.well = true, nil
		case <-w.well:
			w.due, w.well = false, nil
			w.spawn(w.config.keep)
		case e, ok := <-events:
			if !ok { // too far behind
				events, stop = w.supervisor.Events()
				continue
			}
			w.event(ctx, e)
		}
	}
}

// look starts the clock when all is well, and stops it when that ends.
func (w *watcher) look() {
	switch {
	case !w.due:
	case !w.allWell():
		w.well = nil
	case w.well == nil:
		w.well = time.After(goodAfter)
	}
}

// allWell says whether every required service is, as it should be.
func (w *watcher) allWell() bool {
	return !slices.ContainsFunc(w.supervisor.Services(), func(s supervise.Service) bool {
		switch s.State {
		case supervise.Running, supervise.Healthy, supervise.Done:
			return false
		}
		return s.Required && !w.files.unwanted(s.Name)
	})
}

// event acts on what became of a service.
func (w *watcher) event(ctx context.Context, e supervise.Event) {
	if e.Type != "state" {
		return
	}
	switch {
	case e.To == supervise.Done && e.From != supervise.Waiting && w.files.service(e.Service).ReloadConfig:
		// From waiting to done goes what was done when rosd started.
		w.spawn(func() {
			w.config.reread(ctx, e.Service)
			w.found()
		})
	case e.To == supervise.Healthy && e.Service == "network" && !w.network:
		w.network = true
		if w.config.failed() { // a mount from a server, a name that could not be resolved
			w.spawn(func() { _, _ = w.config.Apply(ctx) })
		}
	}
}
