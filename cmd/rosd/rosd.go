package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	goruntime "runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/control/server"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/servicelog"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	cgroupRoot     = "/sys/fs/cgroup"
	recordDir      = "/run/ros/services"
	groupFile      = "/etc/group"
	socketGroup    = "ros"
	socketGroupID  = 1102 // of that group, should the file not say
	seedWait       = 3 * time.Second
	initctlTimeout = 5 * time.Second
)

// run is rosd from start to end. It returns nil when it was told to end.
func run(ctx context.Context, power, hup <-chan os.Signal, log *slog.Logger, level *slog.LevelVar) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()

	files := newServiceFiles("/usr/lib/ros/os-services", "/var/lib/rancher/services", log)
	tasks.Go(files.read) // beside the config; both take their time on a slow machine

	boot, err := bootlog.Read(bootlog.Path)
	if err != nil {
		log.Warn("going on without the record of the boot", "error", err)
	}
	kernel := cmdline.Parse(readLine("/proc/cmdline"))
	cfg, warnings := loadConfig(kernel, log)
	if cfg.Rancher.Debug {
		level.Set(slog.LevelDebug)
	}
	h := host{root: "/", setHostname: unix.Sethostname}
	for _, err := range h.apply(cfg, logins(cfg, boot.Slot, kernel)) {
		log.Error("cannot apply the config", "error", err)
		warnings = append(warnings, err.Error())
	}
	tasks.Go(func() { tellInit(ctx, cfg.Rancher.ShutdownTimeout(), log) })

	runtime, err := containers.New(containers.Options{
		CgroupParent: containers.CgroupParent, ShimCgroup: containers.ShimCgroup, Log: log,
	})
	if err != nil {
		return err
	}
	defer runtime.Close()
	services := supervise.New(supervise.Config{
		Runtime: runtime, Log: log, Dir: recordDir, Uptime: bootlog.Now, LastLine: lastLine,
		// Starting a container is work for a processor. More at once would make
		// those that others wait for share it with those that nobody needs yet.
		Concurrency: max(2, goruntime.NumCPU()),
	})

	socket, err := listen(log)
	if err != nil {
		return err
	}
	srv := &server.Server{
		Supervisor: services,
		Machine:    server.Machine{Root: "/"},
		Boot: func() (bootlog.Record, error) {
			record, err := bootlog.Read(bootlog.Path)
			record.Warnings = append(record.Warnings, warnings...)
			return record, err
		},
		Plan:    files.plan,
		Reload:  func() control.Plan { return files.reload(services) },
		Cgroups: cgroupRoot + containers.CgroupParent,
		Log:     log,
	}
	tasks.Go(func() {
		if err := srv.Serve(ctx, socket); err != nil {
			log.Error("rosd cannot be talked to any more", "error", err)
			cancel() // PID 1 starts another
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
				stopAll(ctx, services, cfg.Rancher.ShutdownTimeout(), log)
				cancel()
			}
		}
	})
	return services.Run(ctx, files.definitions())
}

// loadConfig reads every layer of the config there is.
func loadConfig(kernel cmdline.Line, log *slog.Logger) (*config.Config, []string) {
	var said []string
	warn := func(text string) {
		log.Warn("config: " + text)
		said = append(said, text)
	}
	seed := seed{devices: blockdev.Local(), dir: "/run/ros/seed", mount: mountSeed}
	if err := within(seedWait, seed.fetch); err != nil {
		warn(err.Error())
	}
	layers, unread := config.Read(config.Files{
		UserData: seed.userData(),
		Dir:      "/var/lib/rancher/conf/cloud-config.d",
		File:     "/var/lib/rancher/conf/cloud-config.yml",
	}, kernel.Settings())
	cfg, wrong := config.Load(layers...)
	for _, w := range append(unread, wrong...) {
		warn(w.String())
	}
	return cfg, said
}

// tellInit hands PID 1 what the config says about it.
func tellInit(ctx context.Context, shutdownTimeout time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, initctlTimeout)
	defer cancel()
	if err := initctl.Settings(ctx, initctl.Socket, shutdownTimeout); err != nil {
		log.Warn("PID 1 keeps its default shutdown timeout", "error", err)
	}
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
