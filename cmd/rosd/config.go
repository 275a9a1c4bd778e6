package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/control"
)

// revertRetry is the time between tries to take a change back.
const revertRetry = 10 * time.Second

// configurator keeps the machine what its config says: it reads the layers,
// lets the appliers work, takes back what nobody confirmed, and answers for all
// of it at the control socket (server.Config).
type configurator struct {
	store    configstore.Store
	files    config.Files     // the layers that count beside the kernel command line
	settings []config.Setting // of the kernel command line
	standing []string         // warnings that no change takes away
	driver   *apply.Driver
	services *serviceFiles
	boot     string         // id of this boot
	uptime   func() float64 // seconds since the kernel started
	log      *slog.Logger
	console  io.Writer // the kernel's log, for warnings; nil: none

	changing sync.Mutex // held by whoever changes or applies something
	notice   string     // what rosd did to the config by itself
	revert   *time.Timer

	mu       sync.Mutex // guards what is shown while somebody changes it
	cfg      *config.Config
	said     []string       // warnings of the layers
	results  []apply.Result // of the last application
	warnings []string       // all that the operator should know
	sound    bool           // every file of it can be used
	unfilled []string       // files that a service has started without

	applied chan struct{} // a token when the machine has got another config
}

// start applies the config before anything else runs. The results are what the
// services that an earlier rosd of this boot started have yet to be told.
func (c *configurator) start(ctx context.Context) []apply.Result {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.resumeTrial()
	results := c.update(ctx)
	c.show(results)
	return results
}

// carryOut is the rest of start, for services that were running already.
func (c *configurator) carryOut(ctx context.Context, results []apply.Result) {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.driver.CarryOut(ctx, results, nil)
	c.show(results)
}

// config is the config that counts now.
func (c *configurator) config() *config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg
}

// currentWarnings are what the operator should know about the config.
func (c *configurator) currentWarnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.warnings, c.unfilled)
}

