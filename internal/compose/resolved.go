package compose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Resolved is a service file with what it takes from other services and files
// (extends, include) written out.
type Resolved struct {
	Text   []byte           `json:"text,omitempty"`   // YAML, its variables filled in
	Places map[string]Place `json:"places,omitempty"` // where what is in Text stands, by its path in it
	Faults []Fault          `json:"faults,omitempty"` // why there is no Text
}

// Place is where something stands that a Resolved has.
type Place struct {
	File   string `json:"file,omitempty"` // "": the service file itself
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"` // "": as in the Resolved
}

// Resolver writes a service file out; it is asked only about those that take
// something from others. The zero Resolved says that nobody knows: then the file
// counts as it stands there.
type Resolver func(path string, text []byte) Resolved

// standsAlone is why a file without a Resolver can take nothing from others.
const standsAlone = "is not supported here: this file stands alone; within it, use YAML anchors"

// takesFromOthers says whether a file is not all there is to its services.
func takesFromOthers(root yamldoc.Value) bool {
	if hasKey(root.Pairs(), "include") {
		return true
	}
	for _, top := range root.Pairs() {
		if top.Key == "services" && slices.ContainsFunc(top.Value.Pairs(), func(s yamldoc.Pair) bool { return hasKey(s.Value.Pairs(), "extends") }) {
			return true
		}
	}
	return false
}

func hasKey(pairs []yamldoc.Pair, key string) bool {
	return slices.ContainsFunc(pairs, func(p yamldoc.Pair) bool { return p.Key == key })
}

// resolve is the document to read in the place of the one in the file.
func (r *reader) resolve(doc *yamldoc.Document, as Resolved) *yamldoc.Document {
	r.unresolved = as.Faults
	if len(as.Faults) > 0 || len(as.Text) == 0 {
		return doc
	}
	whole, wrong := yamldoc.Parse(as.Text)
	if len(wrong) > 0 {
		r.unresolved = []Fault{{File: r.path, Message: "with what it takes from others it " + wrong[0].Message}}
		return doc
	}
	r.places = as.Places
	for _, p := range doc.Root().Pairs() {
		if p.Key == "include" {
			r.included = p.Line
		}
	}
	return whole
}

// lose gives up the services of the OS of which nobody knows what they take from
// others. With services of the user in it the file is told about once more, for
// the engine, and whatever is not about a service of the OS is said then.
func (r *reader) lose(root yamldoc.Value, services []found) {
	if len(r.unresolved) == 0 {
		return
	}
	forUsers := slices.ContainsFunc(services, func(s found) bool { return s.Scope == ScopeUser })
	if !forUsers {
		r.faults = append(r.faults, r.unresolved...)
	}
	include := hasKey(root.Pairs(), "include")
	for i := range services {
		s := &services[i]
		if s.Scope != ScopeSystem || !include && !hasKey(s.pairs, "extends") {
			continue
		}
		s.lost = true
		r.broken[s.Name] = true
		own := slices.IndexFunc(r.unresolved, func(f Fault) bool { return f.Service == s.Name })
		switch {
		case own < 0:
			r.add(s.Name, yamldoc.Fault{Line: s.Line, Path: yamldoc.Path{"services", s.Name},
				Message: fmt.Sprintf("what it takes from others cannot be had: %v", r.unresolved[0])})
		case forUsers:
			r.faults = append(r.faults, r.unresolved[own])
		}
	}
}

// locate says where a fault of a resolved file really stands.
func (r *reader) locate(f *Fault, path yamldoc.Path) {
	for n := len(path); n > 0; n-- {
		p, known := r.places[path[:n].String()]
		if !known {
			continue
		}
		f.Origin, f.Line, f.Column = p.File, p.Line, p.Column
		if p.Key != "" {
			f.Key = append(yamldoc.Path{p.Key}, path[n:]...).String()
		}
		return
	}
}

// line is the line of the service file that a path of a resolved one leads to;
// what stands in other files is there because of another line.
func (r *reader) line(path string, other int) int {
	if p, known := r.places[path]; known && p.File == "" {
		return p.Line
	}
	return other
}

// relocate gives a service of a resolved file its lines.
func (r *reader) relocate(s *Service) {
	if r.places == nil {
		return
	}
	path := "services." + s.Name
	s.Line = r.line(path, cmp.Or(r.included, 1))
	for i, d := range s.DependsOn {
		s.DependsOn[i].Line = r.line(path+".depends_on."+d.Service, s.Line)
	}
}
