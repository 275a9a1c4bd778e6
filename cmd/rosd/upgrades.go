package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	// upgradeTick is how often a change of the config, of the pause or of the
	// clock is noticed.
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
	zone      func() *time.Location // of the window
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
		switch err := u.look(ctx, cfg); {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, errAnew):
			u.log.Info("looking at the list of releases anew", "reason", err)
			next = u.now()
		default:
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

// errAnew is of a look that no longer has to do with how things are.
var errAnew = errors.New("the config, the pause, the list or the clock is not what it was")

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
	wait := u.jitter(cfg, found)
	u.log.Info("there is a new release", "version", found.Version, "digest", found.Digest, "wait", wait.String())
	end := u.now().Add(wait)
	if err := u.holdOn(ctx, cfg, func() time.Duration { return end.Sub(u.now()) }); err != nil {
		return err
	}
	staged, err := u.ask(ctx, osupdate.Upgrade{Automatic: true, Stage: true})
	if err != nil || staged.Nothing != "" {
		return err
	}
	u.log.Info("a release is staged", "version", staged.Version, "slot", string(staged.Slot), "transferred", staged.Transferred)
	if cfg.Policy != "auto" {
		return nil
	}
	return u.try(ctx, cfg, window, staged)
}

// jitter is this machine's moment in the spread over all machines.
func (u *upgrades) jitter(cfg config.Upgrade, r osupdate.Upgraded) time.Duration {
	return maintenance.Jitter(u.machineID, r.Digest, time.Duration(cfg.JitterSeconds)*time.Second)
}

// try restarts the machine into what is staged, when it is its turn in the
// window.
func (u *upgrades) try(ctx context.Context, cfg config.Upgrade, window maintenance.Window, staged osupdate.Upgraded) error {
	offset := u.jitter(cfg, staged)
	left := func() time.Duration {
		now := u.now().In(u.zone())
		return window.Turn(now, offset).Sub(now)
	}
	if err := u.holdOn(ctx, cfg, left); err != nil {
		return err
	}
	// The list may name another release by now. That one would have to be written
	// first, for as long as it takes.
	armed, err := u.ask(ctx, osupdate.Upgrade{Automatic: true, Digest: staged.Digest})
	switch {
	case err != nil:
		return err
	case !armed.Armed:
		return errAnew
	case u.changed(cfg) || left() > 0: // the slot was read once more, which takes time
		u.disarm(ctx)
		return errAnew
	}
	u.log.Info("restarting to try a release", "version", armed.Version)
	if err := u.reboot(ctx); err != nil {
		u.disarm(ctx)
		return fmt.Errorf("the machine does not restart to try %s, which stays staged: %w", armed.Version, err)
	}
	return nil
}

// disarm takes back a trial that must not come about by the next restart, which
// may be anybody's.
func (u *upgrades) disarm(ctx context.Context) {
	if err := osupdate.Collect(ctx, u.worker, "disarm", nil, nil, nil); err != nil {
		u.log.Warn("the next restart tries a release, whoever asks for it", "error", err)
	}
}

// holdOn waits until nothing is left, which is asked anew all the time. It ends
// with errAnew when the operator has changed his mind meanwhile.
func (u *upgrades) holdOn(ctx context.Context, was config.Upgrade, left func() time.Duration) error {
	for {
		if u.changed(was) {
			return errAnew
		}
		d := left()
		if d <= 0 {
			return ctx.Err()
		}
		if !pause(ctx, min(upgradeTick, d)) {
			return ctx.Err()
		}
	}
}

// changed says whether the operator wants something else than he did.
func (u *upgrades) changed(was config.Upgrade) bool {
	is := u.config()
	return is.Policy != was.Policy || is.URL != was.URL || is.Window != was.Window || is.JitterSeconds != was.JitterSeconds || u.paused()
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

// zoneFile has the rules of the machine's time zone.
const zoneFile = "/etc/localtime"

// machineZone is the time zone that the machine has now, which is in a file as
// localtime(5) has it; without one that can be read it is UTC. Go's own
// time.Local is what it was when the program began.
func machineZone(file string) *time.Location {
	rules, err := os.ReadFile(file)
	if err != nil {
		return time.UTC
	}
	zone, err := time.LoadLocationFromTZData("", rules)
	if err != nil {
		return time.UTC
	}
	return zone
}
