package compose

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// volume is one under volumes at the top of a file.
type volume struct {
	name     string // of its directory
	external bool   // it has to be there
	device   string // directory that it is, instead of one of its own
	unfit    string // why no service of the OS can mount it; "": it can
}

// namedVolumes notes the volumes that services may mount by name. What is wrong
// with one is said where a service mounts it: others may be for the engine.
func (r *reader) namedVolumes(v yamldoc.Value) {
	if v.Kind() != yamldoc.Mapping {
		r.wrong(v, "must be a mapping (name of a volume:)")
		return
	}
	for _, p := range v.Pairs() {
		aside := &reader{env: r.env, broken: map[string]bool{}}
		named := aside.namedVolume(p)
		if len(aside.faults) > 0 {
			named.unfit = fmt.Sprintf("%s: %s", aside.faults[0].Key, aside.faults[0].Message)
		}
		r.volumes[p.Key] = named
	}
}

func (r *reader) namedVolume(p yamldoc.Pair) volume {
	named := volume{name: p.Key}
	if p.Value.Tag() == "!!null" {
		return named
	}
	options, given := map[string]string{}, 0
	r.mapping(p.Value, map[string]func(yamldoc.Value){
		"name":   func(v yamldoc.Value) { named.name, _ = r.word(v) },
		"driver": func(v yamldoc.Value) { r.oneOf(v, "local"); given++ },
		"driver_opts": func(v yamldoc.Value) {
			given++
			for _, e := range r.entries(v, nil) {
				options[e.name] = e.text
			}
			named.device = r.bound(v, options)
		},
		"external": func(v yamldoc.Value) { named.external = r.external(v, &named.name) },
		"labels":   func(v yamldoc.Value) { r.entries(v, nil) }, // a directory has none
	})
	switch {
	case named.external && given > 0:
		r.wrong(p.Value, `is "external": what it is has been said elsewhere`)
	case !volumeName.MatchString(named.name):
		r.wrong(p.Value, "%q cannot be the name of a volume", named.name)
	}
	return named
}

// external is true, or a mapping with the name.
func (r *reader) external(v yamldoc.Value, name *string) bool {
	if v.Kind() == yamldoc.Mapping {
		r.mapping(v, map[string]func(yamldoc.Value){"name": func(v yamldoc.Value) { *name, _ = r.word(v) }})
		return true
	}
	external, _ := r.boolean(v)
	return external
}

// bound is the directory of a volume that is a bind mount, the only thing that
// options of the driver local can make of one here.
func (r *reader) bound(v yamldoc.Value, options map[string]string) string {
	if len(options) == 0 {
		return ""
	}
	kind, how, device := options["type"], options["o"], options["device"]
	if len(options) != 3 || kind != "none" && kind != "bind" || how != "bind" && how != "rbind" {
		r.wrong(v, `is not supported in scope %q, but for a directory of the machine: {type: none, o: bind, device: /PATH}`, ScopeSystem)
		return ""
	}
	if !path.IsAbs(device) {
		r.wrong(v, "device %q must be an absolute path", device)
	}
	return path.Clean(device)
}

// borrow adds what volumes_from lends, when all services have been read.
func (r *reader) borrow(services []found) {
	index := map[string]*found{}
	for i := range services {
		index[services[i].Name] = &services[i]
	}
	done := map[string]bool{}
	var visit func(s *found, way []string)
	visit = func(s *found, way []string) {
		r.service = s.Name
		for _, from := range s.from {
			r.service = s.Name
			name, access, _ := strings.Cut(from.text, ":")
			lender := index[name]
			switch {
			case name == "container":
				r.wrong(from.value, "%q: services of the OS have no containers but their own", from.text)
			case lender == nil || lender.Scope != ScopeSystem:
				r.wrong(from.value, "there is no service %q with scope %q in this file", name, ScopeSystem)
			case access != "" && access != "ro" && access != "rw":
				r.wrong(from.value, "%q must be NAME, NAME:ro or NAME:rw", from.text)
			case slices.Contains(way, name):
				r.wrong(from.value, "service %q borrows from itself", name)
			default:
				if !done[name] {
					visit(lender, append(way, name))
					r.service = s.Name
				}
				s.lend(lender.Mounts, access == "ro")
				s.follows(name, from.value.Line)
			}
		}
		done[s.Name] = true
	}
	for i := range services {
		if s := &services[i]; s.Scope == ScopeSystem && !done[s.Name] {
			visit(s, []string{s.Name})
		}
	}
	r.service = ""
}

// lend adds the volumes of another service where nothing else is mounted.
func (s *found) lend(mounts []Mount, readOnly bool) {
	for _, m := range mounts {
		mounted := slices.ContainsFunc(s.Mounts, func(have Mount) bool { return have.Target == m.Target }) ||
			slices.ContainsFunc(s.Files, func(have File) bool { return have.Target == m.Target })
		if m.Type == "tmpfs" || mounted {
			continue
		}
		m.ReadOnly = m.ReadOnly || readOnly
		s.Mounts = append(s.Mounts, m)
	}
}

// follows lets a service start after another, as Compose has it for one that
// uses something of the other.
func (s *found) follows(name string, line int) {
	if slices.ContainsFunc(s.DependsOn, func(d Dependency) bool { return d.Service == name }) {
		return
	}
	s.DependsOn = append(s.DependsOn, Dependency{Service: name, Condition: Started, Required: true, Line: line})
	slices.SortFunc(s.DependsOn, func(a, b Dependency) int { return strings.Compare(a.Service, b.Service) })
}
