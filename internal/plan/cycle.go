package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/compose"
)

// cycles finds services that wait for themselves through others. It makes no
// difference whether a dependency is required: one that exists is waited for.
//
// For every service on a cycle the shortest one is told, beginning with the
// service itself, so that each fault can be read alone.
func (m *maker) cycles() {
	for _, name := range m.names() {
		s := m.all[name]
		path := m.wayBack(name)
		if path == nil {
			continue
		}
		message := "waits for itself: " + strings.Join(path, " -> ")
		f := compose.Fault{File: s.File, Line: s.Line, Key: "services." + name + ".depends_on", Service: name, Message: message}
		for _, d := range s.DependsOn {
			if d.Service == path[1] {
				f.Line = d.Line
			}
		}
		m.found = append(m.found, f)
		m.lose(name, cause{message: fmt.Sprintf("it waits for itself: %s", strings.Join(path, " -> ")), at: f})
	}
}

// wayBack is the shortest path from a service to itself, or nil: a breadth
// first search along depends_on.
func (m *maker) wayBack(name string) []string {
	from := map[string]string{} // service: the one that it was reached from
	queue := []string{name}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, d := range m.all[at].DependsOn { // sorted by name
			if d.Service == name {
				path := []string{name}
				for ; at != name; at = from[at] {
					path = append(path, at)
				}
				path = append(path, name)
				slices.Reverse(path)
				return path
			}
			_, exists := m.all[d.Service]
			if _, seen := from[d.Service]; seen || !exists {
				continue
			}
			from[d.Service] = at
			queue = append(queue, d.Service)
		}
	}
	return nil
}
