package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/bridge"
	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/control/server"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/mounts"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/preload"
	"github.com/rosteros/ros/internal/servicelog"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/stateformat"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	cgroupRoot        = "/sys/fs/cgroup"
	recordDir         = "/run/ros/services"
	groupFile         = "/etc/group"
	socketGroup       = "ros"
	socketGroupID     = 1102 // of that group, should the file not say
	operatorsServices = "/var/lib/rancher/services"
	volumesDir        = "/var/lib/rancher/volumes"
	oemWait           = 3 * time.Second
	applyBound        = 30 * time.Second // for one applier
	servicesBound     = 10 * time.Minute // services that are no more stop one after the other, each within its stop_grace_period
	initctlTimeout    = 5 * time.Second
)

// run is rosd from start to end. It returns nil when it was told to end.
func run(ctx context.Context, power, hup <-chan os.Signal, log *slog.Logger, level *slog.LevelVar) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()

	files := newServiceFiles("/usr/lib/ros/os-services", operatorsServices, log)
	if err := files.enabled.Recover(); err != nil {
		log.Warn("cannot tidy the enabled services", "error", err)
	}
	tasks.Go(func() { files.read(true) }) // beside the config; both take their time on a slow machine

	boot, err := bootlog.Read(bootlog.Path)
	if err != nil {
		log.Warn("going on without the record of the boot", "error", err)
	}
	kernel := cmdline.Parse(readLine("/proc/cmdline"))
	// Services that run were started in this boot, by another rosd.
	again := !empty(recordDir)

	configs := newConfigurator(kernel, log)
	var logins *consoles
	store, err := imagestore.New(imagestore.Options{
		Reach: func() imagestore.Registries { return registries(configs.config()) }, Log: log,
	})
	if err != nil {
		return err
	}
	defer store.Close()
	loads := newPreloads(store, log)
	networks := bridge.New(bridge.Options{Services: files.known, Log: log})
	defer networks.Close()
	runtime, err := containers.New(containers.Options{
		CgroupParent: containers.CgroupParent, ShimCgroup: containers.ShimCgroup, Networks: networks, Log: log,
		Store: store, Arriving: loads.arriving.Load,
		Created: func(service string, pid int) {
			logins.dress(service, rootOf(pid))
			configs.fill(service, rootOf(pid))
		},
	})
	if err != nil {
		return err
	}
	defer runtime.Close()
	engine := docker.New(docker.Socket, log)
	engine.Arriving = loads.intoDocker.Load
	services := supervise.New(supervise.Config{
		Runtime: scopes{system: runtime, user: engine}, Log: log, Dir: recordDir, Uptime: bootlog.Now,
		LastLine: func(service string, since time.Time) string {
			if s := files.service(service); s.Scope == compose.ScopeUser {
				return engine.LastLine(ctx, s, since)
			}
			return lastLine(service, since)
		},

		// Starting a container is work for a processor. More at once would make
		// those that others wait for share it with those that nobody needs yet.
		Concurrency: max(2, goruntime.NumCPU()),
	})
	loads.supervisor = services
	choice := newEngineChoice(log)
	halt := engineHalt{supervisor: services, info: engine, options: dockerOptions}
	configs.services = files
	enabling := &enabler{
		configs: configs, files: files, supervisor: services, images: store, engine: engine, store: files.enabled.Store, log: log,
		loadIntoEngine: preload.IntoDocker(dockerSocket), cache: catalogCache, certificates: certificates,
	}
	loads.arrived = enabling.startArrived
	logins = newConsoles(&consoles{
		root: "/", kept: catalog.Store{Dir: consolesDir}, configs: configs, files: files, supervisor: services,
		images: store, bring: enabling.bring, runtime: runtime, catalog: enabling.catalog, log: log,
	})
	if err := logins.recover(); err != nil {
		log.Warn("cannot tidy the consoles", "error", err)
	}
	configs.driver = &apply.Driver{
		Host: &apply.Host{
			Root:     "/",
			System:   apply.LocalSystem(kernel.ModuleParams(), log),
			Services: serviceControl{services, files, volumesDir},
			Log:      log,
			Slot:     boot.Slot,
			Consoles: kernel.Consoles(),

			DockerOptions: choice.options,
			Console:       logins.service,
		},
		Appliers: appliers(files, services, choice.applier(files, halt.halt), logins, level, func(ctx context.Context, timeout time.Duration) error { return tellInit(ctx, timeout, 0) }),
		Bound:    applyBound,
		Longer:   map[string]time.Duration{"services": servicesBound},
	}
	results := configs.start(ctx)

	socket, err := listen(log)
	if err != nil {
		return err
	}
	door, err := server.ListenConsole(control.ConsoleSocket)
	if err != nil {
		return err
	}
	var found atomic.Bool
	installs := newAutoInstall(configs, log, func() bool {
		return found.Load() || datasourceOver(services, files, again)
	})
	srv := newServer(services, files, func() []string {
		return slices.Concat(configs.currentWarnings(), installs.warnings(), loads.warnings(), logins.warnings())
	}, configs, log)
	srv.Images, srv.Baked, srv.Preload = store, runtime.Baked(), loads.now
	srv.EngineLog = engine.Log
	srv.Consoles = logins
	srv.Catalog, srv.Pending = enabling, enabling.Warnings
	tasks.Go(func() { enabling.run(ctx) })
	tasks.Go(func() { logins.run(ctx) })
	switching := newEngines(enabling, choice, halt, store, runtime, engine, log)
	srv.Engines, srv.Certificates = switching, configs.certificate
	tasks.Go(func() { switching.tend(ctx) })
	srv.Containers, srv.Services = runtime, operatorsServices
	tasks.Go(func() { loads.run(ctx) })
	tasks.Go(func() { tendRuns(ctx, runtime, log) })
	tasks.Go(func() { networks.Run(ctx) })
	tasks.Go(func() {
		if err := srv.Serve(ctx, socket); err != nil {
			log.Error("rosd cannot be talked to any more", "error", err)
			cancel() // PID 1 starts another
		}
	})
	tasks.Go(func() {
		if err := srv.ServeConsole(ctx, door); err != nil {
			log.Error("logins stay in the default console", "error", err)
		}
	})
	tasks.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				files.reload(services)
			case <-power:
				stopAll(ctx, services, configs.config().Rancher.ShutdownTimeout(), log)
				cancel()
			}
		}
	})
	running := slots.FromCmdline(kernel)
	if running.Slot != "" {
		u := newUpgrades(configs, log)
		tasks.Go(func() { u.run(ctx) })
	}
	tasks.Go(func() {
		tell := func(r slots.Running) { writeNotice(r, boot.Version, log) }
		watchSlots(ctx, running, newTrial(configs, services, files, log), tell, log)
	})
	if boot.Slot == "iso" {
		tasks.Go(func() { installs.run(ctx) })
	}
	w := &watcher{config: configs, supervisor: services, files: files, spawn: tasks.Go, found: func() { found.Store(true) }}
	tasks.Go(func() { w.run(ctx) })
	if again {
		tasks.Go(func() {
			select {
			case <-ctx.Done():
			case <-services.Adopted():
				configs.carryOut(ctx, results)
			}
		})
	}
	return services.Run(ctx, files.definitions())
}

