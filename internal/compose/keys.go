package compose

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/yamldoc"
)

// setter reads the value of one key into a service.
type setter func(*reader, *Service, yamldoc.Value)

// supported is every key a service of the OS may have. docs/service-file.md
// has the same list for people; a test holds the two together.
var supported = map[string]setter{
	"image":       (*reader).image,
	"entrypoint":  func(r *reader, s *Service, v yamldoc.Value) { s.Entrypoint = r.command(v) },
	"command":     func(r *reader, s *Service, v yamldoc.Value) { s.Command = r.command(v) },
	"environment": (*reader).environment,
	"working_dir": (*reader).workingDir,
	"user":        func(r *reader, s *Service, v yamldoc.Value) { s.User, _ = r.word(v) },
	"group_add":   (*reader).groupAdd,
	"hostname":    (*reader).hostname,
	"init":        func(r *reader, s *Service, v yamldoc.Value) { s.Init, _ = r.boolean(v) },
	"tty":         func(r *reader, s *Service, v yamldoc.Value) { s.TTY, _ = r.boolean(v) },
	"labels":      (*reader).labels,
	"pull_policy": (*reader).pullPolicy,

	"networks":      (*reader).serviceNetworks,
	"ports":         (*reader).ports,
	"expose":        func(r *reader, _ *Service, v yamldoc.Value) { r.expose(v) },
	"extra_hosts":   (*reader).extraHosts,
	"links":         (*reader).links,
	"mac_address":   func(r *reader, _ *Service, v yamldoc.Value) { r.mac = r.hardware(v) },
	"dns":           (*reader).nameServers,
	"dns_search":    func(r *reader, s *Service, v yamldoc.Value) { s.DNSSearch = r.lookups(v, r.dnsList(v)) },
	"dns_opt":       func(r *reader, s *Service, v yamldoc.Value) { s.DNSOpt = r.lookups(v, r.texts(v, true)) },
	"network_mode":  (*reader).networkMode,
	"pid":           func(r *reader, s *Service, v yamldoc.Value) { s.PidMode, _ = r.oneOf(v, "host") },
	"ipc":           func(r *reader, s *Service, v yamldoc.Value) { s.IpcMode, _ = r.oneOf(v, "host") },
	"uts":           func(r *reader, s *Service, v yamldoc.Value) { s.UtsMode, _ = r.oneOf(v, "host") },
	"cgroup":        (*reader).cgroup,
	"privileged":    func(r *reader, s *Service, v yamldoc.Value) { s.Privileged, _ = r.boolean(v) },
	"cap_add":       func(r *reader, s *Service, v yamldoc.Value) { s.CapAdd = r.capabilities(v) },
	"cap_drop":      func(r *reader, s *Service, v yamldoc.Value) { s.CapDrop = r.capabilities(v) },
	"security_opt":  (*reader).securityOpt,
	"read_only":     func(r *reader, s *Service, v yamldoc.Value) { s.ReadOnly, _ = r.boolean(v) },
	"volumes":       (*reader).serviceVolumes,
	"tmpfs":         (*reader).tmpfs,
	"devices":       (*reader).devices,
	"sysctls":       (*reader).sysctls,
	"ulimits":       (*reader).ulimits,
	"mem_limit":     (*reader).memLimit,
	"pids_limit":    (*reader).pidsLimit,
	"cpus":          (*reader).cpus,
	"cpu_shares":    func(r *reader, s *Service, v yamldoc.Value) { s.CPUShares, _ = r.integer(v, 2, 262144) },
	"oom_score_adj": (*reader).oomScoreAdj,
	"deploy":        (*reader).deploy,

	"depends_on":        (*reader).dependsOn,
	"healthcheck":       (*reader).healthcheck,
	"restart":           (*reader).restart,
	"stop_signal":       (*reader).stopSignal,
	"stop_grace_period": func(r *reader, s *Service, v yamldoc.Value) { s.StopGracePeriod, _ = r.duration(v, 0) },
	"logging":           (*reader).logging,

	"env_file":    (*reader).envFiles,
	"label_file":  (*reader).labelFiles,
	"annotations": (*reader).annotations,
	"platform":    (*reader).platform,

	"configs":             func(r *reader, s *Service, v yamldoc.Value) { r.references(s, "configs", v) },
	"secrets":             func(r *reader, s *Service, v yamldoc.Value) { r.references(s, "secrets", v) },
	"volumes_from":        func(r *reader, _ *Service, v yamldoc.Value) { r.volumesFrom(v) },
	"userns_mode":         func(r *reader, _ *Service, v yamldoc.Value) { r.oneOf(v, "host") },
	"shm_size":            func(r *reader, s *Service, v yamldoc.Value) { s.ShmBytes, _ = r.size(v, 1) },
	"device_cgroup_rules": (*reader).deviceRules,
	"mem_reservation":     (*reader).memReservation,
	"memswap_limit":       (*reader).memSwapLimit,
	"cpu_quota":           func(r *reader, s *Service, v yamldoc.Value) { s.CPUQuota, _ = r.integer(v, 1000, math.MaxInt64) },
	"cpu_period":          func(r *reader, s *Service, v yamldoc.Value) { s.CPUPeriod, _ = r.integer(v, 1000, 1_000_000) },
	"cpuset":              (*reader).cpuset,

	"profiles":       func(*reader, *Service, yamldoc.Value) {}, // read before all others: they depend on it
	"scale":          func(r *reader, _ *Service, v yamldoc.Value) { r.once(v) },
	"attach":         func(r *reader, _ *Service, v yamldoc.Value) { r.boolean(v) }, // nobody is
	"container_name": (*reader).containerName,
	"extends":        func(r *reader, _ *Service, v yamldoc.Value) { r.wrong(v, "%s", standsAlone) }, // of a resolved file it is gone
}

