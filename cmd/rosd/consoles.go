package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/supervise"
)

// consoleNote is what another rosd of this boot knew of the consoles.
const consoleNote = "/run/ros/console.json"

// consoles are where logins go on: in the services console and ssh themselves,
// which is the default console, or in a container of any image (package
// console).
//
// A console that is not the default one is a service like any other. Its file,
// with the image by its digest, is kept when it is taken in, so that a boot
// needs no network.
type consoles struct {
	root       string // "/", or a folder in tests
	kept       catalog.Store
	configs    *configurator
	files      *serviceFiles
	supervisor *supervise.Supervisor
	images     consoleImages
	bring      func(ctx context.Context, repo, name string, say sayer) (imagestore.Image, error)
	runtime    consoleRuntime
	catalog    func() *catalog.Catalog
	gives      func(ctx context.Context, service string) error // says why it gives no shell
	log        *slog.Logger

	turns turns
	wake  chan struct{}

	mu      sync.Mutex
	begun   bool // the config has been read once
	state   consoleState
	missing string // why the console that the config names is not in use
}

// consoleState is what has to be known again after a restart of rosd.
type consoleState struct {
	Current string `json:"current"`
	Next    string `json:"next,omitempty"` // from the next boot on; "": the same
}

// consoleImages are those of the system containerd; an *imagestore.Store.
type consoleImages interface {
	Get(ctx context.Context, name string) (imagestore.Image, error)
	Load(ctx context.Context, r io.Reader, total int64, say func(imagestore.Event)) ([]imagestore.Image, error)
}

// consoleRuntime runs programs in containers; a *containers.Runtime.
type consoleRuntime interface {
	Exec(ctx context.Context, container string, c containers.Command) (*containers.Session, error)
	ExecAs(ctx context.Context, container string, c containers.Command, as containers.Identity) (*containers.Session, error)
}

func newConsoles(c *consoles) *consoles {
	c.wake, c.state.Current = make(chan struct{}, 1), console.Default
	if c.gives == nil {
		c.gives = c.tryShell
	}
	return c
}

// current is the console that logins are in, and next the one that they will be
// in after a boot.
func (c *consoles) current() (current, next string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next = c.state.Next
	if next == "" {
		next = c.state.Current
	}
	return c.state.Current, next
}

// service is the service that logins are entered into; "": none.
func (c *consoles) service() string {
	if name, _ := c.current(); name != console.Default {
		return console.Service(name)
	}
	return ""
}

// set remembers where logins are.
func (c *consoles) set(s consoleState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.missing = s, ""
	text, err := json.Marshal(s)
	if err == nil {
		err = atomicfile.WriteFile(filepath.Join(c.root, consoleNote), text, 0o644)
	}
	if err != nil {
		c.log.Warn("a rosd that is started anew will not know the console", "error", err)
	}
}

// has says whether a console is on the machine.
func (c *consoles) has(name string) bool {
	_, err := c.kept.Get(name)
	return name == console.Default || err == nil
}

// file is the service file of a console; "": it has none.
func (c *consoles) file(name string) string {
	kept, err := c.kept.Get(name)
	if err != nil {
		return ""
	}
	return c.kept.File(kept)
}

// count makes the files of some consoles count, beside those of other services.
func (c *consoles) count(names ...string) {
	var files []string
	for _, name := range names {
		if file := c.file(name); file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	c.files.setConsoles(files...)
}

// applier is the work of rancher.console.
func (c *consoles) applier() apply.Applier {
	return func(ctx context.Context, _ *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		want := cfg.Rancher.Console
		other := c.files.setAnew(cfg.Rancher.ForceConsoleRebuild)
		if c.first(want) {
			return apply.Outcome{}, nil // services are not running yet
		}
		now, next := c.current()
		switch {
		case want == now:
			if next != now {
				c.set(consoleState{Current: now})
			}
			if other {
				return c.remake(ctx, now)
			}
			c.count(now)
			return apply.Outcome{}, nil
		case want == next:
			return apply.Outcome{Notes: []string{"logins are in console " + want + " from the next boot on"}}, nil
		}
		end, ok := c.turns.tryTake()
		if ok {
			defer end()
		}
		if !ok || !c.has(want) {
			c.nudge()
			return apply.Outcome{Notes: []string{"console " + want + " is fetched first; until it runs, logins are in console " + now}}, nil
		}
		if err := c.swap(ctx, want); err != nil {
			return apply.Outcome{}, fmt.Errorf("rancher.console: %w", err)
		}
		c.retire(context.WithoutCancel(ctx), now)
		return apply.Outcome{Did: []string{"logins are in console " + want}}, nil
	}
}

// remake makes the services what the files say, with those of some consoles.
func (c *consoles) remake(ctx context.Context, names ...string) (apply.Outcome, error) {
	c.count(names...)
	w := servicesWork{files: c.files, supervisor: c.supervisor}
	w.reread(ctx)
	return w.outcome, errors.Join(w.errs...)
}

// after tells the console in use what an applier has changed in the machine's
// accounts.
func (c *consoles) after(do apply.Applier) apply.Applier {
	return func(ctx context.Context, h *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		outcome, err := do(ctx, h, cfg)
		c.accounts()
		return outcome, err
	}
}

// first is the first look at a config: when the machine boots, its console is in
// use from the beginning on. Another rosd of the same boot goes on where the
// last one was.
func (c *consoles) first(want string) bool {
	c.mu.Lock()
	if c.begun {
		c.mu.Unlock()
		return false
	}
	c.begun = true
	c.mu.Unlock()
	state := consoleState{Current: console.Default}
	if c.has(want) {
		state.Current = want
	}
	text, err := os.ReadFile(filepath.Join(c.root, consoleNote))
	if err == nil && json.Unmarshal(text, &state) != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("cannot read which console is in use", "error", err)
	}
	if !c.has(state.Current) {
		state.Current = console.Default
	}
	c.set(state)
	c.count(state.Current)
	if want != state.Current && want != state.Next {
		c.nudge()
	}
	return true
}

