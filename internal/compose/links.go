package compose

import (
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Link is a further name by which a service finds another one of its networks.
// Nobody else knows it.
type Link struct {
	Service string `json:"service"`
	Alias   string `json:"alias"`
}

// links notes those of a service; what they lead to is known when all services
// have been read.
func (r *reader) links(_ *Service, v yamldoc.Value) {
	for _, item := range r.items(v) {
		text, ok := r.word(item)
		if !ok {
			continue
		}
		name, alias, given := strings.Cut(text, ":")
		if !given {
			alias = name
		}
		if !hostWord.MatchString(alias) {
			r.wrong(item, "%q must be SERVICE or SERVICE:NAME", text)
			continue
		}
		r.linked = append(r.linked, entry{name, alias, item})
	}
}

// link settles the links of all services, which start after those that they lead
// to.
func (r *reader) link(services []found) {
	for i := range services {
		s := &services[i]
		r.service = s.Name
		for _, l := range s.links {
			at := slices.IndexFunc(services, func(o found) bool { return o.Name == l.name && o.Scope == ScopeSystem })
			switch {
			case at < 0:
				r.wrong(l.value, "there is no service %q with scope %q in this file", l.name, ScopeSystem)
			case at == i:
				r.wrong(l.value, "leads to the service itself")
			case !r.broken[s.Name] && !r.broken[l.name] && !meet(s.Service, services[at].Service):
				r.wrong(l.value, "service %q is in no network that this one is in", l.name)
			default:
				s.Links = append(s.Links, Link{l.name, l.text})
				s.follows(l.name, l.value.Line)
			}
		}
	}
	r.service = ""
}

// meet says whether two services have a network in common.
func meet(a, b Service) bool {
	return slices.ContainsFunc(a.Networks, func(in Attachment) bool {
		return slices.ContainsFunc(b.Networks, func(other Attachment) bool { return other.Network.Name == in.Network.Name })
	})
}