// known are the keys that a misspelt one may have meant.
var known = append(names(supported), "x-ros")

// refused is every other key of a Compose service and why a service of the OS
// cannot have it.
var refused = map[string]string{
	"blkio_config":       "block I/O is not limited",
	"build":              "nothing is built on this machine; name an image that a registry has",
	"cgroup_parent":      "every service has its own cgroup, /services/NAME",
	"cpu_count":          `use "cpus"`,
	"cpu_percent":        `use "cpus"`,
	"cpu_rt_period":      "realtime scheduling is not handed out by cgroup",
	"cpu_rt_runtime":     "realtime scheduling is not handed out by cgroup",
	"credential_spec":    "it is for Windows containers",
	"develop":            "it is for development with docker compose",
	"dockerfile":         "nothing is built on this machine; name an image that a registry has",
	"domainname":         `use "hostname"`,
	"external_links":     "a service of the OS finds those of its own networks",
	"gpus":               `list the devices under "devices"`,
	"isolation":          "it is for Windows containers",
	"log_driver":         `logs are files; "logging" bounds them`,
	"log_opt":            `use "logging"`,
	"mem_swappiness":     "the kernel has one swappiness for all (cgroup v2)",
	"models":             "it is for docker compose",
	"net":                `use "network_mode"`,
	"oom_kill_disable":   `use "oom_score_adj"`,
	"post_start":         `use another service that has this one under "depends_on"`,
	"pre_start":          `use a one-shot service and "depends_on"`,
	"pre_stop":           `use "stop_signal" and "stop_grace_period"`,
	"provider":           "it is for docker compose",
	"pull_refresh_after": "images are pulled when somebody says so, and not else",
	"runtime":            "every service runs with the runtime of the OS",
	"stdin_open":         "there is no terminal to read from",
	"storage_opt":        `the writable layer is in memory, or with "x-ros.persistent" on the state disk`,
	"umask":              "set it in the command",
	"use_api_socket":     `bind-mount the socket with "volumes"`,
	"volume_driver":      `use "volumes"`,
}

// forUserScope are the keys at the top of a file that only services of the
// user's engine can refer to.
var forUserScope = []string{"models", "jobs"}

