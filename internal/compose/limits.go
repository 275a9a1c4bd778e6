package compose

import (
	"math"
	"regexp"
	"runtime"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

func (r *reader) memReservation(s *Service, v yamldoc.Value) {
	if n, ok := r.size(v, 1); ok {
		same(r, v, &s.MemoryLow, n)
	}
}

// memSwapLimit is memory and swap together; -1 lets all of the swap be used.
func (r *reader) memSwapLimit(s *Service, v yamldoc.Value) {
	switch text, _, ok := r.scalar(v, `a size like "64m", or -1`); {
	case ok && text == "-1":
		s.MemorySwap = -1
	case ok:
		s.MemorySwap, _ = r.size(v, 1)
	}
}

var cpuList = regexp.MustCompile(`^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$`)

func (r *reader) cpuset(s *Service, v yamldoc.Value) {
	list, ok := r.word(v)
	if ok && !cpuList.MatchString(list) {
		r.wrong(v, `%q must be a list of CPUs like "0-3,5"`, list)
		return
	}
	s.CPUSet = list
}

// deviceRule is "c 1:3 mr", as the first cgroups had it.
var deviceRule = regexp.MustCompile(`^[abc] (\d{1,7}|\*):(\d{1,7}|\*) [rwm]{1,3}$`)

func (r *reader) deviceRules(s *Service, v yamldoc.Value) {
	for _, rule := range r.texts(v, true) {
		if !deviceRule.MatchString(rule) {
			r.wrong(v, `%q must be TYPE MAJOR:MINOR ACCESS, like "c 1:3 rw"`, rule)
			continue
		}
		s.DeviceRules = append(s.DeviceRules, rule)
	}
}

func (r *reader) annotations(s *Service, v yamldoc.Value) {
	s.Annotations = map[string]string{}
	for _, e := range r.entries(v, nil) {
		s.Annotations[e.name] = e.text
	}
}

// platform may say what the machine is.
func (r *reader) platform(_ *Service, v yamldoc.Value) {
	ours := "linux/" + runtime.GOARCH
	if text, ok := r.word(v); ok && text != ours && !strings.HasPrefix(text, ours+"/") {
		r.wrong(v, "%q is not supported: this machine is %q", text, ours)
	}
}

// containerName may say what the name is anyway.
func (r *reader) containerName(s *Service, v yamldoc.Value) {
	switch name, ok := r.word(v); {
	case ok && len(name) < 2: // so says Compose
		r.wrong(v, "%q is too short for the name of a container", name)
	case ok && name != s.Name:
		r.wrong(v, "%q is not supported in scope %q: the container has the name of the service, %q", name, ScopeSystem, s.Name)
	}
}

func (r *reader) volumesFrom(v yamldoc.Value) {
	seen := map[string]bool{}
	for _, item := range r.items(v) {
		text, ok := r.word(item)
		switch {
		case !ok:
		case seen[text]:
			r.wrong(item, "%q is given twice", text)
		default:
			seen[text] = true
			r.from = append(r.from, entry{name: text, text: text, value: item})
		}
	}
}

// limits checks those that have to fit each other.
func (r *reader) limits(s *Service, given map[string]yamldoc.Pair) {
	if p, ok := given["memswap_limit"]; ok && s.MemorySwap > 0 && (s.MemoryBytes == 0 || s.MemorySwap < s.MemoryBytes) {
		r.wrongKey(p, `must be at least "mem_limit", which is part of it`)
	}
	if p, ok := given["mem_reservation"]; ok && s.MemoryBytes > 0 && s.MemoryLow > s.MemoryBytes {
		r.wrongKey(p, `is more than "mem_limit"`)
	}
	for _, key := range []string{"cpu_quota", "cpu_period"} {
		if p, ok := given[key]; ok && s.CPUs > 0 {
			r.wrongKey(p, `is said by "cpus" already`)
		}
	}
	if p, ok := given["shm_size"]; ok && s.IpcMode == "host" {
		r.wrongKey(p, `has no meaning with "ipc: host"`)
	}
}

// ofSwarm are the keys of deploy that have no meaning on one machine, as in
// scope user.
var ofSwarm = map[string]string{
	"endpoint_mode":   "it is for a swarm",
	"labels":          `it is for a swarm; use "labels" of the service`,
	"placement":       "it is for a swarm",
	"rollback_config": "it is for a swarm",
	"update_config":   "it is for a swarm",
}

func (r *reader) deploy(s *Service, v yamldoc.Value) {
	memory := func(set func(*reader, *Service, yamldoc.Value)) func(yamldoc.Value) {
		return func(v yamldoc.Value) {
			if _, ok := r.text(v); ok {
				set(r, s, v)
			}
		}
	}
	keys := map[string]func(yamldoc.Value){
		"mode":           func(v yamldoc.Value) { r.oneOf(v, "replicated") },
		"replicas":       r.once,
		"restart_policy": r.restartPolicy,
		"resources": func(v yamldoc.Value) {
			r.mapping(v, map[string]func(yamldoc.Value){
				"limits": func(v yamldoc.Value) {
					r.mapping(v, map[string]func(yamldoc.Value){
						"cpus":   func(v yamldoc.Value) { r.cpus(s, v) },
						"pids":   func(v yamldoc.Value) { r.pidsLimit(s, v) },
						"memory": memory((*reader).memLimit),
					})
				},
				"reservations": func(v yamldoc.Value) {
					r.mapping(v, map[string]func(yamldoc.Value){
						"memory":            memory((*reader).memReservation),
						"cpus":              r.not(`it is for a swarm; use "cpu_shares"`),
						"generic_resources": r.not("it is for a swarm"),
						"devices":           r.not(`list the devices under "devices"`),
					})
				},
			})
		},
	}
	for key, why := range ofSwarm {
		keys[key] = r.not(why)
	}
	r.mapping(v, keys)
}

// once reads a number of containers.
func (r *reader) once(v yamldoc.Value) {
	if n, ok := r.integer(v, math.MinInt64, math.MaxInt64); ok && n != 1 {
		r.wrong(v, "%d is not supported: a service of the OS runs once", n)
	}
}

// not refuses a key below another.
func (r *reader) not(why string) func(yamldoc.Value) {
	return func(v yamldoc.Value) { r.wrong(v, "is not supported in scope %q: %s", ScopeSystem, why) }
}

// restartPolicy is deploy.restart_policy, which counts where there is no restart.
func (r *reader) restartPolicy(v yamldoc.Value) {
	policy := Restart{Mode: RestartAlways}
	r.mapping(v, map[string]func(yamldoc.Value){
		"condition": func(v yamldoc.Value) {
			word, _ := r.oneOf(v, "none", "on-failure", "any")
			policy.Mode = map[string]RestartMode{"none": RestartNo, "on-failure": RestartOnFailure, "any": RestartAlways}[word]
		},
		"max_attempts": func(v yamldoc.Value) {
			n, _ := r.integer(v, 0, math.MaxInt32)
			policy.MaxRetries = int(n)
		},
		"delay":  r.not("the delay doubles from 100 ms to 30 s by itself"),
		"window": r.not("a run of 10 seconds counts as a success"),
	})
	if policy.MaxRetries > 0 && policy.Mode != RestartOnFailure {
		r.wrong(v, `"max_attempts" needs "condition: on-failure"`)
	}
	r.policy = &policy
}

// deployed lets deploy.restart_policy count where the service has no restart.
func (r *reader) deployed(s *Service, given map[string]yamldoc.Pair) {
	if _, own := given["restart"]; !own && r.policy != nil {
		s.Restart = *r.policy
	}
}
