package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/supervise"
)

// settleWait is how long a start without anything remarkable has to be settled:
// it is in nobody's way then.
const settleWait = 2 * time.Minute

// watchSlots is all that rosd does about the slots of an installed system:
// decide a trial, or find out why the last one failed. tell is called when
// logins should be told something else than before.
func watchSlots(ctx context.Context, running slots.Running, t *trial, tell func(slots.Running), log *slog.Logger) {
	tell(running)
	if running.Slot == "" {
		return
	}
	if running.Trial {
		go settle(ctx, t.worker, log) // beside: nothing holds up what decides the trial
		t.run(ctx)
		running.Trial = false
	} else {
		if running.Failed == "" && !pause(ctx, settleWait) {
			return
		}
		settle(ctx, t.worker, log)
	}
	if ctx.Err() == nil {
		tell(running)
	}
}

// settle has the worker write down how the last trial ended, or count this one
// if the boot loader did not start it. It tries again while another worker is
// busy.
func settle(ctx context.Context, worker osupdate.Worker, log *slog.Logger) {
	const tries = 10
	for range tries {
		var found osupdate.Settled
		err := osupdate.Collect(ctx, worker, "settle", nil, &found, nil)
		switch {
		case err == nil && found.Failure != nil:
			log.Warn("the last release failed its trial", "version", found.Failure.Version, "check", found.Failure.Check, "reason", found.Failure.Reason)
		case err == nil && found.Mended:
			log.Warn("the boot loader's variables were lost and are written anew")
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("the start of this system is not settled yet", "error", err)
		if !pause(ctx, time.Minute) {
			return
		}
	}
}

func newTrial(configs *configurator, services *supervise.Supervisor, files *serviceFiles, log *slog.Logger) *trial {
	return &trial{
		limits: func() trialLimits {
			u := configs.config().Rancher.Upgrade
			return trialLimits{
				window:   time.Duration(u.CommitWindowSeconds) * time.Second,
				deadline: time.Duration(u.DeadlineSeconds) * time.Second,
			}
		},
		services: func() []supervise.Service { return wanted(services, files) },
		worker:   osupdate.Local{Program: osupdate.Program, Stderr: os.Stderr},
		settings: func(ctx context.Context, deadline time.Duration) error {
			return tellInit(ctx, configs.config().Rancher.ShutdownTimeout(), deadline)
		},
		end: func(ctx context.Context, t initctl.Trial) error {
			ctx, cancel := context.WithTimeout(ctx, initctlTimeout)
			defer cancel()
			return initctl.EndTrial(ctx, initctl.Socket, t)
		},
		over:    trialOver,
		storage: writable(filepath.Join(filepath.Dir(slots.RecordPath), ".commit")),
		lines:   lastLines,
		uptime:  bootlog.Now,
		log:     log,
	}
}

// trialOver asks PID 1 whether the trial is decided. One that does not answer
// has heard of nothing, and cannot be told of a commit either.
func trialOver(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, initctlTimeout)
	defer cancel()
	a, err := initctl.Status(ctx, initctl.Socket)
	return err == nil && a.Trial != initctl.TrialOpen
}

// wanted are the services that the config has not switched off.
func wanted(services *supervise.Supervisor, files *serviceFiles) []supervise.Service {
	var list []supervise.Service
	for _, s := range services.Services() {
		if !files.unwanted(s.Name) {
			list = append(list, s)
		}
	}
	return list
}