// found is a service as far as it is known before its keys are read.
type found struct {
	Service
	pairs   []yamldoc.Pair
	resting bool          // none of its profiles is switched on
	lost    bool          // nobody knows what it takes from others
	from    []entry       // volumes_from
	links   []entry       // service and alias
	shares  yamldoc.Value // network_mode, when it names a service
}

// serviceName is what containerd takes for an identifier.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$`)

// reserved are the names of logs and cgroups that are not those of services.
var reserved = []string{"init", "containerd", "rosd"}

// maxServices is how many services one file may have. The plan looks at every
// service for every other.
const maxServices = 256

// services finds the services of a file and what x-ros says of them.
func (r *reader) services(root yamldoc.Value) (list []found, ok bool) {
	for _, top := range root.Pairs() {
		if top.Key != "services" {
			continue
		}
		if top.Value.Kind() != yamldoc.Mapping {
			r.wrong(top.Value, "must be a mapping (name of a service: its keys)")
			return nil, false
		}
		for i, p := range top.Value.Pairs() {
			if i == maxServices {
				r.fileFault(fmt.Sprintf("has more than %d services", maxServices))
				break
			}
			s := found{Service: Service{Name: p.Key, File: r.path, Line: p.Line, Scope: ScopeUser}}
			r.service = p.Key
			switch {
			case len(p.Key) > 64 || !serviceName.MatchString(p.Key):
				r.wrongKey(p, "a service name has at most 64 letters, digits and single . _ - between them")
			case slices.Contains(reserved, strings.ToLower(p.Key)):
				r.wrongKey(p, "the OS itself uses this name")
			}
			if p.Value.Kind() == yamldoc.Mapping {
				s.pairs = p.Value.Pairs()
				r.scope(&s)
			} else {
				r.wrong(p.Value, "must be a mapping (key: value)")
			}
			r.service = ""
			list = append(list, s)
		}
		return list, true
	}
	return nil, true
}

// scope reads x-ros.
func (r *reader) scope(s *found) {
	for _, p := range s.pairs {
		if p.Key != "x-ros" {
			continue
		}
		before, given := len(r.faults), false
		r.mapping(p.Value, map[string]func(yamldoc.Value){
			"scope": func(v yamldoc.Value) {
				if word, ok := r.oneOf(v, string(ScopeSystem), string(ScopeUser)); ok {
					s.Scope, given = Scope(word), true
				}
			},
			"required":          func(v yamldoc.Value) { s.Required, _ = r.boolean(v) },
			"start":             func(v yamldoc.Value) { _, s.StartLast = r.oneOf(v, "last") },
			"persistent":        func(v yamldoc.Value) { s.Persistent, _ = r.boolean(v) },
			"reload-config":     func(v yamldoc.Value) { s.ReloadConfig, _ = r.boolean(v) },
			"privileged-reason": func(v yamldoc.Value) { s.PrivilegedWhy, _ = r.word(v) },
		})
		if len(r.faults) > before && !given {
			s.Scope = ScopeSystem // whoever writes x-ros means the OS: say what else is wrong
		}
	}
}

// topLevel checks the keys of the file itself.
func (r *reader) topLevel(root yamldoc.Value, services []found) {
	forUsers := slices.ContainsFunc(services, func(s found) bool { return s.Scope == ScopeUser })
	has := false
	for _, p := range root.Pairs() {
		switch {
		case p.Key == "services":
			has = true
		case p.Key == "name": // read before all others
		case p.Key == "version": // of the format; Compose gave it up and reads any
		case p.Key == "volumes":
			r.namedVolumes(p.Value)
		case p.Key == "networks":
			r.topNetworks(p.Value, forUsers)
		case p.Key == "configs" || p.Key == "secrets":
			if slices.ContainsFunc(services, func(s found) bool { return s.Scope == ScopeSystem }) {
				r.objects(p.Key, p.Value)
			} // else they are for the engine to judge
		case p.Key == "include": // of a resolved file it is gone
			if !forUsers && len(r.unresolved) == 0 {
				r.wrongKey(p, "%s", standsAlone)
			}
		case slices.Contains(forUserScope, p.Key):
			if !forUsers {
				r.wrongKey(p, "is not supported: no service in this file has the scope %q", ScopeUser)
			}
		case p.Key == "x-ros":
			r.wrongKey(p, "belongs to a service, not to the file")
		case strings.HasPrefix(p.Key, "x-"):
		default:
			r.unknown(p, []string{"services", "name", "include", "volumes", "networks", "configs", "secrets"})
		}
	}
	switch {
	case !has && len(r.unresolved) > 0: // they may be in other files
	case !has:
		r.fileFault(`has no "services"`)
	case len(services) == 0:
		r.fileFault(`has no service under "services"`)
	}
}

