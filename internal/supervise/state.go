package supervise

import (
	"fmt"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/compose"
)

// State of a service. One thing, one word.
type State string

const (
	Waiting   State = "waiting"   // for the conditions in Service.WaitingFor
	Starting  State = "starting"  // being created, or up but its healthcheck has not passed yet
	Running   State = "running"   // up, no healthcheck
	Healthy   State = "healthy"   // up, healthcheck passes
	Unhealthy State = "unhealthy" // up, healthcheck fails
	Backoff   State = "backoff"   // ended; will be started again at Service.NextStart
	Stopping  State = "stopping"
	Stopped   State = "stopped" // by the operator
	Done      State = "done"    // a one-shot that ended with 0
	Failed    State = "failed"  // will not be started again by itself; Service.Reason says why
)

// Service is what is known about one service at one moment.
type Service struct {
	Name       string        `json:"name"`
	Scope      compose.Scope `json:"scope"`
	Required   bool          `json:"required"`
	Image      string        `json:"image"`
	Ports      []string      `json:"ports,omitempty"` // of the machine that lead to it: "8080->80/tcp"
	File       string        `json:"file"`
	State      State         `json:"state"`
	Reason     string        `json:"reason,omitempty"`      // failed, unhealthy, backoff: why, in the user's words
	WaitingFor []string      `json:"waiting_for,omitempty"` // "network to be healthy"
	OneShot    bool          `json:"one_shot"`
	Pid        int           `json:"pid,omitempty"`
	ExitCode   *int          `json:"exit_code,omitempty"` // of the last run
	Restarts   int           `json:"restarts"`            // by the policy, since boot
	Since      time.Time     `json:"since"`               // of the state
	StartedAt  time.Time     `json:"started_at,omitzero"` // of the running (or last) task
	NextStart  time.Time     `json:"next_start,omitzero"`
	Memory     int64         `json:"memory,omitempty"`  // bytes, memory.current of its cgroup; package control fills it in
	Adopted    bool          `json:"adopted,omitempty"` // was running when rosd started
	Changed    bool          `json:"changed,omitempty"` // runs with an older definition than its file has now; "up" applies it

	// For the boot chart: seconds since the kernel started (CLOCK_BOOTTIME)
	// of the first start of this boot, and of the first time its dependants
	// could go on (running, healthy or done). 0: not yet.
	BootStart float64 `json:"boot_start,omitempty"`
	BootReady float64 `json:"boot_ready,omitempty"`
}

// standing says where the service is, and why it is not further.
func (s Service) standing() string {
	switch {
	case len(s.WaitingFor) > 0:
		return string(s.State) + " for " + strings.Join(s.WaitingFor, ", ")
	case s.Reason != "":
		return fmt.Sprintf("%s (%s)", s.State, s.Reason)
	}
	return string(s.State)
}

// PullAdvice is how the error of a Runtime that does not find an image ends: what
// to do about it. LacksImage knows such an error by it.
func PullAdvice(service string) string { return "ros service pull " + service }

// LacksImage says whether the service has failed because its image was not on
// the machine, so that it may start once it is.
func (s Service) LacksImage() bool {
	return s.State == Failed && strings.HasSuffix(s.Reason, ": "+PullAdvice(s.Name))
}

// Up says whether the service has a process, or is about to have one.
func (s Service) Up() bool {
	switch s.State {
	case Starting, Running, Healthy, Unhealthy, Stopping:
		return true
	}
	return false
}

// Settled says whether the service is where it will stay until something
// happens to it: it is neither waiting nor on its way.
func (s Service) Settled() bool {
	switch s.State {
	case Waiting, Starting, Stopping:
		return false
	}
	return true
}

// Event is one change.
type Event struct {
	Time    time.Time `json:"time"`
	Type    string    `json:"type"` // "state", "reload", "power"
	Service string    `json:"service,omitempty"`
	From    State     `json:"from,omitempty"`
	To      State     `json:"to,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}

// Options refine what an operator asks of a service; every field has a usable
// zero.
type Options struct {
	Signal         string `json:"signal,omitempty"`          // kill: "SIGKILL" when empty
	TimeoutSeconds *int   `json:"timeout_seconds,omitempty"` // stop, restart: instead of stop_grace_period
	ForceRecreate  bool   `json:"force_recreate,omitempty"`  // up
	Wait           bool   `json:"wait,omitempty"`            // answer only when the service has settled
}
