package loader

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/yamldoc"
)

// ComposeVersion is the docker compose whose labels and names these are: it
// lists and understands what is made here.
const ComposeVersion = "2.40.0"

// translation is one service on its way to the engine.
type translation struct {
	*checker
	project *types.Project
	service types.ServiceConfig
	path    yamldoc.Path

	out       body
	container project.Container
}

func (t *translation) wrongKey(key, format string, args ...any) {
	t.wrong(append(slices.Clone(t.path), strings.Split(key, ".")...), format, args...)
}

// translate fills in the service.
func (t *translation) translate(to *compose.Service) {
	s := t.service
	to.Image = s.Image
	t.container = project.Container{
		Project: t.project.Name, Name: t.containerName(s.Name), Platform: s.Platform, PullPolicy: s.PullPolicy,
	}
	if s.Image == "" {
		t.wrong(t.path, `has no "image"`)
	}
	if s.GetScale() != 1 {
		t.wrongKey("scale", "is not supported in scope %q: a service runs once", compose.ScopeUser)
	}
	t.when(to)
	t.what()
	t.limits()
	t.touch()
	t.mounts()
	t.files()
	t.networks()
	t.labels()
	create, err := json.Marshal(t.out)
	if err != nil {
		t.wrong(t.path, "internal error: %v", err)
		return
	}
	t.container.Create = create
	done, err := project.With(*to, t.container)
	if err != nil {
		t.wrong(t.path, "%v", err)
		return
	}
	*to = done
}

// containerName is docker compose's.
func (t *translation) containerName(service string) string {
	if s, ok := t.project.Services[service]; ok && s.ContainerName != "" {
		return s.ContainerName
	}
	return t.project.Name + "-" + service + "-1"
}

// what runs.
func (t *translation) what() {
	s := t.service
	t.out.Image = s.Image
	t.out.Entrypoint, t.out.Cmd = s.Entrypoint, s.Command
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if value := s.Environment[name]; value != nil {
			t.out.Env = append(t.out.Env, name+"="+*value)
		} else {
			t.wrongKey("environment", "%q has no value, and no variable of that name is set", name)
		}
	}
	t.out.WorkingDir, t.out.User = s.WorkingDir, s.User
	t.out.Hostname, t.out.Domainname = s.Hostname, s.DomainName
	t.out.Tty, t.out.OpenStdin = s.Tty, s.StdinOpen
	t.out.StopSignal = s.StopSignal
	if s.StopGracePeriod != nil {
		seconds := int(time.Duration(*s.StopGracePeriod).Seconds())
		t.out.StopTimeout = &seconds
	}
	for _, port := range s.Expose {
		t.expose(port)
	}
	if s.Logging != nil {
		t.out.HostConfig.LogConfig = &logConfig{Type: s.Logging.Driver, Config: s.Logging.Options}
	}
}

func (t *translation) expose(port string) {
	if t.out.ExposedPorts == nil {
		t.out.ExposedPorts = map[string]struct{}{}
	}
	if !strings.Contains(port, "/") {
		port += "/tcp"
	}
	t.out.ExposedPorts[port] = struct{}{}
}

// when it runs is rosd's business: the engine starts nothing by itself, so that
// what depends on something starts after it also when the machine boots.
func (t *translation) when(to *compose.Service) {
	s := t.service
	t.out.HostConfig.RestartPolicy.Name = "no"
	to.Restart = t.restart()
	to.StopSignal, to.StopGracePeriod = s.StopSignal, 10*time.Second // "": the image's
	if s.StopGracePeriod != nil {
		to.StopGracePeriod = time.Duration(*s.StopGracePeriod)
	}
	line, _, _ := t.find(append(slices.Clone(t.path), "depends_on"))
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		dep := s.DependsOn[name]
		if _, off := t.project.DisabledServices[name]; off && !dep.Required {
			continue
		}
		to.DependsOn = append(to.DependsOn, compose.Dependency{
			Service: name, Condition: compose.Condition(dep.Condition), Required: dep.Required, Restart: dep.Restart, Line: line,
		})
	}
	t.healthcheck(to)
}

