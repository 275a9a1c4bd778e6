package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ConfigService is one entry of rancher.services in a cloud-config: a service
// of Compose version 1 with RancherOS's labels, or of Compose as it is today.
type ConfigService struct {
	Name string
	YAML []byte
	File string // where it was written, for faults
	Line int
}

// ParseConfig reads services of a cloud-config. What RancherOS said by labels
// and by keys that Compose has given up becomes what Compose says today; what
// cannot be said is a fault of that service. Lines of faults are those of the
// services' keys. The values for ${NAME} are also those of environment entries
// without one.
func ParseConfig(services []ConfigService, in Setting) ([]Service, []Fault) {
	var loaded []Service
	var faults []Fault
	known := map[string]*yaml.Node{}
	for _, c := range services {
		var doc yaml.Node
		if yaml.Unmarshal(c.YAML, &doc) == nil && len(doc.Content) == 1 && doc.Content[0].Kind == yaml.MappingNode {
			known[c.Name] = doc.Content[0]
		}
	}
	for _, c := range services {
		t := translator{service: c.Name, keys: known[c.Name], all: known, env: in.Env}
		if t.keys == nil {
			faults = append(faults, Fault{File: c.File, Line: c.Line, Key: "rancher.services." + c.Name, Service: c.Name, Message: "must be a mapping (key: value)"})
			continue
		}
		text, err := t.modern()
		if err != nil {
			faults = append(faults, Fault{File: c.File, Line: c.Line, Key: "rancher.services." + c.Name, Service: c.Name, Message: err.Error()})
			continue
		}
		if text == nil {
			continue // it only lends its volumes
		}
		found, wrong := ParseIn(c.File, text, in)
		for _, f := range wrong {
			f.Line, f.Column, f.Key = c.Line, 0, "rancher."+f.Key
			faults = append(faults, f)
		}
		for _, s := range found {
			s.Line = c.Line
			loaded = append(loaded, s)
		}
	}
	return loaded, faults
}

// UserFile is one Compose file with those of the services that are for the
// user's engine, and where in the config each of them stands. As on RancherOS,
// the container has the name of the service.
func UserFile(services []ConfigService) (text []byte, lines map[string]int, err error) {
	all := mapping()
	lines = map[string]int{}
	for _, c := range services {
		var doc yaml.Node
		if yaml.Unmarshal(c.YAML, &doc) != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
			continue // ParseConfig says so
		}
		t := translator{service: c.Name, keys: doc.Content[0], labels: rancherLabels(doc.Content[0])}
		if t.system() {
			continue
		}
		service := t.user()
		if value(service, "container_name") == nil {
			put(service, "container_name", quoted(c.Name))
		}
		put(all, c.Name, service)
		lines[c.Name] = c.Line
	}
	file := mapping()
	put(file, "services", all)
	text, err = yaml.Marshal(file)
	return text, lines, err
}

// The labels by which RancherOS steered services.
const rancherLabel = "io.rancher.os."

// holders are RancherOS's containers that existed for their volumes alone, and
// what they lent.
var holders = map[string][]string{
	"command-volumes":        {"/usr/lib/modules:/usr/lib/modules:ro"},
	"container-data-volumes": {"/var/lib/docker:/var/lib/docker"},
	"media-volumes":          {"/media:/media:rshared", "/mnt:/mnt:rshared"},
	"system-volumes":         {"/dev:/host/dev", "/run:/run", "/var/lib/rancher:/var/lib/rancher", "/var/log:/var/log", "/usr/lib/modules:/lib/modules:ro"},
	"user-volumes":           {"/home:/home", "/opt:/opt", "/var/lib/kubelet:/var/lib/kubelet:rshared"},
}

// lent are the volumes of a holder, of another service of the config, or of
// all-volumes.
func (t *translator) lent(name string) ([]*yaml.Node, error) {
	name, _, _ = strings.Cut(name, ":")
	var list []string
	switch {
	case name == "all-volumes":
		for _, holder := range slices.Sorted(maps.Keys(holders)) {
			list = append(list, holders[holder]...)
		}
	case holders[name] != nil:
		list = holders[name]
	case t.all[name] != nil && name != t.service:
		if volumes := value(t.all[name], "volumes"); volumes != nil {
			return volumes.Content, nil
		}
	default:
		return nil, fmt.Errorf("volumes_from: there is no %q", name)
	}
	var nodes []*yaml.Node
	for _, text := range list {
		nodes = append(nodes, scalar(text))
	}
	return nodes, nil
}

// translator writes one service anew.
type translator struct {
	service string
	keys    *yaml.Node
	all     map[string]*yaml.Node
	env     map[string]string

	out    *yaml.Node
	xros   *yaml.Node
	labels map[string]string // RancherOS's
}

