package main

import (
	"context"
	"fmt"

	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/supervise"
)

// startsAtBoot is how often an engine may fail to come up at boot before the
// one of the OS takes its place.
const startsAtBoot = 3

// tend looks after the engine: one that the config names and that is not here
// is fetched, one that does not start gives way to that of the OS, and of one
// that runs it is noted beside its data.
func (e *engines) tend(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-e.supervisor.Adopted():
		e.resume(ctx)
	}
	attend(ctx, e.supervisor, func(event supervise.Event) bool {
		if event.Service == engine.Service {
			e.begun(event)
			e.look(ctx, event)
		}
		return event.Type == "reload"
	}, func() bool {
		missing := e.choice.current().missing
		return missing != "" && !e.fetch(ctx, missing)
	})
}

// resume starts the engine of the config when an earlier rosd has ended between
// stopping one and starting the next.
func (e *engines) resume(ctx context.Context) {
	if !e.choice.isHalted() || e.choice.current().Name == engine.None {
		return
	}
	for _, name := range []string{engine.Containerd, engine.Service} {
		s, err := e.supervisor.Service(name)
		if err == nil && (s.State == supervise.Stopped || s.State == supervise.Stopping) {
			_, err = e.supervisor.Do(ctx, name, supervise.Up, supervise.Options{})
		}
		if err != nil {
			e.log.Error("an engine that was stopped for another one stays so", "service", name, "error", err)
			return
		}
	}
	if err := e.choice.halted(false); err != nil {
		e.log.Warn(err.Error())
	}
}

// begun forgets that an engine was stopped for the one that now starts.
func (e *engines) begun(event supervise.Event) {
	switch event.To {
	case supervise.Starting, supervise.Running, supervise.Healthy, supervise.Unhealthy, supervise.Failed, supervise.Backoff:
		if err := e.choice.halted(false); err != nil {
			e.log.Warn(err.Error())
		}
	}
}

// look sees how the engine is getting on. Somebody who switches engines looks
// for himself.
func (e *engines) look(ctx context.Context, event supervise.Event) {
	end, ok := e.turns.tryTake()
	if !ok {
		return
	}
	defer end()
	now := e.choice.current()
	switch event.To {
	case supervise.Healthy:
		e.note(ctx, now.Name)
		if err := e.choice.prove(); err != nil {
			e.log.Warn(err.Error())
		}
	case supervise.Failed, supervise.Backoff, supervise.Unhealthy:
		s, err := e.supervisor.Service(engine.Service)
		if err != nil || e.choice.proven() || !givenUp(s, event.To) {
			return
		}
		e.log.Error("going on with the engine of the OS", "engine", now.Name, "error", event.Reason)
		if err := e.choice.fell(now.Name, event.Reason); err != nil {
			e.log.Error("cannot give an engine up", "engine", now.Name, "error", err)
			return
		}
		if _, err := e.configs.Apply(ctx); err != nil {
			e.log.Error("cannot start the engine of the OS", "error", err)
		}
	}
}

// givenUp says whether an engine that has never been well will not be. One that
// has is started again by its policy, for as long as it takes.
func givenUp(s supervise.Service, to supervise.State) bool {
	return to != supervise.Backoff || s.Restarts+1 >= startsAtBoot
}

// note writes beside the data which engine uses them.
func (e *engines) note(ctx context.Context, name string) {
	about, err := e.info.About(ctx)
	if err == nil {
		err = engine.Data{Engine: name, Version: about.ServerVersion, Driver: about.Driver}.Write(e.data)
	}
	if err != nil {
		e.log.Warn("the next engine will not know whose data it finds", "error", err)
	}
}

// fetch gets the engine that the config names and lets it run.
func (e *engines) fetch(rosd context.Context, name string) (done bool) {
	ctx, end, ok := e.turns.tryBackground(rosd)
	if !ok {
		return false
	}
	defer end()
	next, err := e.take(ctx, name, false, func(control.ImageStep) {})
	if ctx.Err() != nil {
		return false // an operator goes first
	}
	if err == nil {
		err = e.fits(next)
	}
	if err == nil && next.Name != name {
		err = fmt.Errorf("its name is %s", next.Name)
	}
	if err == nil {
		err = e.choice.store.Put(next)
	}
	if err == nil {
		_, err = e.configs.Apply(rosd)
	}
	if err != nil {
		e.log.Warn("the engine of the config is not on the machine yet", "engine", name, "error", err)
		return false
	}
	e.log.Info("took in the engine of the config", "engine", name, "version", next.Version)
	return true
}