// nudge lets run look for a console that is missing.
func (c *consoles) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run gets the console that the config names and the machine does not have, as
// on a machine that boots for the first time.
func (c *consoles) run(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-c.supervisor.Adopted():
	}
	c.tidy(ctx)
	delay := firstFetch
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			delay = firstFetch
		case <-retry.C:
		}
		if c.provision(ctx) {
			retry.Reset(delay)
			delay = min(2*delay, lastFetch)
		}
	}
}

// tidy stops the consoles that a rosd has started which was killed before logins
// were in them: no file describes them to this one.
func (c *consoles) tidy(ctx context.Context) {
	end, err := c.turns.take(ctx)
	if err != nil {
		return // rosd ends
	}
	defer end()
	for _, s := range c.supervisor.Services() {
		name, ok := strings.CutPrefix(s.Name, console.Service(""))
		if !ok || !c.has(strings.TrimSuffix(name, trialEnd)) || c.files.service(s.Name).Name != "" {
			continue
		}
		if _, err := c.supervisor.Do(ctx, s.Name, supervise.Stop, supervise.Options{}); err != nil {
			c.log.Warn("a console that nobody is in still runs", "service", s.Name, "error", err)
		}
	}
}

// provision says whether the console that the config names is still missing.
func (c *consoles) provision(rosd context.Context) (missing bool) {
	ctx, end := c.turns.background(rosd)
	defer end()
	want := c.configs.config().Rancher.Console
	now, next := c.current()
	if want == now || want == next {
		return false
	}
	err := c.obtain(ctx, want)
	if err == nil {
		err = c.swap(ctx, want)
	}
	if err != nil && ctx.Err() != nil {
		return rosd.Err() == nil // an operator goes first; what is wrong is not known
	}
	c.mu.Lock()
	before := c.missing
	c.missing = ""
	if err != nil {
		c.missing = fmt.Sprintf("rancher.console: logins are in console %s: %v", now, err)
	}
	if c.missing != "" && c.missing != before {
		c.log.Warn(c.missing)
	}
	c.mu.Unlock()
	if err != nil {
		return true
	}
	c.log.Info("logins are in another console", "console", want)
	if _, err := c.configs.Apply(rosd); err != nil {
		c.log.Warn("cannot apply the config again", "error", err)
	}
	c.retire(rosd, now)
	return false
}

// obtain takes a console in, if it is not on the machine.
func (c *consoles) obtain(ctx context.Context, name string) error {
	if c.has(name) {
		return nil
	}
	t, err := c.take(ctx, control.ConsoleName{Name: name}, func(control.ImageStep) {})
	if err == nil && t.name != name {
		err = fmt.Errorf("%q is not the name of a console", name)
	}
	return err
}

// warnings are what an operator should know.
func (c *consoles) warnings() []string {
	c.mu.Lock()
	missing, now := c.missing, c.state.Current
	c.mu.Unlock()
	var list []string
	if missing != "" {
		list = append(list, missing)
	}
	if now == console.Default {
		return list
	}
	s, err := c.supervisor.Service(console.Service(now))
	switch {
	case err != nil:
		list = append(list, fmt.Sprintf("console %s is not running: logins are in the default console", now))
	case s.State == supervise.Failed || s.State == supervise.Backoff || s.State == supervise.Stopped:
		list = append(list, strings.TrimSuffix(fmt.Sprintf("console %s is %s: logins are in the default console: %s", now, s.State, s.Reason), ": "))
	}
	return list
}
