package compose

import (
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// profilesVariable names the profiles that are switched on, with commas between
// them.
const profilesVariable = "COMPOSE_PROFILES"

// Profiles are those that the variables switch on.
func Profiles(env map[string]string) []string {
	var on []string
	for name := range strings.SplitSeq(env[profilesVariable], ",") {
		if name = strings.TrimSpace(name); name != "" {
			on = append(on, name)
		}
	}
	return on
}

// rests says whether a service has profiles and none of them is switched on.
func (r *reader) rests(pairs []yamldoc.Pair) bool {
	i := slices.IndexFunc(pairs, func(p yamldoc.Pair) bool { return p.Key == "profiles" })
	if i < 0 {
		return false
	}
	on := Profiles(r.env)
	profiles := r.texts(pairs[i].Value, true)
	return len(profiles) > 0 && !slices.Contains(on, "*") &&
		!slices.ContainsFunc(profiles, func(p string) bool { return slices.Contains(on, p) })
}

// missed finds services that need one that rests.
func (r *reader) missed(services []found) {
	resting := map[string]bool{}
	for _, s := range services {
		resting[s.Name] = s.resting
	}
	for _, s := range services {
		if s.resting || s.Scope != ScopeSystem {
			continue
		}
		for _, d := range s.DependsOn {
			if d.Required && resting[d.Service] {
				r.add(s.Name, yamldoc.Fault{Line: d.Line, Path: yamldoc.Path{"services", s.Name, "depends_on"},
					Message: "none of the profiles of service \"" + d.Service + "\" is switched on in " + profilesVariable})
			}
		}
	}
}