func (t *translation) restart() compose.Restart {
	s := t.service
	mode, tries, given := strings.Cut(s.Restart, ":")
	policy := compose.Restart{Mode: compose.RestartMode(mode)}
	if given {
		if _, err := fmt.Sscan(tries, &policy.MaxRetries); err != nil {
			t.wrongKey("restart", "%q must be on-failure:NUMBER", s.Restart)
		}
	}
	switch policy.Mode {
	case "":
		policy.Mode = compose.RestartNo
	case compose.RestartNo, compose.RestartAlways, compose.RestartOnFailure, compose.RestartUnlessStopped:
		return policy
	default:
		t.wrongKey("restart", "%q is not supported: it must be \"no\", \"always\", \"on-failure\" or \"unless-stopped\"", s.Restart)
	}
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		switch s.Deploy.RestartPolicy.Condition {
		case "", "any":
			policy.Mode = compose.RestartAlways
		case "on-failure":
			policy.Mode = compose.RestartOnFailure
		case "none":
		default:
			t.wrongKey("deploy.restart_policy.condition", "%q must be \"none\", \"any\" or \"on-failure\"", s.Deploy.RestartPolicy.Condition)
		}
		if tries := s.Deploy.RestartPolicy.MaxAttempts; tries != nil {
			policy.MaxRetries = int(*tries)
		}
	}
	return policy
}

// healthcheck is the engine's to run; to says how often rosd asks for the
// outcome.
func (t *translation) healthcheck(to *compose.Service) {
	h := t.service.HealthCheck
	if h == nil {
		return
	}
	if h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE" {
		t.out.Healthcheck = &health{Test: []string{"NONE"}}
		return
	}
	out := &health{Test: h.Test}
	set := func(d *types.Duration, into *int64, other time.Duration) time.Duration {
		if d == nil {
			return other
		}
		*into = int64(*d)
		return time.Duration(*d)
	}
	check := &compose.Healthcheck{Test: h.Test, Retries: 3}
	check.Interval = set(h.Interval, &out.Interval, 30*time.Second)
	check.Timeout = set(h.Timeout, &out.Timeout, 30*time.Second)
	check.StartPeriod = set(h.StartPeriod, &out.StartPeriod, 0)
	check.StartInterval = set(h.StartInterval, &out.StartInterval, min(5*time.Second, check.Interval))
	if h.Retries != nil {
		check.Retries, out.Retries = int(*h.Retries), int(*h.Retries)
	}
	t.out.Healthcheck, to.Healthcheck = out, check
}

// labels are those of docker compose, so that it can list and understand the
// containers.
func (t *translation) labels() {
	s := t.service
	labels := map[string]string{}
	maps.Copy(labels, s.Labels)
	hash := sha256.New()
	json.NewEncoder(hash).Encode(t.out)
	var deps []string
	for name, d := range s.DependsOn {
		deps = append(deps, fmt.Sprintf("%s:%s:%t", name, d.Condition, d.Restart))
	}
	sort.Strings(deps)
	maps.Copy(labels, map[string]string{
		"com.docker.compose.project":              t.project.Name,
		"com.docker.compose.service":              s.Name,
		"com.docker.compose.container-number":     "1",
		"com.docker.compose.oneoff":               "False",
		"com.docker.compose.version":              ComposeVersion,
		"com.docker.compose.config-hash":          hex.EncodeToString(hash.Sum(nil)),
		"com.docker.compose.depends_on":           strings.Join(deps, ","),
		"com.docker.compose.project.config_files": t.checker.path,
		"com.docker.compose.project.working_dir":  t.project.WorkingDir,
	})
	t.out.Labels = labels
}
