// Package control is the conversation between ros and rosd: HTTP with JSON
// over a unix socket. It owns the types on the wire, the server's routes and
// the client; it decides nothing about services (package supervise does).
package control

import (
	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/supervise"
)

// Socket is rosd's control socket: root and group ros may talk to it.
const Socket = "/run/ros/api/rosd.sock"

// Routes, all below /v1; errors are an Error body with a status of 400 and up.
//
//	GET  /v1/status                     Status
//	GET  /v1/services                   []Service
//	GET  /v1/services/NAME              Service
//	GET  /v1/services/NAME/definition   compose.Service
//	GET  /v1/services/NAME/spec         the OCI runtime spec, JSON
//	POST /v1/services/NAME/start        body Options; answers Service
//	POST /v1/services/NAME/stop
//	POST /v1/services/NAME/restart
//	POST /v1/services/NAME/up           create and start; recreate when the file changed
//	POST /v1/services/NAME/rm           remove the (stopped) container
//	POST /v1/services/NAME/kill         Options.Signal
//	POST /v1/reload                     read the service files again; answers Plan
//	GET  /v1/plan                       Plan
//	GET  /v1/boot                       Boot
//	GET  /v1/events                     stream of Event, one JSON object a line
//	GET  /v1/os                         what "osupdate status" answers
//	POST /v1/os/VERB                    body: the options of the verb; answers a stream of osupdate.Event,
//	                                    one JSON object a line; for root only
//
// Logs are files (package servicelog); ros reads them itself.

// Status is the whole machine on one screen.
type Status struct {
	Version       string    `json:"version"`
	Arch          string    `json:"arch"`
	Hostname      string    `json:"hostname"`
	Slot          string    `json:"slot"`  // where the OS image came from: "iso", "A", "B"
	State         string    `json:"state"` // "disk /dev/vda (ext4)" or "RAM"
	Kernel        string    `json:"kernel"`
	UptimeSeconds float64   `json:"uptime_seconds"`
	MemTotal      int64     `json:"mem_total"`     // bytes
	MemAvailable  int64     `json:"mem_available"` // bytes
	Warnings      []string  `json:"warnings,omitempty"`
	Services      []Service `json:"services"`
}

// The words about one service are those of the package that decides them.
type (
	State   = supervise.State
	Service = supervise.Service
	Options = supervise.Options
	Event   = supervise.Event
)

// The states of a service.
const (
	Waiting   = supervise.Waiting
	Starting  = supervise.Starting
	Running   = supervise.Running
	Healthy   = supervise.Healthy
	Unhealthy = supervise.Unhealthy
	Backoff   = supervise.Backoff
	Stopping  = supervise.Stopping
	Stopped   = supervise.Stopped
	Done      = supervise.Done
	Failed    = supervise.Failed
)

// Plan is what would be started, in order, and what cannot be and why.
type Plan struct {
	Steps  []PlanStep  `json:"steps"`
	Faults []PlanFault `json:"faults,omitempty"`
}

// PlanStep is one service; every service it depends on stands before it.
type PlanStep struct {
	Service  string   `json:"service"`
	WaitsFor []string `json:"waits_for,omitempty"` // "network to be healthy"
	File     string   `json:"file"`
}

// PlanFault is a service, or a whole file, that cannot be part of the plan.
type PlanFault struct {
	Service string `json:"service,omitempty"`
	Error   string `json:"error"` // with file, line and key
}

// Boot is what ros boot draws.
type Boot struct {
	Record   bootlog.Record `json:"record"`
	Services []Service      `json:"services"`
}

// Error is the body of an answer with a status of 400 and up.
type Error struct {
	Message string `json:"error"`
}