// meaningless are keys of Compose version 1 that change nothing for a service
// in the machine's own network with logs that are bounded anyway.
var meaningless = []string{
	"attach", "container_name", "expose", "external_links", "links", "log_driver", "log_opt", "ports", "stdin_open",
}

// modern is the service file; nil: there is nothing to run.
func (t *translator) modern() ([]byte, error) {
	t.out, t.xros = mapping(), mapping()
	t.labels = rancherLabels(t.keys)
	if !t.system() {
		return t.write(t.user())
	}
	if t.labels["createonly"] == "true" {
		return nil, nil
	}
	if given := value(t.keys, "x-ros"); given != nil && given.Kind == yaml.MappingNode {
		t.xros.Content = append(t.xros.Content, given.Content...)
	} else {
		put(t.xros, "scope", scalar("system"))
	}
	for i := 0; i+1 < len(t.keys.Content); i += 2 {
		if err := t.key(t.keys.Content[i].Value, t.keys.Content[i+1]); err != nil {
			return nil, err
		}
	}
	t.steer()
	put(t.out, "x-ros", t.xros)
	return t.write(t.out)
}

// system says whether the service is for the system's containerd.
func (t *translator) system() bool {
	given := value(value(t.keys, "x-ros"), "scope")
	return given != nil && given.Value == string(ScopeSystem) || given == nil && t.labels["scope"] == "system"
}

// old says whether the service is one of RancherOS, and not of Compose as it is
// today.
func (t *translator) old() bool { return value(t.keys, "x-ros") == nil }

// user is the service as the user's engine gets it: the same, less what only
// RancherOS knew.
func (t *translator) user() *yaml.Node {
	out, logging := mapping(), mapping()
	for i := 0; i+1 < len(t.keys.Content); i += 2 {
		name, v := t.keys.Content[i].Value, t.keys.Content[i+1]
		switch name {
		case "net":
			put(out, "network_mode", v)
		case "log_driver":
			put(logging, "driver", v)
		case "log_opt":
			put(logging, "options", v)
		case "labels":
			if kept := withoutRancher(v); len(kept.Content) > 0 {
				put(out, name, kept)
			}
		default:
			put(out, name, v)
		}
	}
	if len(logging.Content) > 0 {
		put(out, "logging", logging)
	}
	return out
}

// key translates one key of the service.
func (t *translator) key(name string, v *yaml.Node) error {
	switch {
	case name == "x-ros" || t.old() && slices.Contains(meaningless, name):
	case name == "net":
		if v.Value == "none" {
			put(t.out, "network_mode", scalar("none"))
		}
	case name == "network_mode" && t.old() && (v.Value == "bridge" || v.Value == "default"):
	case name == "privileged":
		put(t.out, name, v)
		if isTrue(v) && value(t.xros, "privileged-reason") == nil {
			put(t.xros, "privileged-reason", scalar("its cloud-config says so"))
			if value(t.keys, "security_opt") == nil {
				put(t.out, "security_opt", list(scalar("no-new-privileges:false")))
			}
		}
	case name == "volumes_from":
		for _, from := range v.Content {
			volumes, err := t.lent(from.Value)
			if err != nil {
				return err
			}
			t.addTo("volumes", volumes...)
		}
	case name == "volumes" && v.Kind == yaml.SequenceNode:
		t.addTo("volumes", v.Content...)
	case name == "environment":
		put(t.out, name, t.environment(v))
	case name == "labels":
		if kept := withoutRancher(v); len(kept.Content) > 0 {
			put(t.out, name, kept)
		}
	case name == "restart" && t.labels["detach"] == "false": // steer says what it is
	default:
		put(t.out, name, v)
	}
	return nil
}

// addTo adds entries to a list; a volume for a place that has one already is
// left out, as Docker does for volumes_from.
func (t *translator) addTo(name string, entries ...*yaml.Node) {
	into := value(t.out, name)
	if into == nil {
		into = list()
		put(t.out, name, into)
	}
	for _, e := range entries {
		taken := slices.ContainsFunc(into.Content, func(have *yaml.Node) bool {
			return have.Kind == yaml.ScalarNode && e.Kind == yaml.ScalarNode && target(have.Value) == target(e.Value)
		})
		if !taken {
			into.Content = append(into.Content, e)
		}
	}
}

// target is where a volume in the short form ends up.
func target(volume string) string {
	parts := strings.Split(volume, ":")
	if len(parts) == 1 {
		return parts[0]
	}
	return parts[1]
}

