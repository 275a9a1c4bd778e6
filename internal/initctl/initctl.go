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
	OpLog      = "log"
	OpSettings = "settings"
	OpStatus   = "status"
)

// Request is what a client asks for; which fields count depends on Op.
type Request struct {
	Op string `json:"op"`

	// poweroff, reboot, halt: at once, with nothing but a sync before it.
	Force bool `json:"force,omitempty"`

	// log: read the two descriptors that come along to their ends, into the
	// log of this service. Limits of 0 are the defaults.
	Service  string `json:"service,omitempty"`
	MaxBytes int64  `json:"max_bytes,omitempty"`
	Files    int    `json:"files,omitempty"`

	// settings: how long an orderly shutdown may take in total.
	ShutdownTimeoutSeconds int `json:"shutdown_timeout_seconds,omitempty"`
}

// Answer is what PID 1 says to a Request. A refused one has only Error.
type Answer struct {
	OK       bool    `json:"ok,omitempty"`
	Error    string  `json:"error,omitempty"`
	Children []Child `json:"children,omitempty"` // status
	Going    string  `json:"going,omitempty"`    // status: "poweroff" … while the machine goes down
}

// Child is one of the processes that PID 1 keeps running.
type Child struct {
	Name     string `json:"name"`
	Pid      int    `json:"pid,omitempty"` // 0: not running now
	Restarts int    `json:"restarts"`
	Ready    bool   `json:"ready"`               // its socket has answered since the last start
	LastExit string `json:"last_exit,omitempty"` // "exit status 1", "killed by SIGKILL"
}

// Check says what is wrong with a request, in the words of who wrote it.
func (r Request) Check() error {
	ops := []string{OpPoweroff, OpReboot, OpHalt, OpLog, OpSettings, OpStatus}
	switch {
	case !slices.Contains(ops, r.Op):
		return fmt.Errorf("op is %q, want one of %q", r.Op, ops)
	case r.Op == OpLog && r.Service == "":
		return errors.New("op log wants a service")
	case r.MaxBytes < 0 || r.Files < 0:
		return errors.New("max_bytes and files must not be negative")
	case r.Op == OpSettings && r.ShutdownTimeoutSeconds <= 0:
		return errors.New("shutdown_timeout_seconds must be at least 1")
	}
	return nil
}
