// Package config is what a machine should be: one #cloud-config, put together
// from layers.
//
// It owns the keys, their types and defaults, the order of the layers, and what
// is said about keys that are wrong. It reads files and changes nothing; those
// who act on a key (rosd and the services) get a Config, which nobody changes
// after Load.
//
// Reading is lenient, because a machine has to boot with the config it has: a
// file or a key that cannot be used becomes a Warning, and the layers below
// still count for that key.
package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Config is the merged config. Its keys are those of RancherOS.
type Config struct {
	Hostname          string   `yaml:"hostname"`            // "": the network's, or "rancher"
	SSHAuthorizedKeys []string `yaml:"ssh_authorized_keys"` // of the user rancher
	Rancher           Rancher  `yaml:"rancher"`

	origins map[string]Origin
}

// Rancher is the part of the config that is ours.
type Rancher struct {
	Password               Password `yaml:"password"`         // of the user rancher; "": no login with a password
	Autologin              []string `yaml:"autologin"`        // terminals without a login prompt: "tty1", "ttyS0"
	Debug                  bool     `yaml:"debug"`            // more in the logs
	ShutdownTimeoutSeconds int      `yaml:"shutdown_timeout"` // for all services together
	State                  State    `yaml:"state"`
	Disable                []string `yaml:"disable"` // of "password", "autologin": whatever else says
}

// ShutdownTimeout is how long all services together have to stop.
func (r Rancher) ShutdownTimeout() time.Duration {
	return time.Duration(r.ShutdownTimeoutSeconds) * time.Second
}

// State is the disk that keeps what must survive a reboot.
type State struct {
	Dev        string   `yaml:"dev"`        // "LABEL=RANCHER_STATE", "/dev/vda1"
	Autoformat []string `yaml:"autoformat"` // disks that may be formatted when there is no state disk and they are empty
	Required   bool     `yaml:"required"`   // do not go on in memory
	Wait       bool     `yaml:"wait"`       // for the disk to appear
	Directory  string   `yaml:"directory"`  // keep the state below this directory of the disk
}

// Password is plain or hashed as in crypt(5).
type Password string

// Hashed says whether the password is a hash ("$6$…").
func (p Password) Hashed() bool { return strings.HasPrefix(string(p), "$") }

// String keeps passwords out of everything printed; string(p) has the text.
func (p Password) String() string {
	if p == "" {
		return ""
	}
	return "(hidden)"
}

// defaults is the lowest layer.
func defaults() *Config {
	return &Config{
		Rancher: Rancher{
			ShutdownTimeoutSeconds: 60,
			State:                  State{Dev: "LABEL=RANCHER_STATE"},
		},
		origins: map[string]Origin{},
	}
}

// Origin is where a value came from.
type Origin struct {
	Layer string // its name; "defaults"
	Line  int    // in the layer's file; 0: no file
}

// Origin says which layer set a key such as "rancher.state.dev".
func (c *Config) Origin(key string) Origin {
	if origin, ok := c.origins[key]; ok {
		return origin
	}
	return Origin{Layer: "defaults"}
}

// Warning is something in a layer that does not count.
type Warning struct {
	Layer   string // the path of a file, or "kernel command line"
	Line    int    // 0: the whole layer
	Key     string
	Message string
}

// String is one line: "cloud-config.yml:3: rancher.debug: …".
func (w Warning) String() string {
	s := w.Layer
	if w.Line > 0 {
		s += fmt.Sprintf(":%d", w.Line)
	}
	if w.Key != "" {
		s += ": " + w.Key
	}
	return s + ": " + w.Message
}

// Load puts the layers together, lowest first: mappings merge, a list or a
// single value replaces that of the layers below.
func Load(layers ...Layer) (*Config, []Warning) {
	l := &loader{cfg: defaults()}
	for _, layer := range layers {
		l.layer = layer
		if layer.Settings != nil {
			l.settings(layer.Settings)
		} else {
			l.document(layer.Data)
		}
	}
	return l.cfg, l.warnings
}

// loader folds layers into a config.
type loader struct {
	cfg      *Config
	layer    Layer
	warnings []Warning
}

// maxWarnings is how much is said about one layer.
const maxWarnings = 50

