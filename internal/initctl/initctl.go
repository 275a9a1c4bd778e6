// Package initctl is the conversation with PID 1: its unix socket, the
// requests and answers on it, and how file descriptors travel along.
//
// A connection carries one request, a line of JSON, and one answer, a line of
// JSON. The file descriptors of a log request come with the request's first
// byte (SCM_RIGHTS). Only the user that PID 1 runs as may talk to it.
//
// It decides nothing: PID 1 passes a Handler that obeys, rosd, ros and the
// log handover are the clients.
package initctl

import (
	"errors"
	"fmt"
	"slices"
)

// Socket is where PID 1 of the running machine listens.
const Socket = "/run/ros/init.sock"

// What can be asked for.
const (
	OpPoweroff = "poweroff"
	OpReboot   = "reboot"
	OpHalt     = "halt"
	OpKexec    = "kexec" // a reboot into the kernel that was loaded; without one, like reboot
	OpLog      = "log"
	OpSettings = "settings"
	OpStatus   = "status"
	OpTrial    = "trial"
)

// How a trial boot went.
const (
	TrialCommitted = "committed"
	TrialFailed    = "failed"
	TrialEnded     = "ended" // an operator has rolled it back, and restarts when it suits him
)

// TrialOpen is the trial of an Answer that nobody has decided yet.
const TrialOpen = "open"

// Request is what a client asks for; which fields count depends on Op.
type Request struct {
	Op string `json:"op"`

	// poweroff, reboot, halt, kexec: at once, with nothing but a sync before it.
	Force bool `json:"force,omitempty"`

	// log: read the two descriptors that come along to their ends, into the
	// log of this service. Limits of 0 are the defaults.
	Service  string `json:"service,omitempty"`
	MaxBytes int64  `json:"max_bytes,omitempty"`
	Files    int    `json:"files,omitempty"`

	// settings: how long an orderly shutdown may take in total, and by when,
	// counted from the start of the kernel, rosd wants to have decided a trial.
	// PID 1 gives it a minute more. 0 leaves the deadline as it is.
	ShutdownTimeoutSeconds int `json:"shutdown_timeout_seconds,omitempty"`
	TrialDeadlineSeconds   int `json:"trial_deadline_seconds,omitempty"`

	// trial
	Trial *Trial `json:"trial,omitempty"`
}

// Trial says how the running trial boot went.
type Trial struct {
	Outcome string `json:"outcome"` // TrialCommitted, TrialFailed or TrialEnded

	// Of a failed one: why, in one line, what failed ("service network"), and
	// the last lines of its log.
	Reason string   `json:"reason,omitempty"`
	Check  string   `json:"check,omitempty"`
	Lines  []string `json:"lines,omitempty"`
}

// Answer is what PID 1 says to a Request. A refused one has only Error.
type Answer struct {
	OK       bool    `json:"ok,omitempty"`
	Error    string  `json:"error,omitempty"`
	Children []Child `json:"children,omitempty"` // status
	Going    string  `json:"going,omitempty"`    // status: "poweroff" … while the machine goes down

	// status, of a trial boot: TrialOpen until it is decided, then how; and how
	// many seconds are left.
	Trial        string `json:"trial,omitempty"`
	TrialSeconds int    `json:"trial_seconds,omitempty"`
}

// Child is one of the processes that PID 1 keeps running.
type Child struct {
	Name     string `json:"name"`
	Pid      int    `json:"pid,omitempty"` // 0: not running now
	Restarts int    `json:"restarts"`
	Ready    bool   `json:"ready"`               // its socket has answered since the last start
	LastExit string `json:"last_exit,omitempty"` // "exit status 1", "killed by SIGKILL"
}

// maxDeadline is the longest that a trial may go undecided.
const maxDeadline = 24 * 60 * 60

// Check says what is wrong with a request, in the words of who wrote it.
func (r Request) Check() error {
	ops := []string{OpPoweroff, OpReboot, OpHalt, OpKexec, OpLog, OpSettings, OpStatus, OpTrial}
	switch {
	case !slices.Contains(ops, r.Op):
		return fmt.Errorf("op is %q, want one of %q", r.Op, ops)
	case r.Op == OpLog && r.Service == "":
		return errors.New("op log wants a service")
	case r.MaxBytes < 0 || r.Files < 0:
		return errors.New("max_bytes and files must not be negative")
	case r.Op == OpSettings && r.ShutdownTimeoutSeconds <= 0:
		return errors.New("shutdown_timeout_seconds must be at least 1")
	case r.TrialDeadlineSeconds < 0 || r.TrialDeadlineSeconds > maxDeadline:
		return fmt.Errorf("trial_deadline_seconds must be from 0 to %d", maxDeadline)
	case r.Op == OpTrial:
		return r.Trial.check()
	}
	return nil
}

func (t *Trial) check() error {
	switch {
	case t == nil:
		return errors.New("op trial wants a trial")
	case !slices.Contains([]string{TrialCommitted, TrialFailed, TrialEnded}, t.Outcome):
		return fmt.Errorf("outcome of the trial is %q, want %q, %q or %q", t.Outcome, TrialCommitted, TrialFailed, TrialEnded)
	case t.Outcome == TrialFailed && t.Reason == "":
		return errors.New("a failed trial wants a reason")
	}
	return nil
}
