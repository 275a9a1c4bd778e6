package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/crontab"
	"github.com/rosteros/ros/internal/docker"
)

const (
	scheduleLabel = "cron.schedule"
	actionLabel   = "cron.action"
	timeoutLabel  = "cron.restart_timeout"

	usualTimeout = 10 // seconds
	// again is when an engine that is down is asked the next time.
	again = 5 * time.Second
)

// engine has the containers; a *docker.Client.
type engine interface {
	Labelled(ctx context.Context, label string) ([]docker.Labelled, error)
	Act(ctx context.Context, id, action string, seconds int) error
	Changes(ctx context.Context, changed func()) error
}

// job is a container and when it is due.
type job struct {
	docker.Labelled
	schedule crontab.Schedule
	action   string
	timeout  int
	next     time.Time
}

// jobs are all of them.
type jobs struct {
	engine engine
	log    *slog.Logger
	now    func() time.Time
	list   map[string]*job // by ID
}

// run does what is due until ctx ends.
func (j *jobs) run(ctx context.Context) {
	changes := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.watch(ctx, changes)
	}()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			<-done
			return
		case <-changes:
			j.read(ctx)
		case <-due.C:
			j.work(ctx)
		}
		due.Reset(j.wait())
	}
}

// watch tells of changes, and goes on when the engine comes back.
func (j *jobs) watch(ctx context.Context, changes chan<- struct{}) {
	for ctx.Err() == nil {
		err := j.engine.Changes(ctx, func() {
			select {
			case changes <- struct{}{}:
			default: // somebody is told already
			}
		})
		j.log.Debug("the engine tells of no changes", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// read finds out what there is to do. What was known keeps its time.
func (j *jobs) read(ctx context.Context) {
	all, err := j.engine.Labelled(ctx, scheduleLabel)
	if err != nil {
		j.log.Warn("going on with what is known", "error", err)
		return
	}
	list := map[string]*job{}
	for _, c := range all {
		if known := j.list[c.ID]; known != nil {
			list[c.ID] = known
			continue
		}
		found, err := newJob(c)
		if err != nil {
			j.log.Error("leaving out a container", "container", c.Name, "error", err)
		} else {
			found.next = found.schedule.Next(j.now())
			j.log.Info("found a container", "container", c.Name, "schedule", c.Labels[scheduleLabel], "action", found.action)
		}
		list[c.ID] = found // also one that is wrong, so that it is said once
	}
	j.list = list
}

func newJob(c docker.Labelled) (*job, error) {
	schedule, err := crontab.Parse(c.Labels[scheduleLabel])
	if err != nil {
		return &job{}, err
	}
	found := &job{Labelled: c, schedule: schedule, action: cmp.Or(c.Labels[actionLabel], "start"), timeout: usualTimeout}
	if !slices.Contains(docker.Actions, found.action) {
		return &job{}, fmt.Errorf("%s is %q; there are: %s", actionLabel, found.action, strings.Join(docker.Actions, ", "))
	}
	if text := c.Labels[timeoutLabel]; text != "" {
		if found.timeout, err = strconv.Atoi(text); err != nil {
			return &job{}, fmt.Errorf("%s is %q, which is no number", timeoutLabel, text)
		}
	}
	return found, nil
}

// work does what is due.
func (j *jobs) work(ctx context.Context) {
	now := j.now()
	for _, due := range j.list {
		if due.next.IsZero() || due.next.After(now) {
			continue
		}
		due.next = due.schedule.Next(now)
		if err := j.engine.Act(ctx, due.ID, due.action, due.timeout); err != nil {
			j.log.Error("cannot "+due.action+" a container", "container", due.Name, "error", err)
			continue
		}
		j.log.Info(due.action, "container", due.Name)
	}
}

// wait is how long nothing is due.
func (j *jobs) wait() time.Duration {
	const longest = time.Minute // the clock of the machine may be set meanwhile
	wait := longest
	for _, due := range j.list {
		if !due.next.IsZero() {
			wait = min(wait, due.next.Sub(j.now()))
		}
	}
	return max(wait, 0)
}
