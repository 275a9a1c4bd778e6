// Package plan puts services in the order in which they start.
//
// It owns what services say about each other: the order, cycles, dependencies
// that do not exist or cannot be met. It starts nothing and knows nothing about
// whether something runs (package supervise does); a plan is a value that can
// be printed.
//
// One bad service never stops the others: it becomes a fault, so do the
// services that cannot do without it, and the rest is the plan.
package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/compose"
)

// Plan is the services of the OS in the order in which they start.
type Plan struct {
	// Steps: every service stands behind those it depends on; among services
	// that could stand in either order the names decide.
	Steps []Step

	// Faults is everything that cannot be used and why: the faults of the
	// service files as they came, then those found here, by service name.
	// Fault.Service, where it is set, is in no step.
	Faults []compose.Fault
}

// Step is one service.
type Step struct {
	Service compose.Service

	// Waits are the dependencies that are in the plan. Dependencies that are
	// not required and have nobody to meet them are left out.
	Waits []compose.Dependency
}

// WaitsFor says the waits in words: "network to be healthy".
func (s Step) WaitsFor() []string {
	var words []string
	for _, d := range s.Waits {
		words = append(words, Words(d))
	}
	return words
}

// Words says what a dependency waits for: "network to be healthy".
func Words(d compose.Dependency) string {
	switch d.Condition {
	case compose.Healthy:
		return d.Service + " to be healthy"
	case compose.Completed:
		return d.Service + " to be done"
	}
	return d.Service + " to be started"
}

// Make plans services; faults are those of loading the service files.
func Make(services []compose.Service, faults []compose.Fault) Plan {
	m := &maker{
		all:    map[string]compose.Service{},
		reason: map[string]cause{},
		given:  faults,
	}
	for _, f := range faults {
		if f.Service != "" {
			m.lose(f.Service, cause{message: f.Message, at: f})
		}
	}
	for _, s := range services {
		if first, twice := m.all[s.Name]; twice {
			m.found = append(m.found, compose.Fault{File: s.File, Line: s.Line, Key: "services." + s.Name,
				Message: fmt.Sprintf("there is a service %q already, from %s:%d", s.Name, first.File, first.Line)})
			continue
		}
		m.all[s.Name] = s
	}
	for _, name := range m.names() {
		m.check(m.all[name])
	}
	m.cycles()
	m.spread()
	slices.SortStableFunc(m.found, func(a, b compose.Fault) int { return strings.Compare(a.Service, b.Service) })
	return Plan{Steps: m.order(), Faults: append(slices.Clone(faults), m.found...)}
}

// maker holds the services while they are sorted out.
type maker struct {
	all    map[string]compose.Service
	reason map[string]cause // of services that cannot be used
	given  []compose.Fault
	found  []compose.Fault
}

// cause is why a service cannot be used, and through which others that came
// about: message is the fault of the last one.
type cause struct {
	through []string
	message string
	at      compose.Fault
}