func (l *loader) warn(line int, key, format string, args ...any) {
	said := 0
	for _, w := range l.warnings {
		if w.Layer == l.layer.Name {
			said++
		}
	}
	switch {
	case said < maxWarnings:
		l.warnings = append(l.warnings, Warning{l.layer.Name, line, key, fmt.Sprintf(format, args...)})
	case said == maxWarnings:
		l.warnings = append(l.warnings, Warning{Layer: l.layer.Name, Message: fmt.Sprintf("has more than %d keys that do not count; the rest is not shown", maxWarnings)})
	}
}

// document reads a file.
func (l *loader) document(data []byte) {
	doc, faults := yamldoc.Parse(data)
	for _, f := range faults {
		if doc == nil && f.Message == "is empty" {
			return // nothing is said, and that is fine
		}
		l.warn(f.Line, f.Path.String(), "%s", f.Message)
	}
	if doc == nil {
		return
	}
	l.mapping(doc.Root(), "")
	if doc.Exhausted() {
		l.warn(0, "", "has aliases that expand to more than a config can hold; the rest is skipped")
	}
}

// settings reads the kernel command line, where the last of several words for
// one key wins. Only autologin may be given once for each terminal.
func (l *loader) settings(settings []Setting) {
	var terminals []string
	for _, s := range settings {
		value := s.Value
		if s.Key == "rancher.autologin" && !strings.HasPrefix(value, "[") {
			terminals = append(terminals, value)
			value = "[" + strings.Join(terminals, ", ") + "]"
		}
		section, name, deeper := place(s.Key)
		if _, ours := sections[section][name]; deeper || !ours && sections[s.Key] == nil {
			l.foreign(section, name, s.Key, 0)
			continue
		}
		l.key(section, name, 0, yamldoc.NewScalar(value, yamldoc.Path{s.Key}))
	}
}

// place finds the section a dotted key stands in. A key deeper than any of
// ours, such as rancher.network.dns.search, is that of the nearest section.
func place(key string) (section, name string, deeper bool) {
	rest := key
	for {
		part, after, more := strings.Cut(rest, ".")
		inner := part
		if section != "" {
			inner = section + "." + part
		}
		if _, ok := sections[inner]; !ok || !more {
			return section, part, more
		}
		section, rest = inner, after
	}
}

// mapping reads the keys of one section.
func (l *loader) mapping(v yamldoc.Value, section string) {
	for _, p := range v.Pairs() {
		l.key(section, p.Key, p.Line, p.Value)
	}
}

// key reads one key of a section.
func (l *loader) key(section, name string, line int, v yamldoc.Value) {
	full := name
	if section != "" {
		full = section + "." + name
	}
	if _, ok := sections[full]; ok {
		switch {
		case v.Kind() == yamldoc.Mapping:
			l.mapping(v, full)
		case v.Tag() != "!!null":
			l.warn(line, full, "must be a mapping (key: value)")
		}
		return
	}
	set, ours := sections[section][name]
	if !ours {
		l.foreign(section, name, full, line)
		return
	}
	if v.Tag() == "!!null" && l.layer.Settings == nil {
		return // "key:" says nothing, so the layers below count
	}
	if err := set(l.cfg, v); err != nil {
		if v.Line > 0 {
			line = v.Line
		}
		l.warn(line, full, "%v", err)
		return
	}
	l.cfg.origins[full] = Origin{l.layer.Name, line}
}

// foreign says why a key does nothing; full is the key as it was written.
func (l *loader) foreign(section, name, full string, line int) {
	key := name
	if section != "" {
		key = section + "." + name
	}
	_, ours := sections[section][name]
	switch {
	case ours:
		l.warn(line, full, "%s has no keys below it", key)
	case notYet[key]:
		l.warn(line, full, "has no effect yet")
	case gone[key] != "":
		l.warn(line, full, "has no effect: %s", gone[key])
	default:
		known := append(names(sections[section]), below(section)...)
		if meant := yamldoc.Nearest(name, known); meant != "" {
			l.warn(line, full, "unknown key (did you mean %q?)", meant)
		} else {
			l.warn(line, full, "unknown key")
		}
	}
}