// fill writes the files that the config has for a service which is about to
// start, below the root of its container.
func (c *configurator) fill(service, root string) {
	cfg := c.config()
	if err := apply.FilesFor(c.driver.Host, cfg, service, root); err != nil {
		c.log.Error("config: a service starts without its files", "service", service, "error", err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unfilled = append(c.unfilled, strings.Split(err.Error(), "\n")...)
	}
}

// View implements server.Config.
func (c *configurator) View(private bool) control.ConfigView {
	return control.ConfigView{
		Entries:  c.config().Entries(private),
		Warnings: c.currentWarnings(),
		Pending:  c.trial(),
		LastGood: c.store.LastGood(),
	}
}

// Write implements server.Config.
func (c *configurator) Write(ctx context.Context, w control.ConfigWrite) (control.ConfigApplied, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	var err error
	if w.TrySeconds > 0 {
		err = c.store.Try(w.Text, w.Was, configstore.Trial{Boot: c.boot, Until: c.uptime() + float64(w.TrySeconds)})
	} else {
		err = c.store.Write(w.Text, w.Was)
	}
	if err != nil {
		return control.ConfigApplied{}, err
	}
	c.notice = ""
	c.watchTrial()
	return c.change(ctx), nil
}

// Apply implements server.Config.
func (c *configurator) Apply(ctx context.Context) (control.ConfigApplied, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	return c.change(ctx), nil
}

// reread takes in what a service has found out about the machine, and then
// restarts the services that were waiting to hear it.
func (c *configurator) reread(ctx context.Context, found string) {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.log.Info("reading the config again", "service", found)
	applied := c.change(ctx)
	for _, name := range c.config().Rancher.RestartServices {
		if slices.ContainsFunc(applied.Results, func(r control.ApplyResult) bool { return slices.Contains(r.Did, "restarted "+name) }) {
			continue
		}
		if err := c.driver.Host.Services.Restart(ctx, name); err != nil {
			c.log.Warn("cannot restart a service of rancher.restart_services", "service", name, "error", err)
		}
	}
}

// Confirm implements server.Config.
func (c *configurator) Confirm(context.Context) (control.ConfigApplied, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	if err := c.store.Confirm(); err != nil {
		return control.ConfigApplied{}, err
	}
	c.watchTrial()
	c.log.Info("the config on trial was confirmed")
	c.tell()
	return control.ConfigApplied{Warnings: c.currentWarnings()}, nil
}

// Rollback implements server.Config.
func (c *configurator) Rollback(ctx context.Context) (control.ConfigApplied, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	if err := c.store.GoBack(); err != nil {
		return control.ConfigApplied{}, err
	}
	c.notice = ""
	c.watchTrial()
	c.log.Info("the config was rolled back")
	return c.change(ctx), nil
}

// change makes the machine what the layers say now, services included. The
// caller holds changing.
func (c *configurator) change(ctx context.Context) control.ConfigApplied {
	old := c.config()
	results := c.update(ctx)
	c.driver.CarryOut(ctx, results, c.services.takeFresh())
	c.show(results)
	c.tell()
	return control.ConfigApplied{
		Results:  answers(results, config.Changes(old, c.config())),
		Warnings: c.currentWarnings(),
		Trial:    c.trial(),
	}
}

// update reads the layers and lets the appliers work. The caller holds
// changing, and calls show when it has done the rest.
func (c *configurator) update(ctx context.Context) []apply.Result {
	layers, warnings := config.Read(c.files, c.settings)
	cfg, wrong := config.Load(layers...)
	warnings = append(warnings, wrong...)
	said := slices.Clone(c.standing)
	for _, w := range warnings {
		said = append(said, w.String())
	}
	said = append(said, fixedOptions(cfg)...)
	c.mu.Lock()
	c.unfilled = nil
	c.mu.Unlock()
	results := c.driver.Apply(ctx, cfg)
	if err := writeDatasourceInput(c.driver.Host.Path(datasourceFile), cfg.Rancher); err != nil {
		results = append(results, apply.Result{Applier: "boot", Err: err})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg, c.said, c.sound = cfg, said, c.usable(warnings)
	return results
}

// usable says whether every file of the store counts. A key that does not count
// is no reason against going back to a config with which all was well; a file
// that does not count is.
func (c *configurator) usable(warnings []config.Warning) bool {
	return c.files.File != "" && !slices.ContainsFunc(warnings, func(w config.Warning) bool {
		ours := w.Layer == c.store.File() || strings.HasPrefix(w.Layer, c.store.FileDir())
		return ours && w.Key == ""
	})
}

// show logs what was done and makes what went wrong known. The caller holds
// changing.
func (c *configurator) show(results []apply.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.warnings
	c.results, c.warnings = results, slices.Clone(c.said)
	for _, r := range results {
		for _, did := range r.Outcome.Did {
			c.log.Info("config: "+did, "applier", r.Applier)
		}
		if r.Err != nil {
			c.warnings = append(c.warnings, strings.Split(r.Err.Error(), "\n")...) // joined errors
		}
	}
	if c.notice != "" {
		c.warnings = append(c.warnings, c.notice)
	}
	fresh := slices.DeleteFunc(slices.Clone(c.warnings), func(text string) bool { return slices.Contains(before, text) })
	for _, text := range fresh {
		c.log.Warn("config: " + text)
	}
	c.announce(fresh)
}

// maxAnnounced is how many warnings the console gets: the kernel drops what
// comes too fast, and nobody reads more on a screen that scrolls.
const maxAnnounced = 5

// announce shows warnings on the console, where whoever stands before a machine
// looks first.
func (c *configurator) announce(warnings []string) {
	if c.console == nil {
		return
	}
	for i, text := range warnings {
		if i == maxAnnounced {
			text = fmt.Sprintf("%d more warnings: ros status shows them", len(warnings)-i)
		}
		fmt.Fprintf(c.console, "<27>ros: config: %s\n", strings.ReplaceAll(text, "\n", " ")) // facility daemon, severity error
		if i == maxAnnounced {
			return
		}
	}
}

// failed says whether some part of the config could not be applied.
func (c *configurator) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unfilled) > 0 || slices.ContainsFunc(c.results, func(r apply.Result) bool { return r.Err != nil })
}

// tell lets keepGood begin again.
func (c *configurator) tell() {
	select {
	case c.applied <- struct{}{}:
	default:
	}
}

