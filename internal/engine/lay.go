package engine

import (
	"maps"
	"slices"

	"github.com/rosteros/ros/internal/compose"
)

// Variables that the start script in the image reads.
const (
	dockerdVariable = "ROS_DOCKERD"
	optionsVariable = "ROS_DOCKER_BUILT_IN"
)

// Built-in options of dockerd, in our docker image.
const (
	optionsDir = "/usr/share/ros-docker/"
	newOptions = optionsDir + "daemon.json"
	oldOptions = optionsDir + "daemon-iptables.json"
)

// Options is where our docker image has the built-in options for an engine.
func (e Engine) Options() string {
	if e.Old() {
		return oldOptions
	}
	return newOptions
}

// Lay makes the service docker one of the engine. Services are changed in
// place; the zero Engine changes nothing.
func (e Engine) Lay(services []compose.Service) {
	if e.Pin == "" {
		return
	}
	for i := range services {
		if s := &services[i]; s.Name == Service && s.Image == Base {
			e.lay(s)
		}
	}
}

func (e Engine) lay(s *compose.Service) {
	s.Image, s.Over = e.Pin, Base
	// What the image would start, and as whom, is not what is started here.
	s.Entrypoint, s.Command = slices.Concat(s.Entrypoint, s.Command), nil
	s.User, s.WorkingDir = "0:0", "/"
	env := map[string]string{
		dockerdVariable: e.Dockerd,
		optionsVariable: e.Options(),
		"PATH":          "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/engine",
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		s.Env = append(s.Env, name+"="+env[name])
	}
}
