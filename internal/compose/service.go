// Package compose turns Compose files into Services.
//
// It owns the Service type and everything that is known about a service
// before anything runs: what the file says, checked and with the defaults
// filled in. It does not know containerd, the order of services (package
// plan) or their state (package supervise).
//
// What it accepts is Compose: variables, durations, sizes and command lines
// are read by compose-go and the parsers compose-go itself calls, and a test
// gives every file that is accepted here to compose-go's own loader as well
// and compares. That loader does not run on the machine: it stops at the first
// fault and says no line, leaves parts of what it does not know unsaid, and
// costs every program that links it more to start than all service files cost
// to read here (docs/decisions/0005-own-reader-of-service-files.md).
package compose

import (
	"encoding/json"
	"time"
)

// Scope says which containerd runs a service.
type Scope string

const (
	ScopeSystem Scope = "system" // the system containerd, supervised by rosd
	ScopeUser   Scope = "user"   // the user's engine (Docker)
)

// Service is one service of one file: what should run, with every default
// filled in. It is a plain value; nothing in it changes after Load.
type Service struct {
	Name     string `json:"name"`
	File     string `json:"file"` // path of the service file
	Line     int    `json:"line"` // line of the service's key in it, from 1
	Scope    Scope  `json:"scope"`
	Required bool   `json:"required"` // a machine without it is not well (gates the commit of an upgrade)

	// StartLast lets the services without it start first when the machine boots.
	StartLast bool `json:"start_last,omitempty"`
	// ReloadConfig makes rosd read the config again once the service is done.
	ReloadConfig bool `json:"reload_config,omitempty"`

	// What runs.
	Image      string            `json:"image"`
	Over       string            `json:"over,omitempty"` // baked image whose files lie below; no file can say so
	PullPolicy PullPolicy        `json:"pull_policy,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"` // nil: the image's
	Command    []string          `json:"command,omitempty"`    // nil: the image's
	Env        []string          `json:"env,omitempty"`        // KEY=VALUE, sorted by key
	WorkingDir string            `json:"working_dir,omitempty"`
	User       string            `json:"user,omitempty"` // as in Compose: name or uid[:gid]
	GroupAdd   []string          `json:"group_add,omitempty"`
	Hostname   string            `json:"hostname,omitempty"`
	Init       bool              `json:"init,omitempty"`
	TTY        bool              `json:"tty,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`

	Annotations map[string]string `json:"annotations,omitempty"` // of the OCI spec

	// What it may touch.
	NetworkMode     string            `json:"network_mode"`          // "host", "none", "service:NAME" or, with Networks, "bridge"
	Networks        []Attachment      `json:"networks,omitempty"`    // sorted by name
	Ports           []Port            `json:"ports,omitempty"`       // that it has of the machine, in file order
	ExtraHosts      []Host            `json:"extra_hosts,omitempty"` // sorted by name
	Links           []Link            `json:"links,omitempty"`       // in file order
	DNS             []string          `json:"dns,omitempty"`         // name servers; nil: those of the machine
	DNSSearch       []string          `json:"dns_search,omitempty"`
	DNSOpt          []string          `json:"dns_opt,omitempty"`
	PidMode         string            `json:"pid_mode,omitempty"`    // "" (own) or "host"
	IpcMode         string            `json:"ipc_mode,omitempty"`    // "" (own) or "host"
	UtsMode         string            `json:"uts_mode,omitempty"`    // "" (own; with host network: host) or "host"
	CgroupMode      string            `json:"cgroup_mode,omitempty"` // "" (own) or "host"
	Privileged      bool              `json:"privileged,omitempty"`
	PrivilegedWhy   string            `json:"privileged_why,omitempty"` // x-ros.privileged-reason; must be set with Privileged
	CapAdd          []string          `json:"cap_add,omitempty"`        // "NET_ADMIN", without CAP_, sorted; "ALL" allowed
	CapDrop         []string          `json:"cap_drop,omitempty"`
	NoNewPrivileges bool              `json:"no_new_privileges"` // default true for ScopeSystem
	Seccomp         string            `json:"seccomp,omitempty"` // "" (default profile) or "unconfined"
	ReadOnly        bool              `json:"read_only,omitempty"`
	Persistent      bool              `json:"persistent,omitempty"` // what is written to the root stays
	Mounts          []Mount           `json:"mounts,omitempty"`     // volumes and tmpfs, in file order
	Files           []File            `json:"files,omitempty"`      // configs and secrets, in file order
	ShmBytes        int64             `json:"shm_bytes,omitempty"`  // of /dev/shm; 0: 64 MiB
	Devices         []Device          `json:"devices,omitempty"`
	DeviceRules     []string          `json:"device_rules,omitempty"` // device_cgroup_rules
	Sysctls         map[string]string `json:"sysctls,omitempty"`
	Ulimits         []Ulimit          `json:"ulimits,omitempty"`
	MemoryBytes     int64             `json:"memory_bytes,omitempty"` // mem_limit; 0: none
	MemoryLow       int64             `json:"memory_low,omitempty"`   // mem_reservation
	MemorySwap      int64             `json:"memory_swap,omitempty"`  // memswap_limit: memory and swap; -1: no limit of swap
	PidsLimit       int64             `json:"pids_limit,omitempty"`   // 0: none
	CPUs            float64           `json:"cpus,omitempty"`         // 0: no limit
	CPUQuota        int64             `json:"cpu_quota,omitempty"`    // microseconds in each period
	CPUPeriod       int64             `json:"cpu_period,omitempty"`   // microseconds
	CPUSet          string            `json:"cpuset,omitempty"`       // "0-3,5"
	CPUShares       int64             `json:"cpu_shares,omitempty"`
	OOMScoreAdj     int               `json:"oom_score_adj,omitempty"`

	// When it runs.
	DependsOn       []Dependency  `json:"depends_on,omitempty"` // sorted by name
	Healthcheck     *Healthcheck  `json:"healthcheck,omitempty"`
	Restart         Restart       `json:"restart"`
	StopSignal      string        `json:"stop_signal"`       // default SIGTERM
	StopGracePeriod time.Duration `json:"stop_grace_period"` // default 10 s

	// LogMaxBytes and LogFiles bound its log: size of a file and number of
	// files kept (logging.options max-size and max-file; defaults 1 MiB, 3).
	LogMaxBytes int64 `json:"log_max_bytes"`
	LogFiles    int   `json:"log_files"`

	// Engine is what the user's engine is told about a service of scope user
	// (project.Container, as JSON). Beside it only the name, the place, the image
	// and what stands under "When it runs" are filled in for such a service.
	Engine json.RawMessage `json:"engine,omitempty"`
}

