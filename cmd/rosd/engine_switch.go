package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/supervise"
)

// engineKey is where the config names the engine.
var engineKey = []string{"rancher", "docker", "engine"}

// answerTries is how often a healthy engine is asked who it is.
const answerTries = 50

// change makes another engine the one that runs, now. When it does not come up
// the one before is back.
func (e *engines) change(ctx context.Context, ask control.EngineAsk, say sayer) error {
	before := e.choice.current()
	next, err := e.take(ctx, ask.Name, ask.NoPull, say)
	if err != nil {
		return err
	}
	wanted := wantedEngine(e.configs.config())
	if before.Engine.Name == next.Name && before.Pin == next.Pin && wanted == next.Name && e.well(next) {
		text(say, "%s is the engine already", next.Name)
		return nil
	}
	if err := e.fits(next); err != nil {
		return err
	}
	if _, err := e.naming(next.Name); err != nil {
		return err
	}
	kept, had := e.choice.store.Get(next.Name)
	if err := e.keep(next); err != nil {
		return err
	}
	// Whoever asked may go away; the machine must not stay in between.
	ctx = context.WithoutCancel(ctx)
	text(say, "stopping %s", before.Name)
	e.choice.stop(ctx, before.Name, e.halt.halt)
	text(say, "starting %s", next.Name)
	if err = e.choice.hold("", ""); err == nil {
		err = e.set(ctx, next.Name)
	}
	if err == nil {
		err = e.await(ctx, next, say)
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, e.back(ctx, before, next, kept, had, wanted, say))
}

// back makes the engine before the one that runs again.
func (e *engines) back(ctx context.Context, before chosenEngine, next, kept engine.Engine, had bool, wanted string, say sayer) error {
	text(say, "going back to %s", before.Name)
	var errs []error
	switch {
	case next.Pin != "" && had:
		errs = append(errs, e.choice.store.Put(kept))
	case next.Pin != "":
		errs = append(errs, e.choice.store.Remove(next.Name))
	}
	if before.Name != wanted { // it was only held
		errs = append(errs, e.choice.hold(before.Name, wanted))
	}
	errs = append(errs, e.set(ctx, wanted), e.await(ctx, before.Engine, say))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("and cannot go back to %s: %w", before.Name, err)
	}
	return nil
}

// enable makes another engine the one from the next boot on.
func (e *engines) enable(ctx context.Context, ask control.EngineAsk, say sayer) error {
	next, err := e.take(ctx, ask.Name, ask.NoPull, say)
	if err == nil {
		err = e.fits(next)
	}
	if err == nil {
		_, err = e.naming(next.Name)
	}
	if err == nil {
		err = e.keep(next)
	}
	if err != nil {
		return err
	}
	now, wanted := e.choice.current(), wantedEngine(e.configs.config())
	if err := e.choice.hold(now.Name, next.Name); err != nil {
		return err
	}
	if err := e.set(ctx, next.Name); err != nil {
		return errors.Join(err, e.choice.hold(now.Name, wanted), e.set(context.WithoutCancel(ctx), wanted))
	}
	text(say, "%s will be the engine from the next boot on; %s runs until then", next.Name, now.Name)
	return nil
}

// well says whether the engine is as it should be.
func (e *engines) well(want engine.Engine) bool {
	s, err := e.supervisor.Service(engine.Service)
	if want.Name == engine.None {
		return err != nil || s.State == supervise.Stopped
	}
	return err == nil && s.State == supervise.Healthy
}

// fits says why an engine cannot use the data that are here.
func (e *engines) fits(next engine.Engine) error {
	version := next.Version
	switch next.Name {
	case engine.None:
		return nil
	case engine.BuiltIn:
		version = engine.BuiltInVersion
	}
	data, err := engine.ReadData(e.data)
	if err != nil {
		return err
	}
	return data.Takes(version)
}

// keep remembers an engine, and gives it another chance.
func (e *engines) keep(next engine.Engine) error {
	if err := e.choice.fell(next.Name, ""); err != nil || next.Pin == "" {
		return err
	}
	return e.choice.store.Put(next)
}

// set lets the config name an engine, which becomes the one that runs unless
// another one is held.
func (e *engines) set(ctx context.Context, name string) error {
	named, err := e.naming(name)
	if err != nil {
		return err
	}
	applied, err := e.configs.edit(ctx, named)
	if err != nil {
		return err
	}
	return errors.Join(fault(applied, "engine"), fault(applied, "services"))
}

// naming is what lets the config name an engine, or why nothing does. That of
// the OS needs no key, unless a layer below cloud-config.yml names another one.
func (e *engines) naming(name string) (setting, error) {
	values := [][]byte{[]byte(name)}
	if name == engine.BuiltIn {
		values = [][]byte{nil, []byte(name)}
	}
	now := ""
	for _, value := range values {
		s := setting{engineKey, value}
		cfg, err := e.configs.with(s)
		if err != nil {
			return setting{}, err
		}
		if now = wantedEngine(cfg); now == name {
			return s, nil
		}
	}
	return setting{}, fmt.Errorf("a layer of the config that counts more says rancher.docker.engine: %s", now)
}

// await waits until an engine is up and says who it is.
func (e *engines) await(ctx context.Context, want engine.Engine, say sayer) error {
	if want.Name == engine.None {
		text(say, "no engine runs")
		return nil
	}
	ctx, cancel := toComeUp(ctx)
	defer cancel()
	s, err := e.supervisor.Do(ctx, engine.Service, supervise.Up, supervise.Options{Wait: true})
	if err != nil {
		return err
	}
	if s.State != supervise.Healthy {
		return fmt.Errorf("service %q is %s: %s", s.Name, s.State, s.Reason)
	}
	about, err := e.info.About(ctx)
	for n := 0; err != nil && n < answerTries && ctx.Err() == nil; n++ {
		time.Sleep(reloadPause)
		about, err = e.info.About(ctx)
	}
	if err != nil {
		return err
	}
	text(say, "%s answers: Docker %s", want.Name, about.ServerVersion)
	e.note(ctx, want.Name)
	return e.choice.prove()
}
