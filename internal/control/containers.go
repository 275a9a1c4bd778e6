package control

import (
	"encoding/json"
	"time"
)

// Routes about containers of the system containerd, services' and others. Who
// runs programs in them has the machine: run and exec are for root only.
//
//	GET  /v1/containers                []Container
//	GET  /v1/containers/NAME           Container, with its Spec
//	GET  /v1/usage                     []Usage
//	POST /v1/containers                body Run; answers Container, or, with Attach, a talk
//	POST /v1/containers/NAME/VERB      start, stop, restart, kill, rm: body ContainerOptions; answers Container
//	POST /v1/containers/NAME/exec      body Exec; answers a talk
//
// A talk is frames (Frame) in both directions over the same connection. It ends
// with a frame End.

// Container is a container of the system containerd: a service's, or one that
// was made by hand.
type Container struct {
	ID      string            `json:"id"` // 64 hex digits, made from the name
	Name    string            `json:"name"`
	Image   string            `json:"image"`
	Command []string          `json:"command,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Service bool              `json:"service"`         // rosd keeps it as its file says
	Ports   []string          `json:"ports,omitempty"` // of the machine that lead to it while it runs

	State      State     `json:"state"`
	Reason     string    `json:"reason,omitempty"`
	Pid        int       `json:"pid,omitempty"`
	ExitCode   *int      `json:"exit_code,omitempty"`
	Created    time.Time `json:"created,omitzero"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`

	Spec json.RawMessage `json:"spec,omitempty"` // OCI runtime spec
}

// Run makes a container by hand.
type Run struct {
	File    []byte `json:"file"`              // a service file with one service, whose name is the container's
	Attach  bool   `json:"attach,omitempty"`  // its output goes to who asks, not into a log
	Input   bool   `json:"input,omitempty"`   // with Attach: so does its input
	Remove  bool   `json:"remove,omitempty"`  // when it ends
	Service bool   `json:"service,omitempty"` // make it a service: the file is put with the operator's
}

// ContainerOptions refine a verb.
type ContainerOptions struct {
	Signal         string `json:"signal,omitempty"`          // kill: "SIGKILL" when empty
	TimeoutSeconds *int   `json:"timeout_seconds,omitempty"` // stop, restart
	Force          bool   `json:"force,omitempty"`           // rm: also one that runs
}

// Exec is a program to run in a container that runs.
type Exec struct {
	Args       []string `json:"args"`
	Env        []string `json:"env,omitempty"`
	User       string   `json:"user,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"`
	Terminal   bool     `json:"terminal,omitempty"`
	Input      bool     `json:"input,omitempty"`
	Rows       uint16   `json:"rows,omitempty"`    // of the terminal when the program starts,
	Columns    uint16   `json:"columns,omitempty"` // 0: not known
}

// Usage is what a container takes; the limit of its memory is the machine's
// memory where it has none.
type Usage struct {
	ID string `json:"id"`
	Stats
}
