package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/maintenance"
	"github.com/rosteros/ros/internal/osupdate"
)

const (
	// firstLook is how long after the boot the list of releases is read for the
	// first time: the network, and the clock that TLS needs, come first.
	firstLook = 3 * time.Minute
	// upgradeTick is how often a change of the config or of the pause is noticed.
	upgradeTick = time.Minute
)

// upgrades obeys rancher.upgrade.policy: it looks at the list of releases, has
// a new one written to the other slot, and in its window has it tried.
//
// It works through the worker, as "ros os upgrade" does, and keeps no state: a
// rosd that starts again looks again, and finds what is staged already.
type upgrades struct {
	config    func() config.Upgrade
	worker    osupdate.Worker
	reboot    func(context.Context) error
	pausedAt  string // the file that says how long it is paused
	machineID string
	now       func() time.Time
	log       *slog.Logger
}

// run obeys until ctx ends.
func (u *upgrades) run(ctx context.Context) {
	next := u.now().Add(firstLook)
	for pause(ctx, upgradeTick) {
		cfg := u.config()
		if cfg.Policy == "none" || cfg.URL == "" || u.now().Before(next) || u.paused() {
			continue
		}
		next = u.now().Add(time.Duration(cfg.IntervalSeconds) * time.Second)
		if err := u.look(ctx, cfg); err != nil && ctx.Err() == nil {
			u.log.Warn("no automatic upgrade", "error", err)
		}
	}
}

// pause waits; it is false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// look does what the policy says about the current release of the list.
func (u *upgrades) look(ctx context.Context, cfg config.Upgrade) error {
	window, err := maintenance.ParseWindow(cfg.Window)
	if err != nil {
		return err
	}
	found, err := u.ask(ctx, osupdate.Upgrade{Automatic: true, Check: true})
	if err != nil || found.Nothing != "" {
		return err
	}
	wait := maintenance.Jitter(u.machineID, found.Digest, time.Duration(cfg.JitterSeconds)*time.Second)
	u.log.Info("there is a new release", "version", found.Version, "digest", found.Digest, "wait", wait.String())
	if !u.holdOn(ctx, wait) {
		return ctx.Err()
	}
	staged, err := u.ask(ctx, osupdate.Upgrade{Automatic: true, Stage: true})
	if err != nil || staged.Nothing != "" {
		return err
	}
	u.log.Info("a release is staged", "version", staged.Version, "slot", string(staged.Slot), "transferred", staged.Transferred)
	if cfg.Policy != "auto" {
		return nil
	}
	if !u.holdOn(ctx, window.Next(u.now()).Sub(u.now())) {
		return ctx.Err()
	}
	armed, err := u.ask(ctx, osupdate.Upgrade{Automatic: true})
	if err != nil || !armed.Armed {
		return err
	}
	u.log.Info("restarting to try a release", "version", armed.Version)
	return u.reboot(ctx)
}

// holdOn waits, and is false when the operator has changed his mind meanwhile.
func (u *upgrades) holdOn(ctx context.Context, d time.Duration) bool {
	was := u.config()
	for end := u.now().Add(d); u.now().Before(end); {
		if !pause(ctx, min(upgradeTick, end.Sub(u.now()))) {
			return false
		}
		if is := u.config(); is.Policy != was.Policy || is.URL != was.URL || is.Window != was.Window || u.paused() {
			return false
		}
	}
	return ctx.Err() == nil
}

func (u *upgrades) ask(ctx context.Context, r osupdate.Upgrade) (res osupdate.Upgraded, err error) {
	options, err := json.Marshal(r)
	if err != nil {
		return res, err
	}
	return res, osupdate.Collect(ctx, u.worker, "upgrade", options, &res, nil)
}

// paused says whether "ros os pause" holds automatic upgrades. A file that
// cannot be read pauses: somebody wanted it to.
func (u *upgrades) paused() bool {
	text, err := os.ReadFile(u.pausedAt)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	until, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		return true
	}
	return u.now().Before(until)
}