// answers are the results as ros shows them, each with the keys that have
// changed and that its applier stands for.
func answers(results []apply.Result, changes []config.Change) []control.ApplyResult {
	keys := map[string][]string{}
	for _, change := range changes {
		keys[change.Applier] = append(keys[change.Applier], change.Key)
	}
	var list []control.ApplyResult
	for _, a := range config.Appliers {
		answer := control.ApplyResult{Applier: a.Name, Keys: keys[a.Name]}
		var errs []error
		for _, r := range results {
			if r.Applier == a.Name {
				answer.Did = append(answer.Did, r.Outcome.Did...)
				answer.Notes = append(answer.Notes, r.Outcome.Notes...)
				errs = append(errs, r.Err)
			}
		}
		if err := errors.Join(errs...); err != nil {
			answer.Error = err.Error()
		}
		if answer.Error != "" || len(answer.Keys)+len(answer.Did)+len(answer.Notes) > 0 {
			list = append(list, answer)
		}
	}
	return list
}

// trial is the change on trial, on the clock of who reads it.
func (c *configurator) trial() *control.Trial {
	t := c.store.Trial()
	if t == nil {
		return nil
	}
	return &control.Trial{Until: time.Now().Add(c.left(t)).Round(time.Second)}
}

// left is how much time a trial has left. One of another boot has none.
func (c *configurator) left(t *configstore.Trial) time.Duration {
	if t.Boot != c.boot {
		return 0
	}
	return max(0, time.Duration((t.Until-c.uptime())*float64(time.Second)))
}

// resumeTrial takes back what was on trial when the machine went down: it may
// be why. A rosd that was only started anew lets the trial go on.
func (c *configurator) resumeTrial() {
	t := c.store.Trial()
	if t == nil {
		return
	}
	if c.left(t) > 0 {
		c.watchTrial()
		return
	}
	if err := c.store.Revert(); err != nil {
		c.notice = err.Error()
		return
	}
	c.notice = "the change of the config that was on trial has been taken back: nobody confirmed it before the machine went down"
	if t.Boot == c.boot {
		c.notice = unconfirmed
	}
}

const unconfirmed = "the change of the config that was on trial has been taken back: nobody confirmed it in time"

// watchTrial sets the clock that takes back what is on trial, if anything is.
func (c *configurator) watchTrial() {
	if c.revert != nil {
		c.revert.Stop()
		c.revert = nil
	}
	if t := c.store.Trial(); t != nil {
		c.revert = time.AfterFunc(c.left(t), c.expire)
	}
}

// expire takes the change on trial back, unless it was confirmed meanwhile.
func (c *configurator) expire() {
	c.changing.Lock()
	defer c.changing.Unlock()
	t := c.store.Trial()
	switch {
	case t == nil:
		return
	case c.left(t) > 0: // another one
		c.watchTrial()
		return
	}
	if err := c.store.Revert(); err != nil {
		c.log.Error("trying again", "error", err)
		c.revert = time.AfterFunc(revertRetry, c.expire)
		return
	}
	c.revert = nil
	c.notice = unconfirmed
	c.change(context.Background())
}

// keep keeps the config as the last good one, if it is good.
func (c *configurator) keep() {
	c.mu.Lock()
	sound := c.sound
	c.mu.Unlock()
	if !sound || c.failed() {
		return
	}
	if err := c.store.KeepGood(); err != nil {
		c.log.Warn("no last good config", "error", err)
	}
}

// datasourceFile is where the service datasource reads what to do.
const datasourceFile = "run/ros/config/datasource/datasource.json"

// datasourceInput is what the service datasource reads, in the words of
// rancher.cloud_init and rancher.network.
type datasourceInput struct {
	Datasources []string `json:"datasources,omitempty"`
	IMDSv1      bool     `json:"imdsv1,omitempty"`
	Timeout     int      `json:"timeout,omitempty"` // seconds
	HTTPProxy   string   `json:"http_proxy,omitempty"`
	HTTPSProxy  string   `json:"https_proxy,omitempty"`
	NoProxy     string   `json:"no_proxy,omitempty"`
}

// writeDatasourceInput writes it to path. An address may have a password in it.
func writeDatasourceInput(path string, r config.Rancher) error {
	text, err := json.Marshal(datasourceInput{
		Datasources: r.CloudInit.Datasources, IMDSv1: r.CloudInit.IMDSv1, Timeout: r.CloudInit.Timeout,
		HTTPProxy: r.Network.HTTPProxy, HTTPSProxy: r.Network.HTTPSProxy, NoProxy: r.Network.NoProxy,
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("the service datasource does not know where to look: %w", err)
	}
	return nil
}
