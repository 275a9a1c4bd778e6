package compose

import (
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// networkOf begins the NetworkMode of a service that is in the network of
// another one.
const networkOf = "service:"

// NetworkOf is the service whose network a service is in: itself or another one;
// "" when it has the machine's or none.
func (s Service) NetworkOf() string {
	if s.NetworkMode == NetworkBridge {
		return s.Name
	}
	name, _ := strings.CutPrefix(s.NetworkMode, networkOf)
	if name == s.NetworkMode {
		return ""
	}
	return name
}

// networkMode reads it; whether there is such a service is known when all have
// been read.
func (r *reader) networkMode(s *Service, v yamldoc.Value) {
	mode, ok := r.word(v)
	if ok && strings.HasPrefix(mode, networkOf) {
		s.NetworkMode, r.shares = mode, v
		return
	}
	s.NetworkMode, _ = r.oneOf(v, "host", "none", networkOf+"NAME")
}

// share lets services into the network of others, after which they start, and
// with which they go.
func (r *reader) share(services []found) {
	for i := range services {
		s := &services[i]
		name := s.NetworkOf()
		if s.Scope != ScopeSystem || name == "" || s.NetworkMode == NetworkBridge {
			continue
		}
		r.service = s.Name
		at := slices.IndexFunc(services, func(o found) bool { return o.Name == name && o.Scope == ScopeSystem })
		switch {
		case at < 0:
			r.wrong(s.shares, "there is no service %q with scope %q in this file", name, ScopeSystem)
			continue
		case services[at].NetworkMode != NetworkBridge && !r.broken[name]:
			r.wrong(s.shares, `service %q has no network of its own ("networks: [default]")`, name)
			continue
		}
		s.Hostname = services[at].Hostname
		if s.Hostname == "" {
			s.Hostname = name
		}
		s.follows(name, s.shares.Line)
		for j := range s.DependsOn {
			if d := &s.DependsOn[j]; d.Service == name {
				d.Network, d.Required = true, true
			}
		}
	}
	r.service = ""
}
