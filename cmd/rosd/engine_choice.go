package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/engine"
)

const (
	enginesKnown = "/var/lib/rancher/engines/known.json"
	engineState  = "/run/ros/engine.json" // gone with the next boot
)

// engineChoice is which engine runs, and why not the one of the config.
type engineChoice struct {
	store *engine.Store
	file  string // of boot, for a rosd that starts anew
	log   *slog.Logger

	mu   sync.Mutex
	boot engineBoot
	now  chosenEngine
	set  bool // there is a now
}

// engineBoot is what counts until the machine boots.
type engineBoot struct {
	// Until the next boot Now runs although the config says For.
	Now string `json:"now,omitempty"`
	For string `json:"for,omitempty"`
	// Fallen are the engines that did not start, and why.
	Fallen map[string]string `json:"fallen,omitempty"`
	// Proven is the engine, not of the OS, that was well last.
	Proven string `json:"proven,omitempty"`
	// Halted says that an engine was stopped for another one, and that none was
	// started since.
	Halted bool `json:"halted,omitempty"`
}

// chosenEngine is an engine that runs: the built-in one, none, or one that was
// taken in.
type chosenEngine struct {
	engine.Engine        // with a name; without a Pin when it is the built-in one, or none
	fault         error  // why it is not the one that the config wants
	missing       string // that one, if it only has to be fetched
}

func newEngineChoice(log *slog.Logger) *engineChoice {
	c := &engineChoice{store: &engine.Store{Path: enginesKnown}, file: engineState, log: log}
	c.recall()
	return c
}

// recall reads what an earlier rosd of this boot has remembered.
func (c *engineChoice) recall() {
	if text, err := os.ReadFile(c.file); err == nil && json.Unmarshal(text, &c.boot) != nil {
		c.log.Warn("cannot read which engine runs for now", "file", c.file)
	}
}

// wantedEngine is the name that the config has.
func wantedEngine(cfg *config.Config) string {
	return cmp.Or(cfg.Rancher.Docker.Engine, cfg.Rancher.Defaults.Docker.Engine, engine.BuiltIn)
}

// current is what runs, or should.
func (c *engineChoice) current() chosenEngine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// options is where the built-in options for its dockerd are.
func (c *engineChoice) options() string { return c.current().Options() }

// choose finds the engine that the config wants, or the built-in one when that
// cannot be had. The caller holds mu.
func (c *engineChoice) choose(name string) chosenEngine {
	if c.boot.Now != "" && c.boot.For == name {
		name = c.boot.Now
	}
	builtIn := chosenEngine{Engine: engine.Engine{Name: engine.BuiltIn}}
	if name == engine.BuiltIn || name == engine.None {
		return chosenEngine{Engine: engine.Engine{Name: name}}
	}
	if why := c.boot.Fallen[name]; why != "" {
		builtIn.fault = fmt.Errorf("rancher.docker.engine: the engine of the OS runs until the next boot, %s did not: %s", name, why)
		return builtIn
	}
	e, ok := c.store.Get(name)
	if !ok {
		builtIn.missing = name
		builtIn.fault = fmt.Errorf("rancher.docker.engine: %s is not on this machine yet; the engine of the OS runs meanwhile", name)
		return builtIn
	}
	return chosenEngine{Engine: e}
}

// update makes the engine of the config, as far as it can be had, the one that
// runs, and says what ran before; first says that nothing did.
func (c *engineChoice) update(cfg *config.Config) (was, now chosenEngine, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, first = c.now, !c.set
	c.now, c.set = c.choose(wantedEngine(cfg)), true
	return was, c.now, first
}

// hold lets now run until the machine boots, also when the config says other.
// An empty now ends that.
func (c *engineChoice) hold(now, other string) error {
	return c.remember(func(b *engineBoot) { b.Now, b.For = now, other })
}

// fell remembers that an engine does not start; "" forgets it.
func (c *engineChoice) fell(name, why string) error {
	return c.remember(func(b *engineBoot) {
		if b.Fallen == nil {
			b.Fallen = map[string]string{}
		}
		b.Fallen[name] = why
		if why == "" {
			delete(b.Fallen, name)
		}
	})
}

// prove remembers that the engine that runs is well.
func (c *engineChoice) prove() error {
	if c.proven() {
		return nil
	}
	name := c.current().Name
	return c.remember(func(b *engineBoot) { b.Proven = name })
}

// proven says whether the engine that runs has been well, as that of the OS
// always is.
func (c *engineChoice) proven() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Pin == "" || c.boot.Proven == c.now.Name
}

// halted remembers that an engine is stopped for another one: a rosd that ends
// meanwhile leaves one that looks as if an operator had stopped it.
func (c *engineChoice) halted(yes bool) error {
	if c.isHalted() == yes {
		return nil
	}
	return c.remember(func(b *engineBoot) { b.Halted = yes })
}

// stop stops the engine that runs for another one.
func (c *engineChoice) stop(ctx context.Context, name string, halt func(context.Context) error) {
	if err := c.halted(true); err != nil {
		c.log.Warn("a rosd that ends now leaves no engine", "error", err)
	}
	if err := halt(ctx); err != nil {
		c.log.Warn("the engine did not stop in order", "engine", name, "error", err)
	}
}

func (c *engineChoice) isHalted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boot.Halted
}

func (c *engineChoice) remember(change func(*engineBoot)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.boot)
	text, err := json.Marshal(c.boot)
	if err == nil {
		err = atomicfile.WriteFile(c.file, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot remember which engine runs until the next boot: %w", err)
	}
	return nil
}

// same says whether two are started alike.
func (e chosenEngine) same(other chosenEngine) bool {
	return e.Name == other.Name && e.Pin == other.Pin
}

// applier is the work of rancher.docker.engine: the engine that runs is stopped
// with its containers. The appliers after it write the options for the next one
// and start it.
func (c *engineChoice) applier(files *serviceFiles, halt func(context.Context) error) apply.Applier {
	return func(ctx context.Context, _ *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		was, now, first := c.update(cfg)
		var o apply.Outcome
		if !first && !now.same(was) {
			c.stop(ctx, was.Name, halt)
			o.Did = append(o.Did, fmt.Sprintf("changed the engine from %s to %s", was.Name, now.Name))
		}
		if now.Name == engine.None { // no other one will start
			if err := c.halted(false); err != nil {
				c.log.Warn(err.Error())
			}
		}
		files.setEngine(now.Engine, !first && !now.same(was))
		return o, now.fault
	}
}