// environment fills entries without a value; NAME* takes all that begin so.
func (t *translator) environment(v *yaml.Node) *yaml.Node {
	filled := mapping()
	add := func(name, text string) {
		// A value from the config is text: a dollar sign in it is no variable.
		put(filled, name, scalar(strings.ReplaceAll(text, "$", "$$")))
	}
	fill := func(name string) {
		prefix, all := strings.CutSuffix(name, "*")
		for _, known := range slices.Sorted(maps.Keys(t.env)) {
			own, isOwn := strings.CutPrefix(known, t.service+"/")
			switch {
			case known == name && value(filled, name) == nil, all && strings.HasPrefix(known, prefix):
				add(known, t.env[known])
			case isOwn && own == name:
				add(own, t.env[known])
			}
		}
	}
	if v.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(v.Content); i += 2 {
			if v.Content[i+1].ShortTag() == "!!null" {
				fill(v.Content[i].Value)
			} else {
				put(filled, v.Content[i].Value, v.Content[i+1])
			}
		}
		return filled
	}
	for _, item := range v.Content {
		if name, text, ok := strings.Cut(item.Value, "="); ok {
			put(filled, name, scalar(text))
		} else {
			fill(name)
		}
	}
	return filled
}

// steer says with Compose's words what the labels said.
func (t *translator) steer() {
	if t.labels["detach"] == "false" {
		put(t.out, "restart", quoted("no"))
	}
	if t.labels["reloadconfig"] == "true" {
		put(t.xros, "reload-config", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	for _, name := range strings.Split(t.labels["after"], ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		condition := Started
		switch name {
		case "network":
			condition = Healthy
		case "cloud-init", "cloud-init-execute":
			name, condition = "datasource", Completed
		default:
			if other := t.all[name]; other != nil && rancherLabels(other)["detach"] == "false" {
				condition = Completed
			}
		}
		deps := value(t.out, "depends_on")
		if deps == nil || deps.Kind != yaml.MappingNode {
			deps = dependencies(deps)
			put(t.out, "depends_on", deps)
		}
		entry := mapping()
		put(entry, "condition", scalar(string(condition)))
		put(entry, "required", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"})
		put(deps, name, entry)
	}
}

// dependencies is the long form of a depends_on that was a list.
func dependencies(short *yaml.Node) *yaml.Node {
	long := mapping()
	if short != nil {
		for _, item := range short.Content {
			entry := mapping()
			put(entry, "condition", scalar(string(Started)))
			put(long, item.Value, entry)
		}
	}
	return long
}

func (t *translator) write(service *yaml.Node) ([]byte, error) {
	services, file := mapping(), mapping()
	put(services, t.service, service)
	put(file, "services", services)
	return yaml.Marshal(file)
}

// rancherLabels are the labels of RancherOS on a service, without their prefix.
func rancherLabels(service *yaml.Node) map[string]string {
	labels := map[string]string{}
	note := func(name, text string) {
		if short, ok := strings.CutPrefix(name, rancherLabel); ok {
			labels[short] = text
		}
	}
	v := value(service, "labels")
	switch {
	case v == nil:
	case v.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(v.Content); i += 2 {
			note(v.Content[i].Value, v.Content[i+1].Value)
		}
	default:
		for _, item := range v.Content {
			name, text, _ := strings.Cut(item.Value, "=")
			note(name, text)
		}
	}
	return labels
}

func withoutRancher(labels *yaml.Node) *yaml.Node {
	kept := &yaml.Node{Kind: labels.Kind, Tag: labels.Tag}
	foreign := func(n *yaml.Node) bool {
		return strings.HasPrefix(n.Value, rancherLabel) || strings.HasPrefix(n.Value, "io.docker.compose.rebuild")
	}
	if labels.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(labels.Content); i += 2 {
			if !foreign(labels.Content[i]) {
				kept.Content = append(kept.Content, labels.Content[i], labels.Content[i+1])
			}
		}
		return kept
	}
	for _, item := range labels.Content {
		if !foreign(item) {
			kept.Content = append(kept.Content, item)
		}
	}
	return kept
}

// The rest makes and reads YAML nodes.

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func list(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func quoted(text string) *yaml.Node {
	n := scalar(text)
	n.Style = yaml.DoubleQuotedStyle
	return n
}

func isTrue(v *yaml.Node) bool { return v.Kind == yaml.ScalarNode && v.Value == "true" }

// value is the value of a key; nil: there is none.
func value(m *yaml.Node, name string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i+1]
		}
	}
	return nil
}

// put sets the value of a key.
func put(m *yaml.Node, name string, v *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			m.Content[i+1] = v
			return
		}
	}
	m.Content = append(m.Content, scalar(name), v)
}
