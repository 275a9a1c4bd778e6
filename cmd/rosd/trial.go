package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/servicelog"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	trialTick = time.Second
	// commitAgain is when a commit that did not work is tried again.
	commitAgain = 10 * time.Second
	trialLines  = 40 // of the log of the service that a trial fails for
)

// trial watches the first boot of a release. It has it committed when every
// required service has been well for the whole commit window, and given up when
// that has not happened by the deadline, or cannot happen any more. PID 1, which
// has a deadline of its own, does not need it for the latter.
type trial struct {
	limits   func() trialLimits
	services func() []supervise.Service // only what the config wants
	worker   osupdate.Worker
	settings func(context.Context, time.Duration) error // tells PID 1 the deadline
	end      func(context.Context, initctl.Trial) error // tells PID 1 that it failed
	over     func(context.Context) bool                 // PID 1 knows how it ended, by whoever's word
	storage  func() error                               // nil: the state disk can be written
	lines    func(service string) []string              // the last of its log
	uptime   func() float64                             // seconds since the kernel started
	log      *slog.Logger
}

// trialLimits are what the config says about a trial.
type trialLimits struct {
	window   time.Duration // rancher.upgrade.commit_window
	deadline time.Duration // rancher.upgrade.deadline, since the kernel started
}

// verdict is what one look found.
type verdict struct {
	check  string // what is not well, "" if all is
	reason string
	final  bool // it will not become well by itself
	seen   string
}

// run watches until the trial is decided or ctx ends.
func (t *trial) run(ctx context.Context) {
	var told time.Duration
	began, since := t.uptime(), ""
	var refused verdict // why the last commit did not work
	for pause(ctx, trialTick) {
		if t.over(ctx) { // decided by hand, or before this rosd was started
			t.log.Info("the trial of this release is over")
			return
		}
		limits := t.limits()
		if limits.deadline != told && t.settings(ctx, limits.deadline) == nil {
			told = limits.deadline
		}
		v := t.look()
		if v.seen != since { // something has changed: the window begins anew
			since, began = v.seen, t.uptime()
		}
		steady := seconds(t.uptime() - began)
		if v.check == "" && steady >= limits.window {
			if refused = t.commit(ctx); refused.check == "" {
				return
			}
			began = t.uptime() - (limits.window - commitAgain).Seconds()
		}
		if late := seconds(t.uptime()) >= limits.deadline; late || v.final && steady >= limits.window {
			if v.check == "" {
				v = refused
			}
			if v.check == "" {
				v.check, v.reason = "deadline", fmt.Sprintf("all required services are well, but only since %s", steady.Round(time.Second))
			}
			if t.fail(ctx, v) {
				return
			}
		}
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// look says how the required services are. A service that was restarted in
// between shows in seen.
func (t *trial) look() verdict {
	var v verdict
	var bad []string
	required, worst := 0, -1
	for _, s := range t.services() {
		if !s.Required {
			continue
		}
		required++
		v.seen += fmt.Sprintf("%s %s %d %d;", s.Name, s.State, s.Pid, s.Restarts)
		switch s.State {
		case supervise.Running, supervise.Healthy, supervise.Done:
			continue
		}
		bad = append(bad, s.Name)
		if n := severity(s); n > worst {
			worst = n
			v.check, v.reason, v.final = "service "+s.Name, unwell(s), s.State == supervise.Failed
		}
	}
	switch {
	case required == 0:
		v.check, v.reason = "services", "there is no required service, so nobody can say that this release works"
	case len(bad) > 1:
		v.reason += fmt.Sprintf(" (not well: %s)", strings.Join(bad, ", "))
	}
	return v
}

// severity tells the service that is broken from those that are only late, on a
// slow machine or because they wait for the broken one.
func severity(s supervise.Service) int {
	switch {
	case s.State == supervise.Failed:
		return 3
	case s.State == supervise.Unhealthy, s.State == supervise.Backoff, s.Restarts > 0:
		return 2
	case s.State == supervise.Starting:
		return 1
	}
	return 0
}

// unwell says what is wrong with a required service.
func unwell(s supervise.Service) string {
	text := fmt.Sprintf("required service %s is %s", s.Name, s.State)
	switch {
	case s.Reason != "":
		text += ": " + strings.Join(strings.Fields(s.Reason), " ")
	case len(s.WaitingFor) > 0:
		text += " for " + strings.Join(s.WaitingFor, ", ")
	}
	if s.Restarts > 0 {
		text += fmt.Sprintf(", after %d restarts", s.Restarts)
	}
	return text
}

// commit has the release committed, if there is room to remember it.
func (t *trial) commit(ctx context.Context) verdict {
	if err := t.storage(); err != nil {
		return verdict{check: "state disk", reason: err.Error()}
	}
	var done osupdate.Changed
	if err := osupdate.Collect(ctx, t.worker, "commit", nil, &done, nil); err != nil {
		t.log.Warn("the release on trial is not committed yet", "error", err)
		return verdict{check: "commit", reason: err.Error()}
	}
	t.log.Info("the release on trial is committed", "slot", string(done.Slot), "version", done.Version)
	return verdict{}
}

// fail gives the trial up. PID 1 restarts the machine then.
func (t *trial) fail(ctx context.Context, v verdict) bool {
	var lines []string
	if name, ok := strings.CutPrefix(v.check, "service "); ok {
		lines = t.lines(name)
	}
	t.log.Error("the release on trial is given up", "check", v.check, "reason", v.reason)
	err := t.end(ctx, initctl.Trial{Outcome: initctl.TrialFailed, Reason: v.reason, Check: v.check, Lines: lines})
	if err != nil {
		t.log.Error("PID 1 does not hear that the trial has failed", "error", err)
	}
	return err == nil
}

// lastLines are the ends of a service's log.
func lastLines(service string) []string {
	logged, err := servicelog.Tail(servicelog.Dir, service, trialLines)
	if err != nil {
		return nil
	}
	var lines []string
	for _, l := range logged {
		lines = append(lines, service+": "+l.Text)
	}
	return lines
}

// writable tries whether a file can be written durably to the state disk.
func writable(file string) func() error {
	return func() error {
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = atomicfile.WriteFile(file, []byte("can be written\n"), 0o600)
		}
		if err != nil {
			return fmt.Errorf("the state disk cannot be written: %w", err)
		}
		return nil
	}
}
