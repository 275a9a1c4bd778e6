package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	// Between two tries to get what the config wants and the machine does not
	// have yet; the time doubles from the first to the last.
	firstFetch = 5 * time.Second
	lastFetch  = 10 * time.Minute
)

// run gets what a config names that nobody has enabled by hand, as on a machine
// that boots for the first time: service files of rancher.services_include, and
// the images of services of the config. Nothing waits for it, and once it is
// there it is there: later boots need no network.
func (e *enabler) run(ctx context.Context) {
	attend(ctx, e.supervisor, func(event supervise.Event) bool {
		return event.Type == "reload" || event.To == supervise.Failed
	}, func() bool { return e.provision(ctx) })
}

// attend tries something once it is known what runs, and again for as long as
// something is missing: soon after an event that see says may have changed that,
// later and later without one.
func attend(ctx context.Context, s *supervise.Supervisor, see func(supervise.Event) bool, try func() (missing bool)) {
	select {
	case <-ctx.Done():
		return
	case <-s.Adopted():
	}
	changes, stop := s.Events()
	defer func() { stop() }()
	delay := firstFetch
	retry := time.NewTimer(delay)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-changes:
			if !ok { // we fell behind
				stop()
				changes, stop = s.Events()
				continue
			}
			if see(event) {
				delay = firstFetch
				retry.Reset(delay)
			}
			continue
		case <-retry.C:
		}
		if try() {
			delay = min(2*delay, lastFetch)
			retry.Reset(delay)
		}
	}
}

// provision gets what is missing and says whether something still is.
func (e *enabler) provision(rosd context.Context) (missing bool) {
	ctx, end := e.turns.background(rosd)
	defer end()
	quiet := func(control.ImageStep) {}
	var wrong []string
	fetched := false
	for _, key := range e.wanted() {
		if _, err := e.take(ctx, key, quiet); err != nil {
			wrong = append(wrong, fmt.Sprintf("rancher.services_include.%s is not on the machine yet: %v", key, err))
			continue
		}
		e.log.Info("took in a service file that the config wants", "key", key)
		fetched = true
	}
	if fetched {
		if err := e.reread(rosd); err != nil {
			e.log.Warn("services that were taken in", "error", err)
		}
	}
	e.startArrived(ctx)
	for _, s := range e.withoutImage(ctx) {
		if _, err := e.pullPinned(ctx, s, quiet); err != nil {
			wrong = append(wrong, fmt.Sprintf("service %s has no image yet: %v", s.Name, err))
			continue
		}
		e.log.Info("pulled an image that the config wants", "service", s.Name, "image", s.Image)
		if _, err := e.supervisor.Do(ctx, s.Name, supervise.Up, supervise.Options{}); err != nil {
			e.log.Warn("cannot start a service whose image is there now", "error", err)
		}
	}
	if ctx.Err() != nil {
		return true // an operator goes first; what is wrong is not known
	}
	for _, text := range wrong {
		if !slices.Contains(e.waiting, text) {
			e.log.Warn(text)
		}
	}
	e.waiting = wrong
	return len(wrong) > 0
}

// Warnings are what the config wants and the machine does not have yet.
func (e *enabler) Warnings() []string {
	end, ok := e.turns.tryTake()
	if !ok {
		return nil // it is being fetched right now
	}
	defer end()
	return slices.Clone(e.waiting)
}

// wanted are the keys of rancher.services_include with nothing behind them.
func (e *enabler) wanted() []string {
	include := e.configs.config().Rancher.ServicesInclude
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(include)) {
		if !include[key] || filepath.IsAbs(key) || e.builtIn(key) {
			continue
		}
		if e.files.enabled.file(key).path == "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// take gets a service file and its images and keeps them; what they are for is
// for the config to say.
func (e *enabler) take(ctx context.Context, key string, say sayer) (services []string, err error) {
	found, err := e.prepare(ctx, key, false, say)
	if err == nil {
		err = e.clash(found.kept.Services, key) // a file that is read where it lies is itself
	}
	if err == nil {
		err = e.sole(found)
	}
	if err == nil {
		err = e.portsFree(found.services, key)
	}
	if err == nil {
		err = e.pullAll(ctx, found, false, say)
	}
	if err == nil {
		err = e.keep(found)
	}
	if err != nil {
		return nil, err
	}
	return found.kept.Services, nil
}

// startArrived starts services that have failed for want of an image that is
// there by now: from an archive, or because somebody has pulled or loaded it.
func (e *enabler) startArrived(ctx context.Context) {
	for _, now := range e.supervisor.Services() {
		s := e.files.service(now.Name)
		if !now.LacksImage() || s.Name == "" || e.files.unwanted(s.Name) {
			continue
		}
		if _, err := e.present(ctx, s); err != nil {
			continue
		}
		e.log.Info("starting a service whose image is there now", "service", s.Name, "image", s.Image)
		if _, err := e.supervisor.Do(ctx, s.Name, supervise.Up, supervise.Options{}); err != nil {
			e.log.Warn("cannot start a service whose image is there now", "error", err)
		}
	}
}

// withoutImage are the services of operators that have failed and whose image is
// not on the machine.
func (e *enabler) withoutImage(ctx context.Context) []compose.Service {
	var list []compose.Service
	for _, now := range e.supervisor.Services() {
		if now.State != supervise.Failed || strings.HasPrefix(now.Image, "ros/") || now.Image == "" {
			continue
		}
		s := e.files.service(now.Name)
		if s.Name == "" || e.builtIn(s.Name) || s.Scope == compose.ScopeUser && len(s.Engine) == 0 {
			continue
		}
		if _, err := e.here(ctx, s); err != nil {
			list = append(list, s)
		}
	}
	return list
}