func newServer(services *supervise.Supervisor, files *serviceFiles, warnings func() []string, configs *configurator, log *slog.Logger) *server.Server {
	return &server.Server{
		Supervisor: services,
		Machine:    server.Machine{Root: "/"},
		Boot: func() (bootlog.Record, error) {
			record, err := bootlog.Read(bootlog.Path)
			record.Warnings = append(record.Warnings, warnings()...)
			return record, err
		},
		Plan:    files.plan,
		Reload:  func() control.Plan { return files.reload(services) },
		Config:  configs,
		OS:      osupdate.Local{Program: osupdate.Program, Stderr: os.Stderr},
		Cgroups: cgroupRoot + containers.CgroupParent,
		Log:     log,
	}
}

func newUpgrades(configs *configurator, log *slog.Logger) *upgrades {
	return &upgrades{
		config: func() config.Upgrade { return configs.config().Rancher.Upgrade },
		worker: osupdate.Local{Program: osupdate.Program, Stderr: os.Stderr},
		reboot: func(ctx context.Context) error {
			return initctl.Power(ctx, initctl.Socket, initctl.OpReboot, false)
		},
		pausedAt:  osupdate.PauseFile,
		machineID: readLine("/etc/machine-id"),
		now:       time.Now,
		zone:      func() *time.Location { return machineZone(zoneFile) },
		log:       log,
	}
}