func (m *maker) names() []string {
	names := make([]string, 0, len(m.all))
	for name := range m.all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// lose takes a service out of the plan; its first cause is the one told to
// those that depend on it.
func (m *maker) lose(name string, why cause) {
	if _, lost := m.reason[name]; !lost {
		m.reason[name] = why
	}
}

func (m *maker) usable(name string) bool {
	_, ok := m.all[name]
	_, lost := m.reason[name]
	return ok && !lost
}

// wrong is a fault of a dependency of s.
func (m *maker) wrong(s compose.Service, d compose.Dependency, message string) {
	f := compose.Fault{File: s.File, Line: d.Line, Key: "services." + s.Name + ".depends_on." + d.Service, Service: s.Name, Message: message}
	if f.Line == 0 {
		f.Line = s.Line
	}
	m.found = append(m.found, f)
	m.lose(s.Name, cause{message: message, at: f})
}

// check finds dependencies that nothing can ever meet.
func (m *maker) check(s compose.Service) {
	for _, d := range s.DependsOn {
		on, exists := m.all[d.Service]
		_, lost := m.reason[d.Service]
		switch {
		case lost: // said by spread, with the reason
		case !exists:
			if d.Required {
				m.wrong(s, d, m.missing(d.Service))
			}
		case s.Scope == compose.ScopeSystem && on.Scope != compose.ScopeSystem:
			if d.Required {
				m.wrong(s, d, fmt.Sprintf("%q (%s:%d) runs in the user's engine (scope %q); a service of the OS cannot wait for it", d.Service, on.File, on.Line, on.Scope))
			}
		case d.Condition == compose.Healthy && on.Healthcheck == nil:
			m.wrong(s, d, fmt.Sprintf("waits for %q to be healthy, but it has no healthcheck (%s:%d)", d.Service, on.File, on.Line))
		case d.Condition == compose.Completed && !on.OneShot():
			m.wrong(s, d, fmt.Sprintf("waits for %q to be done, but that is restarted whenever it ends: restart: %s (%s:%d)", d.Service, on.Restart.Mode, on.File, on.Line))
		}
	}
}

// missing says that there is no such service, and where it may have got lost:
// the service of a file that cannot be read at all has no name, but files are
// named after their service.
func (m *maker) missing(name string) string {
	for _, f := range m.given {
		base := f.File[strings.LastIndexByte(f.File, '/')+1:]
		if f.Service == "" && (base == name+".yml" || base == name+".yaml") {
			return fmt.Sprintf("there is no service %q; its file cannot be used: %s", name, f.Error())
		}
	}
	return fmt.Sprintf("there is no service %q (with \"required: false\" it may be missing)", name)
}

// spread takes out what requires a service that is out, until nothing changes.
func (m *maker) spread() {
	for again := true; again; {
		again = false
		for _, name := range m.names() {
			s := m.all[name]
			if !m.usable(name) {
				continue
			}
			for _, d := range s.DependsOn {
				why, lost := m.reason[d.Service]
				if !lost || !d.Required {
					continue
				}
				chain := append([]string{d.Service}, why.through...)
				f := compose.Fault{File: s.File, Line: d.Line, Key: "services." + name + ".depends_on." + d.Service, Service: name,
					Message: fmt.Sprintf("depends on %s, which cannot be used: %s", strings.Join(chain, ", which depends on "), why.message)}
				m.found = append(m.found, f)
				m.lose(name, cause{through: chain, message: why.message, at: f})
				again = true
				break
			}
		}
	}
}

// order sorts what is left. With no cycles in it there is always a service
// whose dependencies stand already; the first of them by name is next.
func (m *maker) order() []Step {
	var steps []Step
	placed := map[string]bool{}
	waiting := slices.DeleteFunc(m.names(), func(name string) bool { return !m.usable(name) })
	for len(waiting) > 0 {
		next := slices.IndexFunc(waiting, func(name string) bool {
			return !slices.ContainsFunc(m.all[name].DependsOn, func(d compose.Dependency) bool {
				return m.usable(d.Service) && !placed[d.Service]
			})
		})
		if next < 0 {
			panic("internal error: a cycle was left in the plan: " + strings.Join(waiting, ", "))
		}
		name := waiting[next]
		waiting = slices.Delete(waiting, next, next+1)
		placed[name] = true
		step := Step{Service: m.all[name]}
		for _, d := range step.Service.DependsOn {
			if m.usable(d.Service) {
				step.Waits = append(step.Waits, d)
			}
		}
		steps = append(steps, step)
	}
	return steps
}

// Names are the services in the order in which they start.
func (p Plan) Names() []string {
	names := make([]string, 0, len(p.Steps))
	for _, step := range p.Steps {
		names = append(names, step.Service.Name)
	}
	return names
}

// StopOrder are the services in the order in which they stop: every service
// stands behind those that depend on it.
func (p Plan) StopOrder() []string {
	names := p.Names()
	slices.Reverse(names)
	return names
}

// Dependants are the services that wait for name themselves, in start order.
// Something may stop when all of its dependants have.
func (p Plan) Dependants(name string) []string {
	var names []string
	for _, step := range p.Steps {
		if slices.ContainsFunc(step.Waits, func(d compose.Dependency) bool { return d.Service == name }) {
			names = append(names, step.Service.Name)
		}
	}
	return names
}

// String is the plan for people: a line for each service, then the faults.
func (p Plan) String() string {
	var b strings.Builder
	width := 0
	for _, step := range p.Steps {
		width = max(width, len(step.Service.Name))
	}
	for i, step := range p.Steps {
		line := fmt.Sprintf("%2d  %-*s", i+1, width, step.Service.Name)
		if waits := step.WaitsFor(); len(waits) > 0 {
			line += "  waits for " + strings.Join(waits, ", ")
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if len(p.Faults) > 0 {
		b.WriteString("cannot be used:\n")
	}
	for _, f := range p.Faults {
		b.WriteString("    " + f.Error() + "\n")
	}
	return b.String()
}