// PullPolicy says what "ros service up" does about the image. At boot nothing is
// pulled, whatever it says.
type PullPolicy string

// The policies of Compose that have a meaning here.
const (
	PullMissing PullPolicy = ""       // pull it when it is not on the machine
	PullAlways  PullPolicy = "always" // pull it every time
	PullNever   PullPolicy = "never"
)

// OneShot says whether the service is meant to end by itself.
func (s Service) OneShot() bool {
	return s.Restart.Mode == RestartNo || s.Restart.Mode == RestartOnFailure
}

// Mount is one entry of volumes or tmpfs.
type Mount struct {
	Type        string `json:"type"`             // "bind", "volume" or "tmpfs"
	Source      string `json:"source,omitempty"` // host path, or name of a volume
	Target      string `json:"target"`
	ReadOnly    bool   `json:"read_only,omitempty"`
	Propagation string `json:"propagation,omitempty"` // "", "rprivate", "rslave", "rshared"
	CreateHost  bool   `json:"create_host,omitempty"` // bind: make Source when it is missing (Compose's default for short syntax)
	Size        int64  `json:"size,omitempty"`        // tmpfs, bytes; 0: the kernel's default
	Mode        uint32 `json:"mode,omitempty"`        // tmpfs
	External    bool   `json:"external,omitempty"`    // volume: it has to be there
	Device      string `json:"device,omitempty"`      // volume: the directory that it is; "": one of its own
}

// Device is one entry of devices. A host path that does not exist is left out.
type Device struct {
	Host        string `json:"host"`
	Container   string `json:"container"`
	Permissions string `json:"permissions"` // of "rwm"
}

// Ulimit is one entry of ulimits; -1 is no limit.
type Ulimit struct {
	Name string `json:"name"` // "nofile"
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// Condition is what a dependant waits for.
type Condition string

const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Dependency is one entry of depends_on.
type Dependency struct {
	Service   string    `json:"service"`
	Condition Condition `json:"condition"`
	Required  bool      `json:"required"`          // false: go on when it is missing or has failed
	Restart   bool      `json:"restart"`           // restart us when it is restarted by the operator
	Network   bool      `json:"network,omitempty"` // we are in its network: restart us whenever it has started anew
	Line      int       `json:"line"`              // of the entry in the service file
}

// Healthcheck is the Compose healthcheck with its defaults filled in.
type Healthcheck struct {
	Test          []string      `json:"test"` // argv; CMD-SHELL is already ["/bin/sh", "-c", …]
	Interval      time.Duration `json:"interval"`
	Timeout       time.Duration `json:"timeout"`
	Retries       int           `json:"retries"`
	StartPeriod   time.Duration `json:"start_period"`
	StartInterval time.Duration `json:"start_interval"` // between probes during StartPeriod
}

// RestartMode is the word of the Compose key restart.
type RestartMode string

const (
	RestartNo            RestartMode = "no"
	RestartAlways        RestartMode = "always"
	RestartOnFailure     RestartMode = "on-failure"
	RestartUnlessStopped RestartMode = "unless-stopped"
)

// Restart is the Compose key restart.
type Restart struct {
	Mode       RestartMode `json:"mode"`
	MaxRetries int         `json:"max_retries,omitempty"` // on-failure:N; 0: no bound
}