func newAutoInstall(configs *configurator, log *slog.Logger, ready func() bool) *autoInstall {
	return &autoInstall{
		ready:   ready,
		config:  func() config.Install { return configs.config().Rancher.Install },
		worker:  osupdate.Local{Program: osupdate.Program, Stderr: os.Stderr},
		power:   func(ctx context.Context, op string) error { return initctl.Power(ctx, initctl.Socket, op, false) },
		begun:   "/run/ros/install",
		console: configs.console,
		log:     log,
	}
}

// datasourceOver says that nothing will come from the service datasource, or,
// for a rosd that was started again, that it has come.
func datasourceOver(services *supervise.Supervisor, files *serviceFiles, again bool) bool {
	const name = "datasource"
	if files.service(name).Name == "" || files.unwanted(name) {
		return true
	}
	s, err := services.Service(name)
	if err != nil {
		return false // nothing has begun yet
	}
	switch s.State {
	case supervise.Failed, supervise.Stopped:
		return true
	case supervise.Done:
		return again
	}
	return false
}

// newConfigurator finds out which layers of the config there are.
func newConfigurator(kernel cmdline.Line, log *slog.Logger) *configurator {
	c := &configurator{
		store:    configstore.New(configstore.Dir),
		settings: kernel.Settings(),
		boot:     readLine("/proc/sys/kernel/random/boot_id"),
		uptime:   bootlog.Now,
		log:      log,
		applied:  make(chan struct{}, 1),
	}
	// Kept open as long as rosd lives; each write is one line of the log.
	if kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		c.console = kmsg
	}
	if kernel.OnlyDefaults() {
		c.standing = []string{"nothing but the defaults and the kernel command line counts: the machine was booted with ros.config=defaults"}
		return c
	}
	lowest, _ := config.Load(config.Layer{Name: config.CommandLine, Settings: c.settings})
	partition := oem{devices: blockdev.Local(), dir: filepath.Dir(config.OEMFile), mount: mounts.ReadOnly}
	if err := within(oemWait, func() error { return partition.fetch(lowest.Rancher.State.OEMDev) }); err != nil {
		c.standing = append(c.standing, err.Error())
	}
	// Before the first look at a file: one that a newer release left behind, or
	// an older one, becomes what this one can read.
	note, err := stateformat.Open(configstore.Dir, confMigrations())
	if err != nil {
		note = err.Error()
	}
	if note != "" {
		c.standing = append(c.standing, note)
		log.Warn(note)
	}
	c.files = config.Files{
		OEM: partition.file(), Datasource: c.store.Datasource(), Dir: c.store.FileDir(), File: c.store.File(),
	}
	return c
}

// confMigrations are the changes of format that the folder of the config has
// seen: none so far. A release that adds one can be tried and left again.
func confMigrations() []stateformat.Migration { return nil }

// rootOf is where the files of a process can be reached.
func rootOf(pid int) string { return fmt.Sprintf("/proc/%d/root", pid) }

// tellInit hands PID 1 what the config says about it. A deadline of 0 stays what
// it is.
func tellInit(ctx context.Context, shutdownTimeout, trialDeadline time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, initctlTimeout)
	defer cancel()
	return initctl.Settings(ctx, initctl.Socket, shutdownTimeout, trialDeadline)
}

// empty says whether there is nothing in a folder, or no folder.
func empty(dir string) bool {
	entries, _ := os.ReadDir(dir)
	return len(entries) == 0
}

// readLine is the text of a file of one line, "" if it cannot be read.
func readLine(path string) string {
	text, _ := os.ReadFile(path)
	return string(bytes.TrimSpace(text))
}

func listen(log *slog.Logger) (net.Listener, error) {
	gid, err := server.GroupID(groupFile, socketGroup)
	if err != nil {
		gid = socketGroupID
		log.Warn("using the built-in id of the group", "error", err, "gid", gid)
	}
	return server.Listen(control.Socket, gid)
}

// stopAll is the orderly stop before the machine goes down. PID 1 kills what
// is left when the time is over.
func stopAll(ctx context.Context, services *supervise.Supervisor, timeout time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	log.Info("stopping all services", "timeout", timeout)
	if err := services.Shutdown(ctx); err != nil {
		log.Error("leaving services to PID 1", "error", err)
	}
}

// lastLine is the last line a service wrote itself since then.
func lastLine(service string, since time.Time) string {
	const enough = 5 // notes of the log itself may come after it
	lines, err := servicelog.Tail(servicelog.Dir, service, enough)
	if err != nil {
		return ""
	}
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].Stream != servicelog.Note && !lines[i].Time.Before(since) {
			return lines[i].Text
		}
	}
	return ""
}
