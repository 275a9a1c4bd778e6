package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/fetch"
	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/osupdate"
)

// installer is one call of the verb install.
type installer struct {
	machine    install.Machine
	source     openSource
	boot       string // folder with GRUB's files
	datasource string // folder with what the datasource found
	kernel     cmdline.Line
	run        install.Runner
	fetch      func(ctx context.Context, url string) ([]byte, error)
	events     *osupdate.Events
	log        *slog.Logger
}

func runInstall(ctx context.Context, c call) (any, error) {
	var o osupdate.InstallOptions
	if err := c.decode(&o); err != nil {
		return nil, err
	}
	kernel, err := readCmdline()
	if err != nil {
		return nil, err
	}
	machine := install.LocalMachine()
	in := installer{
		machine: machine, source: runningSource(kernel, machine.Medium), boot: install.BootDir,
		datasource: configstore.New(configstore.Dir).Datasource(), kernel: kernel,
		run: install.Programs(c.log), fetch: fetchText, events: c.events, log: c.log,
	}
	return in.install(ctx, o)
}

func fetchText(ctx context.Context, url string) ([]byte, error) {
	cfg, err := readConfig()
	if err != nil {
		return nil, err
	}
	return fetch.Text(ctx, url, way(cfg).Client())
}

// install looks at everything before it writes anything.
func (in installer) install(ctx context.Context, o osupdate.InstallOptions) (any, error) {
	kind, err := osupdate.InstallType(o.Type)
	if err != nil {
		return nil, fmt.Errorf("cannot install: %w", err)
	}
	if o.Device == "" {
		return nil, errors.New("cannot install: no disk is named")
	}
	keep := kind == osupdate.NoFormat
	target, err := in.machine.Look(o.Device)
	if err != nil {
		return nil, err
	}
	kept, lost := "", error(nil)
	if keep {
		kept, lost = in.machine.Args(ctx, target, in.run)
	}
	args, err := in.args(o, kept)
	if err != nil {
		return nil, err
	}
	seed, notes, err := in.seed(ctx, o)
	if err == nil {
		seed, err = below(stateDir(o, kept), seed)
	}
	if err != nil {
		return nil, err
	}
	source, done, err := in.source(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	mark := ""
	if o.Automatic {
		mark = order(o, source, seed)
		if err := in.allowed(ctx, o, target, mark); err != nil {
			return nil, err
		}
	}
	if err := in.machine.Free(target, keep); err != nil {
		return nil, err
	}
	if o.Check {
		return osupdate.InstallPlan{
			Version: source.Manifest.Version, Device: target.Path, Model: target.Model, Size: target.Size,
			Found: target.Found(), Lost: !keep && !target.Empty, Notes: notes,
		}, nil
	}
	for _, note := range notes {
		in.events.Note("%s", note)
	}
	if lost != nil {
		in.events.Note("the kernel arguments that the disk had are lost: %v", lost)
	}
	boot, err := install.ReadBootFiles(in.boot)
	if err != nil {
		return nil, err
	}
	job := install.Job{
		Source: source, Boot: boot, Args: args, Seed: seed, Mark: mark, IDs: install.RandomIDs(),
		Run: in.run, Events: in.events, Log: in.log,
	}
	if err := in.write(ctx, job, target, keep); err != nil {
		return nil, err
	}
	return osupdate.Installed{Version: source.Manifest.Version, Device: target.Path, Slot: "A"}, nil
}

func (in installer) write(ctx context.Context, job install.Job, target install.Target, keep bool) error {
	disk, err := install.OpenDevice(target.Path, target.Size, target.SectorSize)
	if err != nil {
		return fmt.Errorf("cannot install on %q: %w", target.Path, err)
	}
	defer disk.Close()
	if !keep {
		return job.Write(ctx, disk)
	}
	if err := job.Renew(ctx, disk, target, in.machine); err != nil {
		return err
	}
	return in.machine.Keep(target, job.Seed)
}

// seed is the config of the machine that is to be.
func (in installer) seed(ctx context.Context, o osupdate.InstallOptions) (files []install.File, notes []string, err error) {
	name, text := o.ConfigName, []byte(o.Config)
	switch {
	case o.Automatic:
		files, err = install.DatasourceSeed(in.datasource)
		return files, nil, err
	case o.ConfigURL != "":
		name = o.ConfigURL
		if text, err = in.fetch(ctx, o.ConfigURL); err != nil {
			return nil, nil, fmt.Errorf("cannot get the config: %w", err)
		}
	case o.Config == "" && o.ConfigName == "" && o.Type == osupdate.NoFormat:
		return nil, nil, nil // the state disk has one
	case o.Config == "" && o.ConfigName == "":
		return nil, []string{"no config is given (-c): nobody will be able to log in"}, nil
	}
	return install.ConfigSeed(name, text)
}

// below puts the files where rancher.state.directory will have them looked for.
func below(dir string, files []install.File) ([]install.File, error) {
	dir = strings.Trim(dir, "/")
	if dir == "" {
		return files, nil
	}
	if !filepath.IsLocal(dir) || strings.ContainsAny(dir, " \"'\\") {
		return nil, fmt.Errorf("cannot install: %q is no folder of the state disk", dir)
	}
	for i := range files {
		files[i].Path = path.Join(dir, files[i].Path)
	}
	return files, nil
}

// stateDir is the folder of the state disk that will be the machine's.
func stateDir(o osupdate.InstallOptions, kept string) string {
	if dirs := cmdline.Parse(kept).Values("rancher.state.directory"); o.StateDir == "" && len(dirs) > 0 {
		return strings.Trim(dirs[len(dirs)-1], "/")
	}
	return o.StateDir
}

// args are the kernel arguments of the machine that is to be: those that its
// disk had; else its consoles are those of this machine, unless others are asked
// for.
func (in installer) args(o osupdate.InstallOptions, kept string) (string, error) {
	var words []string
	if kept == "" && len(cmdline.Parse(o.Append).Values("console")) == 0 {
		for _, v := range in.kernel.Values("console") {
			words = append(words, "console="+v)
		}
	}
	if o.StateDir != "" {
		words = append(words, "rancher.state.directory="+strings.Trim(o.StateDir, "/"))
	}
	// The operator's come last: a " -- " in them ends what the kernel reads.
	if more := strings.TrimSpace(o.Append); more != "" {
		words = append(words, more)
	}
	all, err := bootloader.Append(kept, strings.Join(words, " "))
	if err != nil {
		return "", fmt.Errorf("cannot install: kernel arguments: %w", err)
	}
	return all, nil
}