// user takes note of a service of the user's engine: what it is and where it
// stands. Its keys are for that engine to judge.
func (r *reader) user(s *Service, pairs []yamldoc.Pair) {
	for _, p := range pairs {
		switch p.Key {
		case "image":
			s.Image = p.Value.Text()
		case "labels":
			r.rancherLabels(p.Value)
		case "x-ros":
			if s.PrivilegedWhy != "" {
				r.wrong(p.Value, "privileged-reason has no meaning for a service with scope %q", ScopeUser)
			}
			if s.Persistent {
				r.wrong(p.Value, "persistent has no meaning for a service with scope %q", ScopeUser)
			}
		default:
			r.nearlyOurs(p)
		}
	}
}

// system reads a service of the OS.
func (r *reader) system(s *Service, pairs []yamldoc.Pair) {
	s.NetworkMode = "host"
	s.NoNewPrivileges = true
	s.Restart.Mode = RestartNo
	s.StopSignal = "SIGTERM"
	s.StopGracePeriod = 10 * time.Second
	s.LogMaxBytes = 1 << 20
	s.LogFiles = 3

	given := make(map[string]yamldoc.Pair, len(pairs))
	for _, p := range pairs {
		given[p.Key] = p
		set, ours := supported[p.Key]
		why, other := refused[p.Key]
		switch {
		case ours:
			set(r, s, p.Value)
		case other:
			r.wrongKey(p, "is not supported in scope %q: %s", ScopeSystem, why)
		case p.Key == "x-ros":
		case strings.HasPrefix(p.Key, "x-"):
			r.nearlyOurs(p)
		default:
			r.unknown(p, known)
		}
	}
	r.readEnvFiles(s)
	r.readLabelFiles(s)
	r.deployed(s, given)
	r.together(s, given)
}

// nearlyOurs tells an extension of somebody else from a misspelt x-ros.
func (r *reader) nearlyOurs(p yamldoc.Pair) {
	if strings.HasPrefix(p.Key, "x-") && r.meant(p.Key, []string{"x-ros"}) != "" {
		r.wrongKey(p, "unknown key (did you mean %q?)", "x-ros")
	}
}

// together checks what only several keys can get wrong.
func (r *reader) together(s *Service, given map[string]yamldoc.Pair) {
	if _, ok := given["image"]; !ok {
		r.add(s.Name, yamldoc.Fault{Line: s.Line, Path: yamldoc.Path{"services", s.Name}, Message: `has no "image"`})
	}
	if p, ok := given["privileged"]; ok && s.Privileged && s.PrivilegedWhy == "" {
		r.wrongKey(p, "needs a reason: x-ros: {privileged-reason: …} says why less is not enough")
	}
	if p, ok := given["x-ros"]; ok && !s.Privileged && s.PrivilegedWhy != "" {
		r.wrongKey(p, "privileged-reason without \"privileged: true\"")
	}
	r.limits(s, given)
	if p, ok := given["init"]; ok && s.Init && s.PidMode == "host" {
		r.wrongKey(p, `has no meaning with "pid: host": there is one process 1`)
	}
	if p, ok := given["hostname"]; ok && s.UtsMode == "host" {
		r.wrongKey(p, `with "uts: host" this would be the name of the machine`)
	}
	r.networked(s, given)
}
